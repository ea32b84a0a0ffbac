//! The application's side of an update: write an image into the other slot, ask the bootloader to
//! boot it, confirm the one that runs.
//!
//! ```text
//! SlotWriter   bytes in, erased as they come              (Zephyr: flash_img)
//! Dfu          swap type, request, confirm, erase         (Zephyr: the MCUboot API)
//! DfuSlots     both, behind SMP's image group             (`updraft_smp::server::Slots`)
//! ```
//! Unlike the original API, a request verifies the image before it marks it: an image that the
//! bootloader would refuse is refused here, where somebody can still be told why.
#![no_std]

mod error;
mod request;
mod slots;
mod writer;

pub use error::DfuError;
pub use request::{Config, Dfu, Requested, Upgrade};
pub use slots::DfuSlots;
pub use writer::SlotWriter;
