//! Time since the reset.

use core::time::Duration;

use firmware_cortex_m::{Counted, Register};

use crate::at;

/// 16 MHz are divided by 2 so many times.
pub(crate) const PRESCALED: u32 = 9;
pub(crate) const HZ: u32 = 16_000_000 >> PRESCALED;

/// TIMER0, which counts up.
#[derive(Debug)]
pub struct Clock(Counted<HZ>);

impl Clock {
    const START: Register = at(0x4000_8000);
    const STOP: Register = at(0x4000_8004);
    const CLEAR: Register = at(0x4000_800c);
    const CAPTURE: Register = at(0x4000_8040);
    const BITS: Register = at(0x4000_8508);
    const PRESCALER: Register = at(0x4000_8510);
    const CAPTURED: Register = at(0x4000_8540);
    const BITS_32: u32 = 3;

    /// Counts from now on.
    pub fn start() -> Self {
        // The bootloader may have left it running.
        Self::STOP.write(1);
        Self::CLEAR.write(1);
        Self::BITS.write(Self::BITS_32);
        Self::PRESCALER.write(PRESCALED);
        Self::START.write(1);
        Self(Counted::from(0))
    }
}

impl firmware_cortex_m::Clock for Clock {
    fn now(&mut self) -> Duration {
        Self::CAPTURE.write(1);
        self.0.at(Self::CAPTURED.read())
    }
}
