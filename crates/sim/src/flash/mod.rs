//! A model of flash that is as unkind as the real thing.
//!
//! ```text
//! SimFlash     a board: devices, an area table, one power supply; a FlashMap
//! SimDevice    one device: its rules, its contents (in memory, or written through to a file)
//! Supply       counts operations over all devices, and cuts the power where it was told to
//! Torn         what an operation leaves behind that the cut fell into
//! ```
//! The model refuses what the real device would get wrong silently: writing without erasing,
//! writing or erasing out of alignment. It counts operations, bytes, erases per sector, and
//! simulated time.

mod board;
mod contents;
mod device;
mod supply;
mod torn;

pub use board::{AreaOp, SimFlash};
pub use device::{Counts, DeviceSpec, SimDevice, SimError, Timings};
pub use supply::{Op, OpKind, Supply};
pub use torn::Torn;
