//! The whole story in one terminal: a device that is updated, that refuses, reverts and survives.
//!
//! Everything is real but the silicon: keys, images, the bootloader, the SMP server and client,
//! and UDP between them, on loopback.

mod firmware;
mod story;

pub use story::{Options, Scratch, tell};
