//! The bootloader.
#![no_std]
#![no_main]

use firmware_bootloader::{Line, Trusted};
use firmware_cortex_m::Single;
use pinetime::{KEYS, Pinetime, SAMPLE};

static LINE: Single<Line> = Single::new(firmware_bootloader::line());

fn boot() -> ! {
    let trusted = Trusted { keys: &KEYS, sample: SAMPLE };
    firmware_bootloader::run(Pinetime::new(), trusted, LINE.take())
}

firmware_cortex_m::program!(boot);
