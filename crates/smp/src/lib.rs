//! SMP, the Simple Management Protocol that the field also calls MCUmgr: messages, groups, and the
//! server and client state machines.
//!
//! Everything here is sans-IO: bytes and a time go in, bytes and decisions come out. Which link
//! carries them (console lines, UDP, Bluetooth LE) and who owns the clock is the caller's matter.
//!
//! ```text
//! header   8 bytes, big-endian: version and op, flags, length, group, sequence, id
//! payload  one CBOR map with text keys
//! ```
//!
//! * [`server`]: dispatch by group; the operating-system group (0) over the [`server::Os`] trait;
//!   the image group (1) over the [`server::Slots`] trait, with the update policy.
//! * [`client`]: one request with retries, typed requests and answers, and the windowed upload.
//! * [`framing`]: messages on a serial line, as console text or raw.
//!
//! Format sources: Zephyr's "SMP Protocol Specification" and the group pages beside it, and the
//! answers of real servers recorded in `vectors/smp`.
#![no_std]

mod cbor;
pub mod client;
mod error;
pub mod framing;
mod header;
pub mod server;

pub use cbor::{Malformed, Value, fields};
pub use error::{GroupError, ImageError, OsError, Rc};
pub use header::{Header, Op, ShortHeader, Version};

/// Group numbers of the predefined groups that this crate speaks.
pub mod group {
    /// Operating system: echo, reset, buffer parameters, information.
    pub const OS: u16 = 0;
    /// Images: state, upload, erase, slot information.
    pub const IMAGE: u16 = 1;
}

/// Command ids of the operating-system group.
pub mod os {
    /// Echo a string.
    pub const ECHO: u8 = 0;
    /// Turn the console's echo on or off; servers without a console to echo on ignore it.
    pub const CONSOLE_ECHO: u8 = 1;
    /// Reset the device.
    pub const RESET: u8 = 5;
    /// Read the size and number of the server's buffers.
    pub const PARAMS: u8 = 6;
    /// Read system and application information.
    pub const INFO: u8 = 7;
    /// Read bootloader information.
    pub const BOOTLOADER_INFO: u8 = 8;
}

/// Command ids of the image group.
pub mod image {
    /// Read or write the state of the images.
    pub const STATE: u8 = 0;
    /// Upload an image.
    pub const UPLOAD: u8 = 1;
    /// Erase a slot.
    pub const ERASE: u8 = 5;
    /// Read sizes of the slots.
    pub const SLOT_INFO: u8 = 6;
}
