//! Memory of a program that is one thread.

use core::cell::RefCell;

/// Something that only one thread ever sees, as there is no other.
pub struct Alone<T>(pub RefCell<T>);

// SAFETY: a bootloader is one thread, and interrupts have no business here.
unsafe impl<T> Sync for Alone<T> {}
