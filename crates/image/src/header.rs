//! The 32-byte image header.
//!
//! ```text
//! off size field
//!   0   4  magic 0x96f3b83d
//!   4   4  load_addr
//!   8   2  hdr_size          where the body begins
//!  10   2  protect_tlv_size  whole protected TLV area, 0 = none
//!  12   4  img_size          body only
//!  16   4  flags
//!  20   8  version           major, minor, revision (2), build (4)
//!  28   4  pad               zero; hashed, never checked
//! ```
//! Source: MCUboot `docs/design.md`, "Image format".

use core::fmt;

use crate::text::{self, Hex};
use crate::{Describe, Flags, Text, Version};

/// The header of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// RAM address of a RAM-load image, flash address of a ROM-fixed one, else 0.
    pub load_addr: u32,
    /// Offset of the body from the start of the image, in bytes.
    pub hdr_size: u16,
    /// Size of the protected TLV area with its own 4-byte info; 0 if there is none.
    pub protect_tlv_size: u16,
    /// Size of the body in bytes.
    pub img_size: u32,
    /// Flags.
    pub flags: Flags,
    /// Version.
    pub version: Version,
    /// The last word. It is part of the hash and has no meaning; imgtool writes 0.
    pub pad: u32,
}

/// Why bytes are not a header that this format can boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer than 32 bytes.
    Short {
        /// How many there are.
        len: usize,
    },
    /// The magic is not 0x96f3b83d.
    Magic {
        /// The word that stands there.
        found: u32,
    },
    /// Header, body and protected TLVs together pass 4 GiB.
    Overflow,
    /// Header, body and protected TLVs do not leave room for the TLV info in the slot.
    TooLarge {
        /// Bytes of header, body and protected TLVs.
        size: u32,
        /// Bytes of the slot.
        slot: u32,
    },
    /// Flags that exclude each other or need something this bootloader lacks.
    Flags {
        /// The flags that are in the way.
        flags: Flags,
    },
    /// `hdr_size` is smaller than the header itself.
    HeaderSize {
        /// The value found.
        hdr_size: u16,
    },
}

impl Describe for HeaderError {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::Short { len } => {
                to.fill("{} bytes are too few for a 32-byte image header", &[len])
            }
            Self::Magic { found } => {
                let (found, magic) = (Hex(*found, 8), Hex(Header::MAGIC, 8));
                to.fill("image magic is {}, not {}", &[&found, &magic]);
            }
            Self::Overflow => to.say("its sizes add up to more than 4 GiB"),
            Self::TooLarge { size, slot } => to.fill(
                "header, body and protected TLVs take {} bytes of a {}-byte slot",
                &[size, slot],
            ),
            Self::Flags { flags } => to.fill("flags {} cannot be booted here", &[flags]),
            Self::HeaderSize { hdr_size } => {
                to.fill("header size {} is below 32", &[hdr_size]);
            }
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl core::error::Error for HeaderError {}

impl Header {
    /// Bytes of the header's defined part.
    pub const SIZE: usize = 32;
    /// First word of every image.
    pub const MAGIC: u32 = 0x96f3_b83d;

    /// Reads the first 32 bytes of `bytes`; only the length and the magic are checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(bytes) = bytes.first_chunk::<{ Self::SIZE }>() else {
            return Err(HeaderError::Short { len: bytes.len() });
        };
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        if word(0) != Self::MAGIC {
            return Err(HeaderError::Magic { found: word(0) });
        }
        let [.., v0, v1, v2, v3, v4, v5, v6, v7, _, _, _, _] = *bytes;
        Ok(Self {
            load_addr: word(4),
            hdr_size: half(8),
            protect_tlv_size: half(10),
            img_size: word(12),
            flags: Flags(word(16)),
            version: Version::from_bytes([v0, v1, v2, v3, v4, v5, v6, v7]),
            pad: word(28),
        })
    }

    /// The 32 bytes of this header.
    pub fn emit(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..4].copy_from_slice(&Self::MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.load_addr.to_le_bytes());
        out[8..10].copy_from_slice(&self.hdr_size.to_le_bytes());
        out[10..12].copy_from_slice(&self.protect_tlv_size.to_le_bytes());
        out[12..16].copy_from_slice(&self.img_size.to_le_bytes());
        out[16..20].copy_from_slice(&self.flags.0.to_le_bytes());
        out[20..28].copy_from_slice(&self.version.to_bytes());
        out[28..32].copy_from_slice(&self.pad.to_le_bytes());
        out
    }

    /// Offset of the first TLV area: header and body.
    pub fn tlv_offset(&self) -> Result<u32, HeaderError> {
        self.img_size.checked_add(self.hdr_size.into()).ok_or(HeaderError::Overflow)
    }

    /// Length of what the hash covers: header, body and protected TLVs.
    pub fn hashed_len(&self) -> Result<u32, HeaderError> {
        self.tlv_offset()?.checked_add(self.protect_tlv_size.into()).ok_or(HeaderError::Overflow)
    }

    /// Checks what must hold before anything behind the header is read: the hashed part ends
    /// strictly before the end of a slot of `slot_size` bytes, and every encryption or
    /// compression flag is one of `supported`.
    ///
    /// `hdr_size` below 32 is not refused here: the original lets it through and the hash then
    /// fails. [`crate::validate`] refuses it unless it imitates the original.
    pub fn check(&self, slot_size: u32, supported: Flags) -> Result<(), HeaderError> {
        let size = self.hashed_len()?;
        if size >= slot_size {
            return Err(HeaderError::TooLarge { size, slot: slot_size });
        }
        let lzma_both = Flags::COMPRESSED_LZMA1 | Flags::COMPRESSED_LZMA2;
        for both in [Flags::ENCRYPTED, lzma_both] {
            if self.flags.contains(both) {
                return Err(HeaderError::Flags { flags: both });
            }
        }
        let special = self.flags.0 & (Flags::ENCRYPTED.0 | Flags::COMPRESSED.0);
        match special & !supported.0 {
            0 => Ok(()),
            missing => Err(HeaderError::Flags { flags: Flags(missing) }),
        }
    }
}
