//! Why an image cannot be decompressed.

use core::convert::Infallible;
use core::fmt;

use crate::text::{self, Hex};
use crate::{Describe, Flags, HeaderError, Text, TlvEntry, TlvError, TlvType};

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

impl<E: Describe> Describe for CompressionError<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::Flags { flags } => to.fill("not compressed with LZMA2: flags are {}", &[flags]),
            Self::Parameters { found } => {
                let [dictionary, properties] = found.map(|found| Hex(found.into(), 2));
                to.fill(
                    "LZMA2 has no dictionary size {} with properties {}",
                    &[&dictionary, &properties],
                );
            }
            Self::Missing { kind } => {
                to.fill("compressed, but without a protected {} TLV", &[kind])
            }
            Self::Twice { kind } => to.fill("two {} TLVs", &[kind]),
            Self::Tlv { entry } => to.fill(
                "the {} TLV at offset {} ({} bytes) does not go with a compressed image",
                &[&entry.kind, &Hex(entry.offset, 1), &entry.len],
            ),
            Self::Window { needed, reach } => to.fill(
                "decompression looks back {} bytes, and only {} are at hand",
                &[needed, reach],
            ),
            Self::Stream { offset } => {
                to.fill("the compressed stream is damaged before offset {}", &[&Hex(*offset, 1)]);
            }
            Self::TooShort { claimed, found } => {
                to.fill("decompresses to {} bytes instead of {}", &[found, claimed]);
            }
            Self::TooLong { claimed } => {
                to.fill("decompresses to more than the {} bytes that it claims", &[claimed]);
            }
            Self::OutOfRange { offset, size } => to.fill(
                "offset {} is past the end of the uncompressed image ({} bytes)",
                &[offset, size],
            ),
            Self::NoRoom => to.say("no room for a piece of the uncompressed image"),
            Self::Header(error) => error.describe(to),
            Self::Tlvs(error) => error.describe(to),
            Self::Read(error) => error.describe(to),
        }
    }
}

impl<E: Describe> fmt::Display for CompressionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for CompressionError<E> {}
