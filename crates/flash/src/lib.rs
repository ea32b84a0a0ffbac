//! Flash as a bootloader sees it: devices with a geometry, areas on them, and streamed writes.
//!
//! ```text
//! Device     one chip: sectors, write size, erased value, kind      (a driver, or a model)
//! SpiNor     the driver of most chips beside a processor; Violation: what drivers say went wrong
//! Kind       its physics: what may be written over, what a power cut leaves
//! Areas      devices + a table of areas = a FlashMap                (slots, scratch, …)
//! Brief      a FlashMap with short errors, for small chips
//! FlashMap   what the bootloader and the DFU library work on: area id + offset in the area
//! Stream     append-only writer that erases as it goes, and goes on after a reset
//! SlotPair   which areas are an image's slots; TrailerFormat: how their trailers are laid out
//! Trailer    a slot's trailer, field by field
//! Keep       small things that outlive resets, in two halves used in turn
//! StatusMap  trailers that stand in an area of their own, in rows with copies and checksums
//! ```
//! No policy, no allocation. Offsets and lengths are in bytes; every access is checked against the
//! area's bounds before a device sees it.
#![no_std]

mod area;
mod brief;
mod crc;
mod device;
mod keep;
mod kind;
mod slot;
mod spi_nor;
mod status;
mod stream;
mod trailer;
mod violation;

pub use area::{AreaEntry, AreaId, AreaInfo, Areas, FlashMap};
pub use brief::Brief;
pub use device::{Device, Error, Fault, FlashError, Geometry, Sector, SectorRun};
pub use keep::{Keep, NotKept};
pub use kind::Kind;
pub use slot::{SlotPair, SlotSource, TrailerFormat, Which};
pub use spi_nor::{Data, NorCommands, Spi, SpiNor};
pub use status::{StatusFormat, StatusMap};
pub use stream::{Block, ProgressError, ProgressStore, Stream, StreamError, StreamTag, is_blank};
pub use trailer::{TrailerAccess, readable};
pub use violation::{Violation, checked};
