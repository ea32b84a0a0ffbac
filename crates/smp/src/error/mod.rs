//! The two error models: generic return codes, and codes of a group with their translation for
//! clients of version 1.
//!
//! Source: Zephyr documentation, "SMP Protocol Specification" (return codes), and the group error
//! enumerations of its MCUmgr headers.

#[macro_use]
mod codes;
mod files;
mod image;
mod os;
mod others;

use core::fmt;

pub use files::FileError;
pub use image::ImageError;
pub use os::OsError;
pub use others::{BasicError, EnumError, LogError, SettingsError, ShellError, StatError};

use crate::group;

/// A generic return code (`rc`), known to every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rc(pub u32);

impl Rc {
    /// No error.
    pub const OK: Self = Self(0);
    /// Unknown error.
    pub const UNKNOWN: Self = Self(1);
    /// No memory or buffer.
    pub const NO_MEMORY: Self = Self(2);
    /// The payload cannot be decoded, or an argument is missing or of the wrong type.
    pub const INVALID: Self = Self(3);
    /// A timeout on the device.
    pub const TIMEOUT: Self = Self(4);
    /// No such entry.
    pub const NO_ENTRY: Self = Self(5);
    /// Not possible in the current state.
    pub const BAD_STATE: Self = Self(6);
    /// The answer would not fit the server's buffer.
    pub const MESSAGE_SIZE: Self = Self(7);
    /// No such group, command or direction.
    pub const NOT_SUPPORTED: Self = Self(8);
    /// The length field is larger than what arrived.
    pub const CORRUPT: Self = Self(9);
    /// Busy; try again later.
    pub const BUSY: Self = Self(10);
    /// Refused by the application.
    pub const ACCESS_DENIED: Self = Self(11);
    /// The protocol version is too old for this server.
    pub const TOO_OLD: Self = Self(12);
    /// The protocol version is too new for this server.
    pub const TOO_NEW: Self = Self(13);
    /// The first of the codes that an application may define.
    pub const FIRST_USER: Self = Self(256);

    /// What the code means, in a few words.
    pub const fn text(self) -> &'static str {
        match self.0 {
            0 => "no error",
            1 => "unknown error",
            2 => "no memory for the request or its answer",
            3 => "the request could not be decoded, or an argument is missing or wrong",
            4 => "timeout on the device",
            5 => "no such entry",
            6 => "not possible in the device's current state",
            7 => "the answer does not fit the device's buffer",
            8 => "the device does not support this command",
            9 => "the request arrived cut short",
            10 => "the device is busy",
            11 => "refused by the device's application",
            12 => "the device wants SMP version 2",
            13 => "the device does not know this SMP version",
            256.. => "application-defined error",
            _ => "error code without a name",
        }
    }
}

impl fmt::Display for Rc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rc {})", self.text(), self.0)
    }
}

/// An error code of a group, with what version 1 is told instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupError {
    /// The group whose enumeration the code is from.
    pub group: u16,
    /// The code.
    pub rc: u32,
    /// The generic code for a version 1 client.
    pub v1: Rc,
}

impl GroupError {
    /// What code `rc` of `group` means; `None` if the group is not one of the predefined ones, or
    /// has no such code.
    pub fn meaning(group: u32, rc: u32) -> Option<&'static str> {
        match u16::try_from(group).ok()? {
            group::OS => OsError::from_rc(rc).map(OsError::text),
            group::IMAGE => ImageError::from_rc(rc).map(ImageError::text),
            group::STATISTICS => StatError::from_rc(rc).map(StatError::text),
            group::SETTINGS => SettingsError::from_rc(rc).map(SettingsError::text),
            group::LOG => LogError::from_rc(rc).map(LogError::text),
            group::FILES => FileError::from_rc(rc).map(FileError::text),
            group::SHELL => ShellError::from_rc(rc).map(ShellError::text),
            group::ENUMERATION => EnumError::from_rc(rc).map(EnumError::text),
            group::BASIC => BasicError::from_rc(rc).map(BasicError::text),
            _ => None,
        }
    }
}
