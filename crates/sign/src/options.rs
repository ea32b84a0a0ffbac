//! What an image is signed with besides its key: imgtool's options as types.

use std::ops::Range;

use updraft_image::{
    Dependency, HashKind, ParseVersionError, TlvType, TrailerLayout, UpgradeMode, Version,
};

use crate::{Compression, Encryption};

/// How an image is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOptions {
    /// The version in the header.
    pub version: Version,
    /// Offset of the body in bytes, at least 32. (`--header-size`)
    pub header_size: u32,
    /// Whether the header is put in front of the input; otherwise the input begins with that many
    /// zeros. (`--pad-header`)
    pub pad_header: bool,
    /// Bytes of the slot; of two slots of different sizes, the secondary. (`--slot-size`)
    pub slot_size: u32,
    /// Bytes that one swap status record takes: 1 to 32. (`--align`)
    pub align: u32,
    /// Spacing of the trailer's fields: 8, 16 or 32. `None`: 8, or `align` if that is more.
    /// (`--max-align`)
    pub max_align: Option<u32>,
    /// Sectors that the trailer has status records for. (`--max-sectors`)
    pub max_sectors: u32,
    /// The upgrade mode, which the trailer's size depends on. (`--overwrite-only`)
    pub mode: UpgradeMode,
    /// What follows the image up to the end of the slot.
    pub padding: Padding,
    /// What erased flash reads as. (`--erased-val`)
    pub erased: u8,
    /// Lowest counter that a device has to have stored at most. (`--security-counter`)
    pub security_counter: Option<SecurityCounter>,
    /// Other images that have to be there. (`--dependencies`)
    pub dependencies: Vec<Dependency>,
    /// Where the image runs.
    pub placement: Placement,
    /// Marks the image as never to be booted. (`--non-bootable`)
    pub non_bootable: bool,
    /// The hash algorithm; `None`: what the key asks for, SHA-256 without. (`--sha`)
    pub hash: Option<HashKind>,
    /// Signs the image itself and not its hash: Ed25519 only, hashes with SHA-512. (`--pure`)
    pub pure: bool,
    /// Fills ECDSA signatures with zeros to 72 bytes, as bootloaders before MCUboot 1.5 want them.
    /// (`--pad-sig`)
    pub pad_signature: bool,
    /// Vendor id. (`--vid`)
    pub vendor_id: Option<[u8; 16]>,
    /// Class id. (`--cid`)
    pub class_id: Option<[u8; 16]>,
    /// Further protected TLVs in their order. (`--custom-tlv`)
    pub custom_tlvs: Vec<(TlvType, Vec<u8>)>,
    /// How the image names its key. (`--public-key-format`)
    pub key_format: KeyFormat,
    /// What the image is called in attestation tokens, at most 12 characters. (`--boot-record`)
    pub boot_record: Option<String>,
    /// How the body is compressed, if that makes the image smaller. (`--compression`)
    pub compression: Option<Compression>,
    /// How the body is encrypted, and for whom. (`--encrypt`)
    pub encryption: Option<Encryption>,
    /// The largest image with its TLVs that the bootloader takes, if known.
    pub max_image: Option<u32>,
    /// The order of bytes in header, TLVs and trailer. (`--endian`)
    pub endian: Endian,
    /// Takes an input that is an image already and puts the header in front of it, as imgtool does;
    /// otherwise that is refused.
    pub nested: bool,
}

impl SignOptions {
    /// imgtool's defaults with what has none.
    pub fn new(version: Version, header_size: u32, slot_size: u32) -> Self {
        Self {
            version,
            header_size,
            pad_header: false,
            slot_size,
            align: 1,
            max_align: None,
            max_sectors: 128,
            mode: UpgradeMode::SwapScratch,
            padding: Padding::None,
            erased: 0xff,
            security_counter: None,
            dependencies: Vec::new(),
            placement: Placement::Anywhere,
            non_bootable: false,
            hash: None,
            pure: false,
            pad_signature: false,
            vendor_id: None,
            class_id: None,
            custom_tlvs: Vec::new(),
            key_format: KeyFormat::Hash,
            boot_record: None,
            compression: None,
            encryption: None,
            max_image: None,
            endian: Endian::Little,
            nested: false,
        }
    }

    /// The spacing of the trailer's fields.
    pub fn trailer_align(&self) -> u32 {
        self.max_align.unwrap_or(self.align.max(8))
    }

    /// Bytes that the trailer takes at the end of the slot.
    ///
    /// In overwrite-only mode this is what imgtool keeps free: magic, image_ok and copy_done. The
    /// bootloader keeps swap_info as well, see [`SignOptions::max_image`]. Of content keys it keeps
    /// 16 bytes each free, even where they have 32.
    pub fn trailer_size(&self) -> u64 {
        let align = u64::from(self.trailer_align());
        if self.mode == UpgradeMode::OverwriteOnly {
            return 2 * align + align.max(16);
        }
        let fields = if self.mode == UpgradeMode::SwapOffset { 5 } else { 4 };
        let record = u64::from(self.mode.status_states()) * u64::from(self.align);
        // u32 × 3 × 32 does not reach u64's end.
        u64::from(self.max_sectors) * record + fields * align + align.max(16) + 2 * self.saved_key()
    }

