//! Time for what runs asynchronously: the chip's clock, in microseconds.

use core::cell::Cell;
use core::task::Waker;

use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};

use crate::clock::{Clock, HZ};

/// Of a tick of the clock.
const MICROSECONDS: u64 = 1_000_000 / HZ as u64;
const _: () = assert!(TICK_HZ == 1_000_000 && MICROSECONDS * HZ as u64 == 1_000_000);

/// The clock counts to 2^32, which takes 38 hours; this counts on.
struct Time {
    last: Cell<u32>,
    ticks: Cell<u64>,
}

// SAFETY: one thread asks what time it is, and no handler of an interrupt.
unsafe impl Sync for Time {}

impl Driver for Time {
    fn now(&self) -> u64 {
        let now = Clock::ticks();
        let passed = now.wrapping_sub(self.last.replace(now));
        self.ticks.set(self.ticks.get() + u64::from(passed));
        self.ticks.get() * MICROSECONDS
    }

    // Whoever waits is looked after in every turn.
    fn schedule_wake(&self, _: u64, _: &Waker) {}
}

time_driver_impl!(static TIME: Time = Time { last: Cell::new(0), ticks: Cell::new(0) });
