//! The watchdog: 16 bits at 32 kHz. It resets the chip at the third match that nobody has
//! acknowledged; the count wraps around in between, which takes 2.048 s. TRM, "Watchdog Timer".

use core::time::Duration;

use firmware_board::milliseconds;
use firmware_cortex_m::Register;

use crate::at;

/// The watchdog. Its shortest time is 4.1 s; and since what was acknowledged counts from the next
/// match on, it may take 2 s more after it has been fed.
#[derive(Debug)]
pub struct Watchdog;

impl Watchdog {
    const CONTROL: Register = at(0x4026_0180);
    const COUNT: Register = at(0x4026_0184);
    const MATCH: Register = at(0x4026_0188);
    const INTERRUPT: Register = at(0x4026_0700);
    const MATCHED: u32 = 1;
    const ON: u32 = 1;
    /// Its lock: opened by two writes, closed by one.
    const OPEN: [u32; 2] = [1 << 30, 2 << 30];
    const CLOSED: u32 = 3 << 30;
    const PER_MS: u32 = 32;
    const WRAP: u32 = 1 << 16;

    fn unlocked(work: impl FnOnce()) {
        for key in Self::OPEN {
            Self::CONTROL.write(Self::CONTROL.read() & !Self::CLOSED | key);
        }
        work();
        Self::CONTROL.write(Self::CONTROL.read() | Self::CLOSED);
    }

    /// Stops it.
    pub(crate) fn stop() {
        Self::unlocked(|| Self::CONTROL.write(Self::CONTROL.read() & !Self::ON));
    }
}

impl firmware_cortex_m::Watchdog for Watchdog {
    fn start(&mut self, timeout: Duration) {
        let ticks = milliseconds(timeout).saturating_mul(Self::PER_MS);
        let first = ticks.saturating_sub(2 * Self::WRAP).clamp(1, Self::WRAP - 1);
        Self::unlocked(|| {
            Self::COUNT.write(0);
            Self::MATCH.write(first);
            Self::INTERRUPT.write(Self::MATCHED);
            Self::CONTROL.write(Self::CONTROL.read() | Self::ON);
        });
    }

    fn feed(&mut self) {
        Self::INTERRUPT.write(Self::MATCHED);
    }
}
