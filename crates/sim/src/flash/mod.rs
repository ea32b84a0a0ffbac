//! A model of flash that is as unkind as the real thing.
//!
//! ```text
//! SimFlash     a board: devices, an area table, one power supply; a FlashMap
//! SimDevice    one device: its rules, its contents (in memory, or written through to a file)
//! Supply       counts operations over all devices, and cuts the power where it was told to
//! Torn         what an operation leaves behind that the cut fell into
//! ```
//! The model refuses what the real device would get wrong silently: writing without erasing,
//! writing or erasing out of alignment, writing a word more often than its kind takes. It counts
//! operations, bytes, wear per sector, and simulated time. The rules of each kind are those of
//! [`updraft_flash::Kind`].
//!
//! A clone costs a few references: it shares what neither side has changed since, and
//! `fingerprint` costs what has changed since it was last asked for. Many states of one flash can
//! be kept, and told apart.

mod board;
mod cells;
mod contents;
mod device;
mod error;
mod pages;
mod supply;
mod torn;

pub use board::{AreaOp, SimFlash};
pub use device::{Counts, DeviceSpec, SimDevice, Timings};
pub use error::{SimError, Word};
pub use supply::{Op, OpKind, Supply};
pub use torn::{Format, Torn};
