//! Virtual devices on this machine: their socket, their serial line, their radio, their clock, and a
//! look at their slots.

mod host;
mod radio;
#[cfg_attr(not(unix), path = "no_serial.rs")]
mod serial;
mod slots;

pub use host::{Host, Remote};
pub use radio::Radio;
pub use serial::Serial;
pub use slots::{Detail, SlotView, draw, slots};
