//! One flash device: what it is made of, and the three things that can be done with it.

use core::fmt;

use updraft_image::text::{self, Hex};
use updraft_image::{Describe, Text};

use crate::Kind;

/// `count` sectors of `size` bytes each, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SectorRun {
    /// Number of sectors.
    pub count: u32,
    /// Bytes of each.
    pub size: u32,
}

/// The smallest unit that can be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sector {
    /// Where it begins, in bytes from the start of the device or area that was asked.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

impl Sector {
    /// First offset behind the sector.
    pub fn end(&self) -> u32 {
        self.offset.saturating_add(self.size)
    }
}

/// What a device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry<'a> {
    /// Its physics.
    pub kind: Kind,
    /// Bytes that one write has to be a multiple of, in length and offset.
    pub write_size: u32,
    /// What erased bytes read as: 0xff or 0x00.
    pub erased: u8,
    /// Its sectors in address order.
    pub sectors: &'a [SectorRun],
}

impl Geometry<'_> {
    /// Bytes of the whole device; `None` past 4 GiB.
    pub fn size(&self) -> Option<u32> {
        self.sectors
            .iter()
            .try_fold(0u32, |sum, run| sum.checked_add(run.count.checked_mul(run.size)?))
    }

    /// The sector that contains `offset`; `None` behind the end of the device.
    pub fn sector_at(&self, offset: u32) -> Option<Sector> {
        let mut start = 0u32;
        for run in self.sectors {
            let len = run.count.checked_mul(run.size)?;
            if offset.checked_sub(start)? < len {
                let index = (offset - start).checked_div(run.size)?;
                return Some(Sector { offset: start + index * run.size, size: run.size });
            }
            start = start.checked_add(len)?;
        }
        None
    }
}

/// A flash device: a driver on a chip, a model on the desk.
pub trait Device {
    /// What the driver reports.
    type Error: FlashError;

    /// What the device is made of.
    fn geometry(&self) -> Geometry<'_>;

    /// Fills `buf` from `address` on.
    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Self::Error>;

    /// Programs `data` at `address`; both are multiples of the write size.
    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Self::Error>;

    /// Erases `len` bytes from `address` on; both lie on sector boundaries.
    fn erase(&mut self, address: u32, len: u32) -> Result<(), Self::Error>;
}

/// Why an access did not take place, as far as every device has it in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no area with that id.
    NoArea,
    /// The access passes the end of its area.
    OutOfBounds,
    /// Offset or length are not multiples of what the device writes or erases at once.
    Misaligned,
    /// The area must not be changed.
    ReadOnly,
    /// The cells cannot be read: an uncorrectable ECC fault. Erasing them makes them readable.
    Unreadable,
    /// The device refused or failed.
    Device,
}

impl Describe for Fault {
    fn describe(&self, to: &mut Text<'_>) {
        to.say(match self {
            Self::NoArea => "the flash map has no such area",
            Self::OutOfBounds => "the access passes the end of the area",
            Self::Misaligned => "offset or length are not aligned",
            Self::ReadOnly => "the area must not be changed",
            Self::Unreadable => "the cells cannot be read",
            Self::Device => "the flash device failed",
        });
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

/// An error that can tell which [`Fault`] it is.
pub trait FlashError: fmt::Debug + fmt::Display + Describe {
    /// The kind of failure.
    fn fault(&self) -> Fault;
}

impl FlashError for Fault {
    fn fault(&self) -> Fault {
        *self
    }
}

/// The error of a flash map over devices that fail with `E`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The access was not passed on to the device.
    Refused {
        /// Why.
        fault: Fault,
        /// Id of the area.
        area: u8,
        /// Offset in the area.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
    /// The device failed.
    Device(E),
}

impl<E: Describe> Describe for Error<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::Refused { fault, area, offset, len } => {
                let offset = Hex(*offset, 1);
                to.fill("{} (area {}, offset {}, {} bytes)", &[fault, area, &offset, len]);
            }
            Self::Device(error) => to.fill("the flash device failed: {}", &[error]),
        }
    }
}

impl<E: Describe> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for Error<E> {}

impl<E: FlashError> FlashError for Error<E> {
    fn fault(&self) -> Fault {
        match self {
            Self::Refused { fault, .. } => *fault,
            Self::Device(error) => error.fault(),
        }
    }
}
