//! The bootloader.
#![no_std]
#![no_main]

use firmware_bootloader::{Line, Trusted};
use firmware_cortex_m::Single;
use rak11720::{KEYS, Rak11720, SAMPLE};

static LINE: Single<Line> = Single::new(firmware_bootloader::line());

fn boot() -> ! {
    let trusted = Trusted { keys: &KEYS, sample: SAMPLE };
    firmware_bootloader::run(Rak11720::new(), trusted, LINE.take())
}

firmware_cortex_m::program!(boot);
