//! Errors of the DFU library.

use core::fmt;

use updraft_flash::{AreaId, StreamError};
use updraft_image::{Describe, HeaderError, Refusal};

/// Why the DFU library did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DfuError<E> {
    /// The flash map has no such area, or it cannot hold a trailer.
    NoSlot {
        /// The area.
        area: AreaId,
    },
    /// The slot that runs is never written nor erased.
    ActiveSlot,
    /// The slot holds no image.
    NoImage(HeaderError),
    /// The bootloader would refuse the image, and so does this.
    Refused(Refusal<E>),
    /// The slot's trailer holds neither the magic nor erased flash, and cannot be cleared without
    /// touching the image. Upload the image again, or erase the slot.
    BadTrailer {
        /// The area.
        area: AreaId,
    },
    /// The slot begins with an image, but updates have to be uploaded to a place further on: the
    /// bootloader would erase the slot. Upload the image again.
    Misplaced {
        /// Where updates begin, in bytes from the start of the slot.
        expected: u32,
    },
    /// Writing the slot failed.
    Write(StreamError<E>),
    /// No upload has been begun.
    NoUpload,
    /// The flash failed.
    Flash(E),
}

impl<E: Describe + fmt::Display> fmt::Display for DfuError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlot { area } => write!(f, "area {area} is no slot of this device"),
            Self::ActiveSlot => f.write_str("the slot that runs is never written nor erased"),
            Self::NoImage(error) => write!(f, "no image in the slot: {error}"),
            Self::Refused(refusal) => write!(f, "the bootloader would refuse it: {refusal}"),
            Self::BadTrailer { area } => write!(
                f,
                "the trailer of area {area} is damaged: upload the image again, or erase the slot"
            ),
            Self::Misplaced { expected } => write!(
                f,
                "the slot begins with an image, updates belong {expected:#x} bytes into it: upload \
                 the image again"
            ),
            Self::Write(error) => error.fmt(f),
            Self::NoUpload => f.write_str("no upload has been begun"),
            Self::Flash(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display + Describe> core::error::Error for DfuError<E> {}

impl<E> From<StreamError<E>> for DfuError<E> {
    fn from(error: StreamError<E>) -> Self {
        match error {
            StreamError::Flash(error) => Self::Flash(error),
            error => Self::Write(error),
        }
    }
}
