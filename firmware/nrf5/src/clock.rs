//! Time since the reset.

use core::time::Duration;

use firmware_cortex_m::Register;

use crate::at;

/// 16 MHz are divided by 2 so many times.
pub(crate) const PRESCALED: u32 = 9;
pub(crate) const HZ: u32 = 16_000_000 >> PRESCALED;

/// TIMER0, which counts up.
#[derive(Debug)]
pub struct Clock {
    last: u32,
    /// Since the start: seconds, and ticks that make up no second yet.
    seconds: u32,
    ticks: u32,
}

impl Clock {
    const START: Register = at(0x4000_8000);
    const STOP: Register = at(0x4000_8004);
    const CLEAR: Register = at(0x4000_800c);
    const CAPTURE: Register = at(0x4000_8040);
    const BITS: Register = at(0x4000_8508);
    const PRESCALER: Register = at(0x4000_8510);
    const CAPTURED: Register = at(0x4000_8540);
    const BITS_32: u32 = 3;
    const NANOSECONDS: u32 = 1_000_000_000 / HZ;

    /// Counts from now on.
    pub fn start() -> Self {
        // The bootloader may have left it running.
        Self::STOP.write(1);
        Self::CLEAR.write(1);
        Self::BITS.write(Self::BITS_32);
        Self::PRESCALER.write(PRESCALED);
        Self::START.write(1);
        Self { last: 0, seconds: 0, ticks: 0 }
    }

    /// Time since the start. To be asked once a day.
    pub fn now(&mut self) -> Duration {
        Self::CAPTURE.write(1);
        let value = Self::CAPTURED.read();
        self.ticks += value.wrapping_sub(self.last);
        self.last = value;
        while self.ticks >= HZ {
            self.ticks -= HZ;
            self.seconds += 1;
        }
        Duration::new(self.seconds.into(), self.ticks * Self::NANOSECONDS)
    }
}
