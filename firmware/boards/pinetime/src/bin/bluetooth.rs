//! The application that takes its updates over Bluetooth LE.
#![no_std]
#![no_main]

use core::hint::black_box;

use firmware_application::bluetooth::{Memory, Radio, Setup};
use firmware_application::{BUFFER, lines};
use firmware_cortex_m::Single;
use firmware_nrf5::radio;
use pinetime::{KEYS, Pinetime, board};

static MEMORY: Single<Memory<BUFFER, { lines::<Pinetime>() }>> = Single::new(Memory::new());

firmware_cortex_m::description!(
    DESCRIPTION,
    include_bytes!(concat!(env!("OUT_DIR"), "/description.bin"))
);

fn serve() -> ! {
    // The text may be another one than when this was compiled.
    let description = black_box(&DESCRIPTION);
    let setup = Setup { description, keys: &KEYS, storage: board::STORAGE };
    let open = || {
        let radio::Radio { controller, address } = radio::open().ok()?;
        Some(Radio { controller, address, process: radio::process })
    };
    firmware_application::bluetooth::run::<Pinetime, _, _, _, _>(setup, open, MEMORY.take())
}

firmware_cortex_m::program!(serve);
