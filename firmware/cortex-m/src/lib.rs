//! What every Cortex-M has: vector table, start-up, faults, reset, the jump into an image.
//!
//! Programs run on one thread, and interrupts do no more than wake a processor that sleeps; what this
//! crate promises rests on that. Where interrupts are taken (feature `interrupts`), their handlers use
//! nothing of it.
#![no_std]

mod chip;
mod register;
mod retained;
mod rtt;
mod single;
mod sleep;
mod startup;

pub use chip::{Chip, Clock, Counted, Line, NoWatchdog, Parts, Watchdog};
pub use register::Register;
pub use retained::{leave_origin, origin, reset, take_boot_mode};
pub use rtt::Rtt;
pub use single::Single;
#[cfg(feature = "interrupts")]
pub use sleep::take_interrupts;
pub use sleep::{Wake, sleep, tick_every};
pub use startup::jump;

use firmware_routines as _;
