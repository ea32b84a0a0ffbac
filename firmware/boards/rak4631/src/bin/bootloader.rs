//! The bootloader.
#![no_std]
#![no_main]

use firmware_bootloader::{Line, Trusted};
use firmware_cortex_m::Single;
use rak4631::{KEYS, Rak4631, SAMPLE};

static LINE: Single<Line> = Single::new(firmware_bootloader::line());

fn boot() -> ! {
    let trusted = Trusted { keys: &KEYS, sample: SAMPLE };
    firmware_bootloader::run(Rak4631::new(), trusted, LINE.take())
}

firmware_cortex_m::program!(boot);
