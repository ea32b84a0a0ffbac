//! The whole story in one terminal: a device that is updated, that refuses, reverts and survives.
//!
//! Everything is real but the silicon: keys, images, the bootloader, the SMP server and client,
//! and UDP between them, on loopback. The story of the factory app adds mosquitto, certificates, a
//! publisher, and the update agent.

#[cfg(feature = "air")]
mod broker;
#[cfg(feature = "air")]
mod factory;
mod firmware;
#[cfg(feature = "air")]
mod publishing;
mod story;
mod telling;

#[cfg(feature = "air")]
pub use factory::{Told, tell as tell_of_the_factory_app};
pub use story::{Options, Scratch, tell};
