//! Errors of the DFU library.

use core::fmt;

use updraft_flash::{AreaId, ProgressError, StreamError};
use updraft_image::{Describe, HeaderError, Refusal, TlvError, UpgradeMode};

/// Why the DFU library did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DfuError<E> {
    /// The flash map has no such area, or it cannot hold a trailer.
    NoSlot {
        /// The area.
        area: AreaId,
    },
    /// No image has a slot of this number.
    NoSuchSlot {
        /// The number.
        slot: u8,
    },
    /// The slot that runs is never written nor erased.
    ActiveSlot,
    /// The slot holds the image that the next boot goes back to, as the running one is not
    /// confirmed. Confirm that, or reset first.
    KeptForRevert,
    /// The slot holds no image.
    NoImage(HeaderError),
    /// What follows the image's body is no TLV area.
    Tlvs(TlvError<E>),
    /// The image has not exactly one hash.
    Hashes {
        /// How many it has, as far as they were counted.
        found: u8,
    },
    /// The file is larger than what the bootloader can install, or empty.
    Length {
        /// Bytes of the file, or what its header makes it at least.
        len: u32,
        /// Bytes of the largest one.
        max: u32,
    },
    /// The image runs only from an address that is not the slot's.
    LinkedElsewhere {
        /// The address that its header names.
        load_addr: u32,
        /// Where the slot begins on its device.
        slot: u32,
    },
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
    /// The bootloader takes no requests in this mode.
    NoRequests(UpgradeMode),
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
            Self::NoSuchSlot { slot } => write!(f, "there is no slot {slot}"),
            Self::ActiveSlot => f.write_str("the slot that runs is never written nor erased"),
            Self::KeptForRevert => f.write_str(
                "the slot holds the image that the next boot goes back to: confirm the running one \
                 first, or reset",
            ),
            Self::NoImage(error) => write!(f, "no image in the slot: {error}"),
            Self::Tlvs(error) => write!(f, "no whole image in the slot: {error}"),
            Self::Hashes { found: 0 } => f.write_str("the image in the slot has no hash"),
            Self::Hashes { .. } => f.write_str("the image in the slot has several hashes"),
            Self::Length { len: 0, .. } => f.write_str("the file is empty"),
            Self::Length { len, max } => {
                write!(f, "{len} bytes are more than the {max} that can be installed")
            }
            Self::LinkedElsewhere { load_addr, slot } => write!(
                f,
                "the image is linked for {load_addr:#x}, the slot is at {slot:#x}: build it for \
                 this slot"
            ),
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
            Self::NoRequests(mode) => {
                write!(f, "under {mode} the newest image boots, nothing can be asked for")
            }
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

impl<E> From<TlvError<E>> for DfuError<E> {
    fn from(error: TlvError<E>) -> Self {
        match error {
            TlvError::Read(error) => Self::Flash(error),
            error => Self::Tlvs(error),
        }
    }
}

/// Why an upload could not be gone on with: by its slot, or by the store of its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeError<E, S> {
    /// The slot cannot be written.
    Dfu(DfuError<E>),
    /// The store failed.
    Store(S),
}

impl<E, S> From<DfuError<E>> for ResumeError<E, S> {
    fn from(error: DfuError<E>) -> Self {
        Self::Dfu(error)
    }
}

impl<E, S> From<ProgressError<E, S>> for ResumeError<E, S> {
    fn from(error: ProgressError<E, S>) -> Self {
        match error {
            ProgressError::Stream(error) => Self::Dfu(error.into()),
            ProgressError::Store(error) => Self::Store(error),
        }
    }
}

impl<E: Describe + fmt::Display, S: fmt::Display> fmt::Display for ResumeError<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dfu(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the store of the progress failed: {error}"),
        }
    }
}

impl<E, S> core::error::Error for ResumeError<E, S>
where
    Self: fmt::Debug,
    E: Describe + fmt::Display,
    S: fmt::Display,
{
}
