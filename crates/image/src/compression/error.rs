//! Why an image cannot be decompressed.

use core::convert::Infallible;
use core::fmt;

use crate::{Flags, HeaderError, TlvEntry, TlvError, TlvType};

/// Why an image cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompressionError<E> {
    /// Not compressed, or not with LZMA2.
    Flags {
        /// The flags of the image.
        flags: Flags,
    },
    /// The two bytes in front of the stream ask for what LZMA2 does not have.
    Parameters {
        /// Dictionary size and properties, encoded.
        found: [u8; 2],
    },
    /// A protected TLV is missing without which the uncompressed image cannot be made.
    Missing {
        /// Its type.
        kind: TlvType,
    },
    /// A TLV that may occur once only occurs again.
    Twice {
        /// Its type.
        kind: TlvType,
    },
    /// A TLV has a length or a value that its type does not allow.
    Tlv {
        /// The TLV.
        entry: TlvEntry,
    },
    /// Matches may reach further back than the output can be looked back at.
    Window {
        /// Bytes that this image takes.
        needed: u32,
        /// Bytes that there are.
        reach: u32,
    },
    /// The compressed stream is damaged.
    Stream {
        /// Offset in the compressed image, behind what cannot be right.
        offset: u32,
    },
    /// The stream ends before the size that the image claims.
    TooShort {
        /// Bytes that the body should have.
        claimed: u32,
        /// Bytes that it has.
        found: u32,
    },
    /// The stream goes on behind the size that the image claims.
    TooLong {
        /// Bytes that the body should have.
        claimed: u32,
    },
    /// A read past the end of the uncompressed image.
    OutOfRange {
        /// Offset of the read.
        offset: u32,
        /// Size of the uncompressed image.
        size: u32,
    },
    /// There is no room for a piece of the image.
    NoRoom,
    /// The header does not hold together.
    Header(HeaderError),
    /// The TLVs cannot be walked.
    Tlvs(TlvError<E>),
    /// The source failed.
    Read(E),
}

impl<E> CompressionError<E> {
    /// What is the image's fault, or the error of the source.
    pub fn of_image(self) -> Result<CompressionError<Infallible>, E> {
        Ok(match self {
            Self::Read(error) | Self::Tlvs(TlvError::Read(error)) => return Err(error),
            Self::Flags { flags } => CompressionError::Flags { flags },
            Self::Parameters { found } => CompressionError::Parameters { found },
            Self::Missing { kind } => CompressionError::Missing { kind },
            Self::Twice { kind } => CompressionError::Twice { kind },
            Self::Tlv { entry } => CompressionError::Tlv { entry },
            Self::Window { needed, reach } => CompressionError::Window { needed, reach },
            Self::Stream { offset } => CompressionError::Stream { offset },
            Self::TooShort { claimed, found } => CompressionError::TooShort { claimed, found },
            Self::TooLong { claimed } => CompressionError::TooLong { claimed },
            Self::OutOfRange { offset, size } => CompressionError::OutOfRange { offset, size },
            Self::NoRoom => CompressionError::NoRoom,
            Self::Header(error) | Self::Tlvs(TlvError::Header(error)) => {
                CompressionError::Header(error)
            }
            Self::Tlvs(TlvError::Info { offset, found }) => {
                CompressionError::Tlvs(TlvError::Info { offset, found })
            }
            Self::Tlvs(TlvError::ProtectedSize { header, area }) => {
                CompressionError::Tlvs(TlvError::ProtectedSize { header, area })
            }
            Self::Tlvs(TlvError::Bounds { offset, end }) => {
                CompressionError::Tlvs(TlvError::Bounds { offset, end })
            }
        })
    }
}

impl<E> From<TlvError<E>> for CompressionError<E> {
    fn from(error: TlvError<E>) -> Self {
        match error {
            TlvError::Read(error) => Self::Read(error),
            TlvError::Header(error) => Self::Header(error),
            error => Self::Tlvs(error),
        }
    }
}

impl<E> From<HeaderError> for CompressionError<E> {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

impl<E: fmt::Display> fmt::Display for CompressionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags { flags } => write!(f, "not compressed with LZMA2: flags are {flags}"),
            Self::Parameters { found: [dictionary, properties] } => write!(
                f,
                "LZMA2 has no dictionary size {dictionary:#04x} with properties {properties:#04x}"
            ),
            Self::Missing { kind } => write!(f, "compressed, but without a protected {kind} TLV"),
            Self::Twice { kind } => write!(f, "two {kind} TLVs"),
            Self::Tlv { entry } => write!(
                f,
                "the {} TLV at offset {:#x} ({} bytes) does not go with a compressed image",
                entry.kind, entry.offset, entry.len
            ),
            Self::Window { needed, reach } => {
                write!(f, "decompression looks back {needed} bytes, and only {reach} are at hand")
            }
            Self::Stream { offset } => {
                write!(f, "the compressed stream is damaged before offset {offset:#x}")
            }
            Self::TooShort { claimed, found } => {
                write!(f, "decompresses to {found} bytes instead of {claimed}")
            }
            Self::TooLong { claimed } => {
                write!(f, "decompresses to more than the {claimed} bytes that it claims")
            }
            Self::OutOfRange { offset, size } => {
                write!(
                    f,
                    "offset {offset} is past the end of the uncompressed image ({size} bytes)"
                )
            }
            Self::NoRoom => f.write_str("no room for a piece of the uncompressed image"),
            Self::Header(error) => error.fmt(f),
            Self::Tlvs(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CompressionError<E> {}
