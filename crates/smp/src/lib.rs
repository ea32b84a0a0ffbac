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
//! * [`server`]: dispatch by group, permissions, and every predefined group over a small trait each:
//!   operating system (0), images (1) with the update policy, statistics (2), settings (3), logs
//!   (4), crash tests (5), tests (7), files (8), the shell (9), enumeration (10), Zephyr's basic
//!   commands (63), and groups of one's own.
//! * [`client`]: one request with retries, typed requests and answers of every group, and the
//!   windowed upload.
//! * [`framing`]: messages on a serial line, as console text or raw, and in the fragments of Bluetooth
//!   LE.
//!
//! Format sources: Zephyr's "SMP Protocol Specification" and the group pages beside it, and the
//! answers of real servers recorded in `vectors/smp`.
#![no_std]

mod cbor;
pub mod client;
mod date_time;
mod error;
pub mod framing;
mod hash;
mod header;
mod numbers;
pub mod server;

pub use cbor::{Malformed, Value, fields};
pub use date_time::DateTime;
pub use error::{
    BasicError, EnumError, FileError, GroupError, ImageError, LogError, OsError, Rc, SettingsError,
    ShellError, StatError,
};
pub use hash::{FileDigest, FileHash, FileHasher};
pub use header::{Header, Op, ShortHeader, Version};
pub use numbers::{
    basic, crash, enumeration, files, group, image, log, os, run, settings, shell, statistics,
};
