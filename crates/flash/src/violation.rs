//! What drivers of flash on chips refuse, or find that it did not do.

use core::fmt;

use updraft_image::{Describe, Text};

use crate::{Fault, FlashError, Geometry};

/// What the driver was asked and flash cannot do, or has not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The access leaves the device.
    Outside,
    /// Offset or length are no multiple of what is written or erased at once.
    Misaligned,
    /// A bit would have to go back to one.
    NotErased,
    /// The device does not answer.
    Silent,
    /// The device says that it is done, and what it holds is something else.
    NotDone,
    /// The cells hold nothing that can be read.
    Unreadable,
    /// Nothing is written there.
    ReadOnly,
}

/// The end of an access to `len` bytes from `address` on, in units of so many bytes.
///
/// # Errors
/// If it leaves the device, or is not aligned to the unit.
pub fn checked(
    device: &Geometry<'_>,
    address: u32,
    len: usize,
    unit: u32,
) -> Result<u32, Violation> {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let size = device.size().unwrap_or(0);
    let end = address.checked_add(len).filter(|end| *end <= size).ok_or(Violation::Outside)?;
    match address.is_multiple_of(unit) && len.is_multiple_of(unit) {
        true => Ok(end),
        false => Err(Violation::Misaligned),
    }
}

impl Describe for Violation {
    fn describe(&self, to: &mut Text<'_>) {
        to.say(match self {
            Self::Outside => "the access leaves the device",
            Self::Misaligned => "the access is not aligned",
            Self::NotErased => "what is to be written is not erased",
            Self::Silent => "the device does not answer",
            Self::NotDone => "the device does not hold what was written: protected, or worn out",
            Self::Unreadable => "the cells cannot be read",
            Self::ReadOnly => "nothing is written there",
        });
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        updraft_image::text::display(self, f)
    }
}

impl FlashError for Violation {
    fn fault(&self) -> Fault {
        match self {
            Self::Outside => Fault::OutOfBounds,
            Self::Misaligned => Fault::Misaligned,
            Self::NotErased | Self::Silent | Self::NotDone => Fault::Device,
            Self::Unreadable => Fault::Unreadable,
            Self::ReadOnly => Fault::ReadOnly,
        }
    }
}
