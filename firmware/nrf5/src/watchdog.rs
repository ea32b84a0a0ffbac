//! The watchdog.

use core::time::Duration;

use firmware_board::milliseconds;
use firmware_cortex_m::Register;

use crate::at;

/// The watchdog. Nothing stops it before a reset.
#[derive(Debug)]
pub struct Watchdog;

impl Watchdog {
    const START: Register = at(0x4001_0000);
    const RELOAD_VALUE: Register = at(0x4001_0504);
    const RELOAD: Register = at(0x4001_0600);
    /// Ticks in a millisecond, rounded up.
    const PER_MS: u32 = 33;
    const FEED: u32 = 0x6e52_4635;
}

impl firmware_cortex_m::Watchdog for Watchdog {
    fn start(&mut self, timeout: Duration) {
        Self::RELOAD_VALUE.write(milliseconds(timeout).saturating_mul(Self::PER_MS));
        Self::START.write(1);
    }

    fn feed(&mut self) {
        Self::RELOAD.write(Self::FEED);
    }
}
