//! A board on the desk: its flash with every way that power can fail, and what helps to test on it.
//!
//! ```text
//! device      a whole virtual device: bootloader, DFU library and SMP server over such a flash
//! explore     every power cut that a device can meet with on its way, and what comes of it
//! hostile     devices with any bytes in them, and what becomes of them
//! Rehearsal   an update carried out, and what that does to the flash
//! Loader      the bootloader that a board file asks for
//! flash       SimFlash: devices with their physics, wear and power cuts, as a FlashMap
//! Remembering a Verifier that works out each signature, and unwraps each content key, once
//! PrivateKey  the key that content keys are wrapped for
//! ```

pub mod device;
pub mod explore;
pub mod flash;
pub mod hostile;
mod loader;
pub mod matrix;
mod private_key;
mod rehearsal;
mod verifier;

pub use loader::{Loader, LoaderError, UnplayableBoard};
pub use private_key::PrivateKey;
pub use rehearsal::{Rehearsal, RehearsalError, Sum};
pub use verifier::Remembering;
