//! Clocks: 50 MHz for both processors and the peripherals, 25 MHz for the external flash, from the
//! internal oscillator of 8 MHz by the frequency-locked loop; and time. TRM, "Clocking System",
//! "Watchdog Timer".

use core::time::Duration;

use firmware_cortex_m::{Counted, Register, tick_every};

use crate::at;

/// The clock of processors and peripherals.
pub(crate) const HZ: u32 = 50_000_000;

const ROOTS: [Register; 3] = [at(0x4026_0380), at(0x4026_0384), at(0x4026_0388)];
const LOOP: [Register; 4] = [at(0x4026_0580), at(0x4026_0584), at(0x4026_0588), at(0x4026_058c)];
const STATUS: Register = at(0x4026_0590);
const SMALL_CLOCK: Register = at(0x4020_1008);
const LARGE_CLOCK: Register = at(0x4020_0008);
const FLASH_CONTROL: Register = at(0x4024_0000);

const ENABLE: u32 = 1 << 31;
const LOCKED: u32 = 1;
const OSCILLATOR_READY: u32 = 1 << 2;
/// What comes out: the reference, or the loop's clock.
const OUT: u32 = 3 << 28;
const REFERENCE: u32 = 2 << 28;
/// 8 MHz × 500 / 20 / 2 = 100 MHz, and how the loop is tuned for that.
const TIMES: u32 = 500 | 1 << 24;
const DIVIDED: u32 = 20 | 10 << 16;
const FILTER: u32 = 9 | 5 << 4 | 8 << 8;
const OSCILLATOR: u32 = 4 << 8 | 355 << 16;
/// Divided by two, by four.
const BY_2: u32 = 1 << 4;
const BY_4: u32 = 2 << 4;
/// Enough for 100 MHz and more.
const WAIT_STATES: u32 = 3;

/// Starts the clocks. Whoever was here before may have done the same.
pub(crate) fn open() {
    FLASH_CONTROL.write(FLASH_CONTROL.read() & !0xf | WAIT_STATES);
    // The loop is tuned while it is off, and nobody hears it.
    LOOP[2].write(LOOP[2].read() & !OUT | REFERENCE);
    LOOP[0].write(0);
    LOOP[3].write(0);
    LOOP[0].write(TIMES);
    LOOP[1].write(DIVIDED);
    LOOP[2].write(FILTER | REFERENCE);
    LOOP[3].write(OSCILLATOR | ENABLE);
    while STATUS.read() & OSCILLATOR_READY == 0 {}
    LOOP[0].write(TIMES | ENABLE);
    while STATUS.read() & LOCKED == 0 {}
    ROOTS[0].write(BY_2 | ENABLE);
    ROOTS[2].write(BY_4 | ENABLE);
    SMALL_CLOCK.write(0);
    LARGE_CLOCK.write(0);
    LOOP[2].write(FILTER | OUT);
    // Often enough for the line, which keeps 128 bytes.
    tick_every(HZ / 500);
}

/// Counter 2 of the first multi-counter watchdog, by the internal oscillator of 32 kHz, which is right
/// to a tenth or so.
#[derive(Debug)]
pub struct Clock(Counted<32_000>);

impl Clock {
    const COUNT: Register = at(0x4026_0208);
    const CONTROL: Register = at(0x4026_0214);
    const ENABLE: u32 = 1 << 16;
    const ENABLED: u32 = 1 << 17;

    /// Counts from now on.
    pub fn start() -> Self {
        Self::CONTROL.write(Self::CONTROL.read() | Self::ENABLE);
        while Self::CONTROL.read() & Self::ENABLED == 0 {}
        Self(Counted::from(Self::COUNT.read()))
    }
}

impl firmware_cortex_m::Clock for Clock {
    fn now(&mut self) -> Duration {
        self.0.at(Self::COUNT.read())
    }
}
