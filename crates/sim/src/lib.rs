//! A board on the desk: its flash with every way that power can fail, and what helps to test on it.
//!
//! ```text
//! device      a whole virtual device: bootloader, DFU library and SMP server over such a flash
//! flash       SimFlash: devices with their physics, wear and power cuts, as a FlashMap
//! Remembering a Verifier that works out each signature once
//! ```

pub mod device;
pub mod flash;
mod verifier;

pub use verifier::Remembering;
