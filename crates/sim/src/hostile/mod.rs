//! Any bytes whatsoever in slots, trailers, scratch and status areas: devices that were valid a
//! moment ago, altered where it hurts, and booted.
//!
//! ```text
//! Device      a board of the matrix, and flash in every stage of an update        (device)
//! Alteration  a field, a record, a length, a block: what is written over it       (alteration)
//! Device::try_out   alters, boots until nothing changes any more, and judges
//! ```
//! Whatever is there, a boot has to end in a decision or in a refusal within a bounded number of
//! flash operations, what runs has to be intact where it runs, and after a few boots nothing may be
//! written any more.

mod alteration;
mod device;

pub use alteration::Random;
pub use device::{Counts, Device, Finding};
