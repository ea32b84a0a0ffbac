//! What the model refuses, and what it says about it.

use std::fmt;
use std::io;

use updraft_flash::{Fault, FlashError};
use updraft_image::{Describe, Text};

/// Why the model refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimError {
    /// The power is off, or failed during this operation.
    PowerCut,
    /// The write would turn a programmed bit back, which only erasing can.
    NotErased {
        /// Address of the first such byte.
        address: u32,
        /// What stands there.
        cell: u8,
        /// What was to be written.
        data: u8,
    },
    /// The word was written as often as it takes since it was erased.
    Spent {
        /// Address of the word.
        address: u32,
        /// How often it was written.
        programs: u32,
        /// What stands there.
        found: Word,
        /// What was to be written.
        wanted: Word,
    },
    /// The word cannot be read: its error-correcting code does not match what a torn operation
    /// left of it.
    Unreadable {
        /// Address of the word.
        address: u32,
    },
    /// Address or length are not multiples of the write size, or no sector boundaries.
    Misaligned {
        /// The address.
        address: u32,
        /// The length in bytes.
        len: u32,
    },
    /// The access passes the end of the device.
    OutOfBounds {
        /// The address.
        address: u32,
        /// The length in bytes.
        len: u32,
    },
    /// The file behind the device failed.
    File(io::ErrorKind),
}

/// The bytes of a word, or the first 32 of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word {
    bytes: [u8; 32],
    len: u8,
}

impl Word {
    /// The word that `bytes` are.
    pub fn new(bytes: &[u8]) -> Self {
        let mut word = [0; 32];
        let len = bytes.len().min(word.len());
        word[..len].copy_from_slice(&bytes[..len]);
        Self { bytes: word, len: len as u8 }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({self})")
    }
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerCut => f.write_str("the power is off"),
            Self::NotErased { address, cell, data } => {
                write!(f, "writing {data:#04x} over {cell:#04x} at {address:#x} without erasing")
            }
            Self::Spent { address, programs, found, wanted } => {
                let times = if *programs == 1 { "once" } else { "times" };
                let number = if *programs == 1 { String::new() } else { format!("{programs} ") };
                write!(
                    f,
                    "writing {wanted} over {found} at {address:#x}, a word that was written \
                     {number}{times} since it was erased and takes no more"
                )
            }
            Self::Unreadable { address } => {
                write!(
                    f,
                    "the word at {address:#x} cannot be read: its error-correcting code fails"
                )
            }
            Self::Misaligned { address, len } => {
                write!(f, "{len} bytes at {address:#x} are not aligned to the device")
            }
            Self::OutOfBounds { address, len } => {
                write!(f, "{len} bytes at {address:#x} pass the end of the device")
            }
            Self::File(kind) => write!(f, "the flash file failed: {kind}"),
        }
    }
}

/// What [`fmt::Display`] shows.
impl Describe for SimError {
    fn describe(&self, to: &mut Text<'_>) {
        to.say(&self.to_string());
    }
}

impl std::error::Error for SimError {}

impl FlashError for SimError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unreadable { .. } => Fault::Unreadable,
            Self::Misaligned { .. } => Fault::Misaligned,
            Self::OutOfBounds { .. } => Fault::OutOfBounds,
            Self::PowerCut | Self::NotErased { .. } | Self::Spent { .. } | Self::File(_) => {
                Fault::Device
            }
        }
    }
}
