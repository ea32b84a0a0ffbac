//! Variables that are handed out once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A variable in RAM, rather than on the stack, for the one who takes it first.
#[derive(Debug)]
pub struct Single<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `take` hands the value out once, and there is one thread to take it.
unsafe impl<T: Send> Sync for Single<T> {}

impl<T> Single<T> {
    /// The variable, with its first value.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The variable.
    ///
    /// # Panics
    /// If somebody has it already.
    #[expect(clippy::mut_from_ref, reason = "the flag lets this happen once")]
    pub fn take(&'static self) -> &'static mut T {
        // A Cortex-M0 cannot exchange in one step, and has nobody who could come between.
        assert!(!self.taken.load(Ordering::Relaxed));
        self.taken.store(true, Ordering::Relaxed);
        // SAFETY: the flag sees to it that there is no other reference.
        unsafe { &mut *self.value.get() }
    }
}
