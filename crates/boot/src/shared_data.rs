//! What the bootloader tells the application: measurements and facts about the boot, in memory
//! that both know.
//!
//! ```text
//! u16 0x2016 │ u16 total │ u16 type │ u16 len │ payload │ u16 type │ …      little-endian
//! ```
//! `total` counts these four bytes too, `len` the payload only; nothing is aligned. A type is
//! major (4 bits) and minor (12 bits). Source: MCUboot `docs/design.md`, "Measured boot and data
//! sharing", and `boot/bootutil/include/bootutil/boot_status.h`.

use core::fmt;

use updraft_flash::{FlashMap, SlotSource};
use updraft_image::{Describe, Header, Refusal, Source, TlvArea, TlvType, UpgradeMode, Version};

use crate::{Boot, BootError};

const MAGIC: u16 = 0x2016;
const HEADER: usize = 4;
/// Major type of measurements.
const ATTESTATION: u16 = 1;
/// Major type of facts about the boot.
const BOOT_INFO: u16 = 2;
/// Claim of a whole boot record.
const RECORD_CLAIM: u16 = 0x3f;
/// The longest boot record: the longest text fields, two 64-byte hashes, and the CBOR around them.
const LONGEST_RECORD: usize = 256;

/// The signature scheme that the bootloader was built for, as shared data names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SharedSignature {
    /// None.
    None = 0,
    /// RSA.
    Rsa = 1,
    /// ECDSA P-256.
    EcdsaP256 = 2,
    /// Ed25519.
    Ed25519 = 3,
}

/// The recovery that the bootloader was built with, as shared data names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SharedRecovery {
    /// None.
    None = 0,
    /// Serial recovery.
    Serial = 1,
    /// USB DFU.
    Dfu = 2,
}

/// Facts about the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootInfo {
    /// The upgrade mode.
    pub mode: UpgradeMode,
    /// The signature scheme.
    pub signature: SharedSignature,
    /// The recovery.
    pub recovery: SharedRecovery,
    /// The slot that runs: 0 is the primary one.
    pub running_slot: u8,
    /// The bootloader's own version.
    pub bootloader: Version,
    /// The largest image number 0 with its TLVs, in bytes.
    pub max_app_size: u32,
}

/// Why something was not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareError<E> {
    /// The memory is full.
    Full,
    /// That type is there already.
    Twice {
        /// The type.
        kind: u16,
    },
    /// The image has no boot record, or none that can be completed.
    NoRecord,
    /// The image cannot be read.
    Image(Refusal<E>),
}

impl<E: Describe> fmt::Display for ShareError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the shared memory is full"),
            Self::Twice { kind } => write!(f, "shared data {kind:#06x} is there already"),
            Self::NoRecord => f.write_str("the image has no boot record"),
            Self::Image(refusal) => refusal.fmt(f),
        }
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for ShareError<E> {}

impl<E> From<ShareError<E>> for BootError<E> {
    fn from(error: ShareError<E>) -> Self {
        match error {
            ShareError::Image(refusal) => Self::Refused(refusal),
            _ => Self::SharedData,
        }
    }
}

/// Shared memory while it is being filled.
#[derive(Debug)]
pub struct SharedData<'b> {
    bytes: &'b mut [u8],
    used: usize,
}

impl<'b> SharedData<'b> {
    /// Takes over `bytes` and clears them; `None` if they are too few even for an empty area.
    pub fn new(bytes: &'b mut [u8]) -> Option<Self> {
        bytes.fill(0);
        let mut data = Self { bytes, used: HEADER };
        data.write_header()?;
        Some(data)
    }

    fn write_header(&mut self) -> Option<()> {
        let total = u16::try_from(self.used).ok()?;
        let header = self.bytes.get_mut(..HEADER)?;
        let ([m0, m1], [t0, t1]) = (MAGIC.to_le_bytes(), total.to_le_bytes());
        header.copy_from_slice(&[m0, m1, t0, t1]);
        Some(())
    }

    /// The area so far.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Whether an entry of that type is there.
    fn contains(&self, kind: u16) -> bool {
        let mut rest = self.bytes().get(HEADER..).unwrap_or_default();
        while let Some(([t0, t1, l0, l1], after)) = rest.split_first_chunk() {
            if u16::from_le_bytes([*t0, *t1]) == kind {
                return true;
            }
            let len = usize::from(u16::from_le_bytes([*l0, *l1]));
            rest = after.get(len..).unwrap_or_default();
        }
        false
    }

