//! The application.
#![no_std]
#![no_main]

use core::hint::black_box;

use firmware_application::Memory;
use firmware_cortex_m::Single;
use rak11720::{KEYS, Rak11720};

static MEMORY: Single<Memory<1024>> = Single::new(Memory::new());

firmware_cortex_m::description!(
    DESCRIPTION,
    include_bytes!(concat!(env!("OUT_DIR"), "/description.bin"))
);

fn blink() -> ! {
    // The text may be another one than when this was compiled.
    let description = black_box(&DESCRIPTION);
    firmware_application::run(Rak11720::new(), description, &KEYS, MEMORY.take())
}

firmware_cortex_m::program!(blink);
