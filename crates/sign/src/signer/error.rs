//! Why images cannot be made, and what to do about it.

use updraft_image::{HashKind, Scheme};

use crate::options::CustomTlvError;
use crate::{EncryptError, KeyError};

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The header size is none.
    #[error("a header of {0} bytes: it takes 32 to 65535")]
    HeaderSize(u32),
    /// The alignments are none that trailers can have.
    #[error(
        "alignment {align} in a trailer aligned to {max_align}: alignments are 1 to 32, trailers \
         are aligned to 8, 16 or 32, and to no less than the alignment"
    )]
    Align {
        /// Bytes of a status record.
        align: u32,
        /// Spacing of the trailer's fields.
        max_align: u32,
    },
    /// The slot does not end where trailers can.
    #[error(
        "a slot of {slot} bytes is no multiple of {max_align}: {} over", slot % max_align
    )]
    SlotAlign {
        /// Bytes of the slot.
        slot: u32,
        /// Spacing of the trailer's fields.
        max_align: u32,
    },
    /// The image does not lie below 4 GiB.
    #[error("{len:#x} bytes from {address:#x} on end past 4 GiB")]
    Address {
        /// Where the image begins.
        address: u32,
        /// Bytes from there to its end, or to the end of the slot if it is padded.
        len: u64,
    },
    /// The input does not begin with room for the header.
    #[error(
        "the input does not begin with {header_size} zeros for the header: at offset \
         {offset:#x} is {found:#04x}"
    )]
    NoRoomForHeader {
        /// Bytes of the header.
        header_size: u32,
        /// Where the first other byte is.
        offset: usize,
        /// What is there.
        found: u8,
    },
    /// The input is shorter than the header that it should begin with.
    #[error("the input has {len} bytes, fewer than the {header_size} of the header")]
    ShorterThanHeader {
        /// Bytes of the input.
        len: usize,
        /// Bytes of the header.
        header_size: u32,
    },
    /// The input already is an image.
    #[error("the input is an image already: it begins with an image header")]
    AlreadyImage,
    /// Image and trailer do not fit in the slot.
    #[error(
        "the image does not fit: {image} bytes + trailer {trailer} = {total} bytes, the slot has \
         {slot}: {over} too many", total = image + trailer, over = image + trailer - slot
    )]
    TooLarge {
        /// Bytes of the image with all TLVs.
        image: u64,
        /// Bytes of the trailer.
        trailer: u64,
        /// Bytes of the slot.
        slot: u64,
    },
    /// The image fits in the slot, but the bootloader cannot exchange images of that size.
    #[error(
        "the image has {image} bytes, the bootloader takes at most {max}: {over} too many",
        over = image - max
    )]
    TooLargeForMode {
        /// Bytes of the image with all TLVs.
        image: u64,
        /// The largest image.
        max: u64,
    },
    /// The key cannot sign with that hash.
    #[error("{scheme} does not sign {} hashes", .hash.tlv())]
    Hash {
        /// What the key signs with.
        scheme: Scheme,
        /// The hash asked for.
        hash: HashKind,
    },
    /// A signature over the image itself needs an Ed25519 key.
    #[error("only Ed25519 signs the image itself, and the key is {}",
        .scheme.map_or("missing".into(), |scheme| scheme.to_string()))]
    PureNeedsEd25519 {
        /// What the key signs with.
        scheme: Option<Scheme>,
    },
    /// A hash was asked for where there is no choice.
    #[error("a signature over the image itself goes with SHA-512, not with {}", .0.tlv())]
    PureHash(HashKind),
    /// A compressed image has two signatures, and each covers the other's place.
    #[error(
        "a compressed image is signed twice, before and after it is compressed: nobody can sign \
         it elsewhere"
    )]
    CompressedElsewhere,
    /// A name in attestation tokens is too long.
    #[error("the boot record name `{0}` has more than 12 characters")]
    BootRecord(String),
    /// A custom TLV cannot be added.
    #[error(transparent)]
    CustomTlv(#[from] CustomTlvError),
    /// The protected TLVs are too many.
    #[error("the protected TLVs take more than 65535 bytes")]
    TooManyTlvs,
    /// An address of 0 means none in this format.
    #[error("address 0 stands for no address in an image header")]
    ZeroAddress,
    /// liblzma has failed.
    #[error("the body cannot be compressed: {0}")]
    Compression(String),
    /// The image cannot be encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptError),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SignError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::HeaderSize(_) => {
                "the header size is where the build puts the vector table, often 0x200"
            }
            Self::Align { .. } => "--align is the write size of the slot's flash",
            Self::SlotAlign { .. } => {
                "the bootloader counts the trailer's fields in steps of --max-align: give the \
                 slot's real size"
            }
            Self::Address { .. } => "give the address of the slot",
            Self::NoRoomForHeader { .. } | Self::ShorterThanHeader { .. } => {
                "--pad-header puts the header in front of the input; without it the build has to \
                 leave room (Zephyr: CONFIG_ROM_START_OFFSET)"
            }
            Self::AlreadyImage => "sign the build's output, not a signed image",
            Self::TooLarge { .. } => {
                "make the image smaller, or the slot larger; --max-sectors and --align decide how \
                 long the trailer is"
            }
            Self::TooLargeForMode { .. } => {
                "make the image smaller, or choose a mode that needs fewer spare sectors"
            }
            Self::Hash { .. } => "leave --sha out: the key decides",
            Self::PureNeedsEd25519 { .. } => "make one with `updraft key new --type ed25519`",
            Self::PureHash(_) => "leave --sha out",
            Self::CompressedElsewhere => {
                "leave --compression out, or sign with the key itself: -k KEY"
            }
            Self::BootRecord(_) => "choose a shorter name",
            Self::CustomTlv(_) => "see `updraft image sign --help`",
            Self::TooManyTlvs => "give fewer or shorter --custom-tlv",
            Self::ZeroAddress => "leave the address out",
            Self::Compression(_) => "leave --compression out",
            Self::Encryption(error) => error.remedy(),
            Self::Key(error) => error.remedy(),
        }
    }
}