    /// Bytes of the field for one content key.
    fn saved_key(&self) -> u64 {
        let Some(encryption) = &self.encryption else { return 0 };
        let len = match (encryption.save_wrapped, encryption.format()) {
            (true, Ok(format)) => format.payload_len(),
            _ => 16,
        };
        (len as u64).next_multiple_of(self.trailer_align().into())
    }

    /// Whether the alignments are ones that there are; where a trailer is written, they have to fit
    /// each other as well.
    pub(crate) fn aligns_are_possible(&self) -> bool {
        matches!(self.align, 1 | 2 | 4 | 8 | 16 | 32)
            && TrailerLayout::MAX_ALIGNS.contains(&self.trailer_align())
    }
}

/// What follows the image up to the end of the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: the file ends with the image.
    #[default]
    None,
    /// Erased flash, and the trailer's magic at the end. The bootloader takes the image for
    /// pending, to be tested. (`--pad`)
    Pending,
    /// The same; a file for a programmer holds the erased image_ok flag as well. (`--test`)
    Test,
    /// The same, confirmed: for good. In overwrite-only mode that makes no difference.
    /// (`--confirm`)
    Confirmed,
}

/// The order of bytes in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endian {
    /// The least significant first, as all tools read it.
    #[default]
    Little,
    /// The most significant first, for a bootloader on a big-endian processor.
    Big,
}

impl Endian {
    pub(crate) fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    /// Brings little-endian `fields` of `bytes` into this order.
    pub(crate) fn order(self, bytes: &mut [u8], fields: &[Range<usize>]) {
        if self == Self::Big {
            fields.iter().for_each(|field| bytes[field.clone()].reverse());
        }
    }
}

/// A security counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityCounter {
    /// This value.
    Value(u32),
    /// `major << 24 | minor << 16 | revision`.
    FromVersion,
}

impl SecurityCounter {
    /// The counter of an image of `version`.
    pub fn value(self, version: Version) -> u32 {
        match self {
            Self::Value(value) => value,
            Self::FromVersion => {
                u32::from(version.major) << 24
                    | u32::from(version.minor) << 16
                    | u32::from(version.revision)
            }
        }
    }
}

/// Where an image runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Where it lies, whatever slot that is.
    #[default]
    Anywhere,
    /// In RAM, copied to this address. (`--load-addr`)
    RamLoad(u32),
    /// Only in the slot at this flash address. (`--rom-fixed`)
    RomFixed(u32),
}

/// How an image names the key that it is signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// By its hash: the bootloader has the key.
    #[default]
    Hash,
    /// With the whole key: the bootloader has its hash, in hardware.
    Full,
}

/// Why a text is no list of dependencies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DependencyError {
    /// Not of the form `(image, version), …`.
    #[error("`{0}` is no list of dependencies: they are written (IMAGE, VERSION), …")]
    Form(String),
    /// The version is none.
    #[error("the version `{text}`: {source}")]
    Version {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: ParseVersionError,
    },
}

/// Reads `(1, 1.2.3+4), (2, 0.9)`.
pub fn dependencies(text: &str) -> Result<Vec<Dependency>, DependencyError> {
    let form = || DependencyError::Form(text.into());
    let mut found = Vec::new();
    let mut rest = text.trim();
    loop {
        let inside = rest.strip_prefix('(').ok_or_else(form)?;
        let (one, behind) = inside.split_once(')').ok_or_else(form)?;
        let (image, version) = one.split_once(',').ok_or_else(form)?;
        let image = image.trim().parse().map_err(|_| form())?;
        let version = version.trim();
        let version = version
            .parse()
            .map_err(|source| DependencyError::Version { text: version.into(), source })?;
        found.push(Dependency { image, version });
        rest = behind.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        rest = rest.strip_prefix(',').ok_or_else(form)?.trim_start();
    }
}

/// Why a TLV cannot be added to an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomTlvError {
    /// The type is not one that is left to users.
    #[error("TLV type {0:#06x} is not free: custom TLVs are 0x00a0 to 0xfffe")]
    Type(u16),
    /// The type was given before.
    #[error("TLV type {0:#06x} is given twice")]
    Twice(u16),
    /// A `0x` value that is no whole number of bytes.
    #[error("`{0}` is no value: 0x is followed by an even number of hexadecimal digits")]
    Hex(String),
    /// More than a TLV holds.
    #[error("a TLV holds 65535 bytes, this one has {0}")]
    Length(usize),
}

/// Reads a custom TLV's value: `0x` and hexadecimal digits, or text.
pub fn parse_custom_tlv(value: &str) -> Result<Vec<u8>, CustomTlvError> {
    let Some(digits) = value.strip_prefix("0x") else {
        return Ok(value.as_bytes().to_vec());
    };
    let error = || CustomTlvError::Hex(value.into());
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(error());
    }
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| error());
    (0..digits.len()).step_by(2).map(byte).collect()
}
