//! What the image group needs to know of, and do with, the slots of a device.

use updraft_image::{Digest, Flags, Header, SwapType, UpgradeMode, Version};

use crate::ImageError;

/// The plausible image of a slot, as its header and TLVs claim it. Nothing of it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotImage {
    /// Version in the header.
    pub version: Version,
    /// Content of the one hash TLV.
    pub hash: Digest,
    /// Flags in the header.
    pub flags: Flags,
}

/// The first packet of an upload, after all checks that need no more than these facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Absolute number of the slot to be written.
    pub slot: u8,
    /// Bytes of the whole file.
    pub len: u32,
    /// Image header at the beginning of the file.
    pub header: Header,
    /// SHA-256 of the whole file, if the client has told it.
    pub sha256: Option<[u8; 32]>,
}

/// How far the trial of a slot is, in direct-XIP with revert. The trailer of each slot tells:
/// magic not good: [`Unset`](Trial::Unset); `image_ok`: [`Forever`](Trial::Forever); `copy_done`
/// alone: [`Revert`](Trial::Revert); the bare magic: [`Once`](Trial::Once).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trial {
    /// Nothing is asked of the bootloader.
    #[default]
    Unset,
    /// To be booted once.
    Once,
    /// Was booted once and will be dropped at the next boot.
    Revert,
    /// Confirmed.
    Forever,
}

/// Why a slot operation was refused: the code for the client and, where there is more to say, a
/// short text that version 1 clients get as `rsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub error: ImageError,
    /// A short text, a few words.
    pub reason: Option<&'static str>,
}

impl Refused {
    /// A code with a text.
    pub const fn because(error: ImageError, reason: &'static str) -> Self {
        Self { error, reason: Some(reason) }
    }

    /// The code for an image that does not verify (hash, signature, wrong board). The group has
    /// no code of its own for that; [`ImageError::InvalidTlv`] comes closest.
    pub const fn unverified(reason: &'static str) -> Self {
        Self::because(ImageError::InvalidTlv, reason)
    }
}

impl From<ImageError> for Refused {
    fn from(error: ImageError) -> Self {
        Self { error, reason: None }
    }
}

/// The slots of a device: facts and primitives. What may be done when is decided by
/// [`ImageGroup`](super::ImageGroup), never here.
///
/// Slots are numbered absolutely: image `n` has slots `2n` (primary) and `2n + 1` (secondary).
/// Offsets and lengths are in bytes from the place where an image starts in the slot.
pub trait Slots {
    /// Why an operation failed, in the implementer's own terms.
    type Error: Into<Refused>;

    /// How many images there are; at least 1.
    fn images(&self) -> u8;

    /// How the bootloader brings an update to where it runs.
    fn mode(&self) -> UpgradeMode;

    /// Size of the slot's area in bytes; `None` if there is no such slot.
    fn slot_size(&self, slot: u8) -> Option<u32>;

    /// Bytes of the largest file that `slot` takes, when the mode leaves less than the area.
    fn max_image_size(&self, slot: u8) -> Option<u32> {
        self.slot_size(slot)
    }

    /// The slot that `image` runs from. `None` when none of them runs, as in a bootloader: then
    /// no slot is protected.
    fn active_slot(&self, image: u8) -> Option<u8>;

    /// The image that the running code belongs to.
    fn running_image(&self) -> u8 {
        0
    }

    /// Bytes of an image hash on this device.
    fn hash_len(&self) -> usize {
        32
    }

    /// The image of a slot; `None` unless header magic, TLV area and exactly one hash are there.
    fn image_info(&mut self, slot: u8) -> Result<Option<SlotImage>, Self::Error>;

    /// What the next boot does with `image`, by its trailers. Asked in modes that copy or swap.
    fn swap_type(&mut self, image: u8) -> Result<SwapType, Self::Error>;

    /// Whether slots are of equal rank, and an image has to be confirmed after its first start:
    /// direct-XIP with revert does so, and RAM load where the bootloader was built for it.
    fn has_trials(&self) -> bool {
        self.mode() == UpgradeMode::DirectXipRevert
    }

    /// The trial state of a slot. Asked where there are [trials](Self::has_trials) only.
    fn trial(&mut self, slot: u8) -> Result<Trial, Self::Error> {
        let _ = slot;
        Ok(Trial::Unset)
    }

    /// Refuses an upload by its header before anything is erased: linked for another address
    /// ([`ImageError::InvalidFlashAddress`]), too large once its trailer is counted
    /// ([`ImageError::InvalidImageTooLarge`]), not for this device, not now.
    fn admit(&mut self, upload: &Incoming) -> Result<(), Self::Error> {
        let _ = upload;
        Ok(())
    }

    /// Makes the slot ready for `upload.len` bytes, its trailer included, and forgets any upload
    /// before. Erasing may be put off to the writes, except that the slot must stop being a
    /// pending update now.
    ///
    /// Returns where the writes are to go on: 0, or behind what is in flash of the same file
    /// already, from an upload that a reset broke off.
    fn begin_upload(&mut self, upload: &Incoming) -> Result<u32, Self::Error>;

    /// Takes the bytes at `offset`, which is where the bytes before ended. They may be buffered up
    /// to the write size of the flash. After an error the upload is dead.
    fn write(&mut self, offset: u32, data: &[u8]) -> Result<(), Self::Error>;

    /// Writes what is still buffered. The upload is over, whatever comes back.
    fn finish_upload(&mut self) -> Result<(), Self::Error>;

    /// The upload that was begun ends here, unfinished, and nothing takes its place: its client
    /// sent more than it had announced, or offers what the slot holds already. Nothing, unless
    /// somebody has to know.
    fn abort_upload(&mut self) {}

    /// Whether the first `len` bytes of the slot, read back from flash, have this SHA-256.
    fn matches(&mut self, slot: u8, len: u32, sha256: &[u8; 32]) -> Result<bool, Self::Error>;

    /// Erases a whole slot, its trailer included; a blank slot is left as it is.
    fn erase_slot(&mut self, slot: u8) -> Result<(), Self::Error>;

    /// Verifies the image in a slot that does not run, then asks the bootloader to boot it: once
    /// on trial, or for good. An image that does not verify is refused with
    /// [`Refused::unverified`] and nothing is written.
    fn request_boot(&mut self, slot: u8, permanent: bool) -> Result<(), Self::Error>;

    /// Confirms the image that runs from `slot`, so that it is not reverted. Doing so twice is no
    /// error.
    fn confirm(&mut self, slot: u8) -> Result<(), Self::Error>;
}
