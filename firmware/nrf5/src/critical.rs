//! Critical sections, which the driver of USB asks for: nothing is to be done, as interrupts are not taken.

use critical_section::{Impl, RawRestoreState, set_impl};

struct Alone;

// SAFETY: there is one thread, and no interrupt is taken.
unsafe impl Impl for Alone {
    unsafe fn acquire() -> RawRestoreState {
        RawRestoreState::default()
    }

    unsafe fn release(_: RawRestoreState) {}
}

set_impl!(Alone);
