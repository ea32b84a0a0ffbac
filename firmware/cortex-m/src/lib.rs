//! What every Cortex-M has: vector table, start-up, faults, reset, the jump into an image.
//!
//! Programs run without interrupts and on one thread; what this crate promises rests on that.
#![no_std]

mod register;
mod retained;
mod single;
mod startup;

pub use register::Register;
pub use retained::{reset, take_boot_mode};
pub use single::Single;
pub use startup::jump;

use firmware_routines as _;
