//! The bootloader.
#![no_std]
#![no_main]

use firmware_bootloader::{Key, Line};
use firmware_cortex_m::Single;
use mps2_an386::{KEY, Mps2, SAMPLE};

static LINE: Single<Line> = Single::new(firmware_bootloader::line());

fn boot() -> ! {
    let key = Key { public: &KEY, sample: SAMPLE };
    firmware_bootloader::run(Mps2::new(), key, LINE.take())
}

firmware_cortex_m::program!(boot);
