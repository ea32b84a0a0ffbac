//! The bootloader.
#![no_std]
#![no_main]

use firmware_bootloader::{Key, Line};
use firmware_cortex_m::Single;
use microbit::{KEY, Microbit, SAMPLE};

static LINE: Single<Line> = Single::new(firmware_bootloader::line());

fn boot() -> ! {
    let key = Key { public: &KEY, sample: SAMPLE };
    firmware_bootloader::run(Microbit::new(), key, LINE.take())
}

firmware_cortex_m::program!(boot);
