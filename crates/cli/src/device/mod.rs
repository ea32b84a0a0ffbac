//! Virtual devices on this machine: their socket, their clock, and a look at their slots.

mod host;
mod slots;

pub use host::{Host, Remote};
pub use slots::{Detail, draw, slots};
