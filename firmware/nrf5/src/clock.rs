//! Time since the reset.

use core::time::Duration;

use firmware_cortex_m::{Counted, Register};

use crate::at;

/// 16 MHz are divided by 2 so many times.
pub(crate) const PRESCALED: u32 = 9;
pub(crate) const HZ: u32 = 16_000_000 >> PRESCALED;

/// TIMER0, which counts up; TIMER2 where the radio has that one. (On an nRF51, TIMER2 counts to 65,535.)
#[derive(Debug)]
pub struct Clock(Counted<HZ>);

impl Clock {
    const TIMER: u32 = if cfg!(feature = "radio") { 0x4000_a000 } else { 0x4000_8000 };
    const START: Register = at(Self::TIMER);
    const STOP: Register = at(Self::TIMER + 0x4);
    const CLEAR: Register = at(Self::TIMER + 0xc);
    const CAPTURE: Register = at(Self::TIMER + 0x40);
    const BITS: Register = at(Self::TIMER + 0x508);
    const PRESCALER: Register = at(Self::TIMER + 0x510);
    const CAPTURED: Register = at(Self::TIMER + 0x540);
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

    /// What it is at.
    pub(crate) fn ticks() -> u32 {
        Self::CAPTURE.write(1);
        Self::CAPTURED.read()
    }
}

impl firmware_cortex_m::Clock for Clock {
    fn now(&mut self) -> Duration {
        self.0.at(Self::ticks())
    }
}