    /// Adds an entry; nothing is changed if it does not fit or its type is there already.
    pub fn add<E>(&mut self, major: u16, minor: u16, payload: &[u8]) -> Result<(), ShareError<E>> {
        let kind = major << 12 | minor & 0x0fff;
        if self.contains(kind) {
            return Err(ShareError::Twice { kind });
        }
        let len = u16::try_from(payload.len()).map_err(|_| ShareError::Full)?;
        let end = self.used.checked_add(4 + payload.len()).ok_or(ShareError::Full)?;
        u16::try_from(end).map_err(|_| ShareError::Full)?;
        let entry = self.bytes.get_mut(self.used..end).ok_or(ShareError::Full)?;
        let ([t0, t1], [l0, l1]) = (kind.to_le_bytes(), len.to_le_bytes());
        let (head, body) = entry.split_at_mut_checked(4).ok_or(ShareError::Full)?;
        head.copy_from_slice(&[t0, t1, l0, l1]);
        body.copy_from_slice(payload);
        self.used = end;
        self.write_header().ok_or(ShareError::Full)
    }

    /// Adds facts about the boot, and the security counter of the image that runs if it has one:
    /// all of it, or nothing.
    pub fn add_boot_info<E>(&mut self, info: &BootInfo, boot: &Boot) -> Result<(), ShareError<E>> {
        let before = self.used;
        let added = self.try_boot_info(info, boot);
        if added.is_err() {
            self.bytes.get_mut(before..self.used).unwrap_or_default().fill(0);
            self.used = before;
            self.write_header().ok_or(ShareError::Full)?;
        }
        added
    }

    fn try_boot_info<E>(&mut self, info: &BootInfo, boot: &Boot) -> Result<(), ShareError<E>> {
        self.add(BOOT_INFO, 0, &[info.mode as u8])?;
        self.add(BOOT_INFO, 1, &[info.signature as u8])?;
        self.add(BOOT_INFO, 2, &[info.recovery as u8])?;
        self.add(BOOT_INFO, 3, &[info.running_slot])?;
        self.add(BOOT_INFO, 4, &info.bootloader.to_bytes())?;
        self.add(BOOT_INFO, 5, &info.max_app_size.to_le_bytes())?;
        self.add_security_counter(boot)
    }

    /// Adds the security counter of an image, if it has one that was looked at. Facts about the boot
    /// have that of their image already; this is for the others of a device with several.
    pub fn add_security_counter<E>(&mut self, boot: &Boot) -> Result<(), ShareError<E>> {
        match boot.validated.and_then(|validated| validated.security_counter) {
            Some(counter) => {
                self.add(BOOT_INFO, 0x10 + u16::from(boot.image), &counter.to_le_bytes())
            }
            None => Ok(()),
        }
    }

    /// Adds the measurement of an image that has been validated: its boot record, whose last field
    /// was left empty when the image was made, completed with the image's hash. `flash` is the map
    /// that [`Hooks::ready`](crate::Hooks::ready) is given, where an image that was loaded to RAM is
    /// read as it was validated.
    pub fn add_boot_record<M: FlashMap>(
        &mut self,
        flash: &mut M,
        boot: &Boot,
    ) -> Result<(), ShareError<M::Error>> {
        let hash = boot.validated.map(|validated| validated.hash).ok_or(ShareError::NoRecord)?;
        let mut source = SlotSource::at(flash, boot.area, boot.offset);
        let mut record = [0; LONGEST_RECORD];
        let len = record_of(&mut source, &boot.header, &mut record)?.ok_or(ShareError::NoRecord)?;
        let record = record.get_mut(..len).ok_or(ShareError::NoRecord)?;
        let measured = len.checked_sub(hash.as_bytes().len()).ok_or(ShareError::NoRecord)?;
        let field = record.get_mut(measured..).ok_or(ShareError::NoRecord)?;
        field.copy_from_slice(hash.as_bytes());
        self.add(ATTESTATION, u16::from(boot.image) << 6 | RECORD_CLAIM, record)
    }
}

/// Reads the boot record; its length, or `None` if there is none.
fn record_of<S: Source>(
    source: &mut S,
    header: &Header,
    record: &mut [u8; LONGEST_RECORD],
) -> Result<Option<usize>, ShareError<S::Error>> {
    let mut read = || -> Result<Option<usize>, Refusal<S::Error>> {
        let mut tlvs = TlvArea::open(source, header)?.iter_protected();
        let Some(entry) = tlvs.find(source, TlvType::BOOT_RECORD)? else { return Ok(None) };
        match entry.payload(source, record).map_err(Refusal::Read)? {
            Some(payload) => Ok(Some(payload.len())),
            None => Err(Refusal::TlvLength { entry }),
        }
    };
    read().map_err(ShareError::Image)
}
