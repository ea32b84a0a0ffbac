//! The slots of an application behind SMP's image group.

use updraft_flash::{FlashError, FlashMap, SlotSource};
use updraft_image::{
    Digest, HashKind, Hasher, Header, Refusal, Source, SwapType, TlvArea, UpgradeMode, Verifier,
};
use updraft_smp::ImageError;
use updraft_smp::server::{Incoming, Refused, SlotImage, Slots};

use crate::{Dfu, DfuError, SlotWriter, Upgrade};

/// Slot numbers of SMP.
const PRIMARY: u8 = 0;
const SECONDARY: u8 = 1;

/// The two slots of one image, for a device that runs from the primary one. Uploads are written in
/// blocks of `N` bytes, a multiple of the secondary slot's write size.
#[derive(Debug)]
pub struct DfuSlots<M, V, const N: usize = 512> {
    map: M,
    verifier: V,
    dfu: Dfu,
    max_size: u32,
    upload: Option<SlotWriter<N>>,
}

impl<M: FlashMap, V: Verifier, const N: usize> DfuSlots<M, V, N> {
    /// The slots described by `dfu` in `map`. Images larger than `max_size` bytes, TLVs included,
    /// are refused at their first packet: the bootloader could not take them.
    pub fn new(map: M, verifier: V, dfu: Dfu, max_size: u32) -> Self {
        Self { map, verifier, dfu, max_size, upload: None }
    }

    /// The update state.
    pub fn dfu(&self) -> &Dfu {
        &self.dfu
    }

    /// The flash map.
    pub fn map(&mut self) -> &mut M {
        &mut self.map
    }

    /// What checks signatures.
    pub fn verifier(&self) -> &V {
        &self.verifier
    }

    /// Gives flash map and verifier back.
    pub fn into_parts(self) -> (M, V) {
        (self.map, self.verifier)
    }

    fn area(&self, slot: u8) -> Option<updraft_flash::AreaId> {
        match slot {
            PRIMARY => Some(self.dfu.config().slots.primary),
            SECONDARY => Some(self.dfu.config().slots.secondary),
            _ => None,
        }
    }

    fn info(&mut self, slot: u8) -> Result<Option<SlotImage>, Error<M::Error>> {
        let Some(area) = self.area(slot) else { return Ok(None) };
        // The image that a revert brings back may lie elsewhere than an update.
        let start = match slot {
            SECONDARY if self.dfu.swap_type(&mut self.map)? != SwapType::Revert => {
                self.dfu.update_start(&self.map)
            }
            _ => 0,
        };
        let mut source = SlotSource::at(&mut self.map, area, start);
        let mut bytes = [0; Header::SIZE];
        source.read(0, &mut bytes).map_err(DfuError::Flash)?;
        let Ok(header) = Header::parse(&bytes) else { return Ok(None) };
        let Ok(tlvs) = TlvArea::open(&mut source, &header) else { return Ok(None) };
        let mut iter = tlvs.iter();
        let mut hash = None;
        loop {
            let entry = match iter.next(&mut source) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(_) => return Ok(None),
            };
            let Some(kind) = HashKind::from_tlv(entry.kind) else { continue };
            let mut buf = [0; 64];
            let payload = entry.payload(&mut source, &mut buf).map_err(DfuError::Flash)?;
            match payload.and_then(|payload| Digest::from_slice(kind, payload)) {
                Some(digest) if hash.is_none() => hash = Some(digest),
                _ => return Ok(None),
            }
        }
        let image = |hash| SlotImage { version: header.version, hash, flags: header.flags };
        Ok(hash.map(image))
    }
}

/// An error of the slots on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<E>(pub DfuError<E>);

impl<E> From<DfuError<E>> for Error<E> {
    fn from(error: DfuError<E>) -> Self {
        Self(error)
    }
}

impl<E: FlashError> From<Error<E>> for Refused {
    fn from(Error(error): Error<E>) -> Self {
        match error {
            DfuError::NoSlot { .. } => ImageError::InvalidSlot.into(),
            DfuError::ActiveSlot => Refused::because(ImageError::NoFreeSlot, "slot is running"),
            DfuError::NoImage(_) => ImageError::NoImage.into(),
            DfuError::Misplaced { .. } => {
                Refused::because(ImageError::InvalidImageHeaderMagic, "image in the wrong place")
            }
            DfuError::BadTrailer { .. } => {
                Refused::because(ImageError::InvalidImageHeaderMagic, "trailer is damaged")
            }
            DfuError::Write(_) | DfuError::Flash(_) => ImageError::FlashWriteFailed.into(),
            DfuError::NoUpload => ImageError::FlashContextNotSet.into(),
            DfuError::Refused(refusal) => match refusal {
                Refusal::Header(_) => ImageError::NoImage.into(),
                Refusal::TooLarge { .. } => ImageError::InvalidImageTooLarge.into(),
                Refusal::Hash { .. } | Refusal::NoHash { .. } => {
                    Refused::unverified("image is damaged")
                }
                Refusal::NoSignature { .. } | Refusal::Signature { .. } | Refusal::NotPure => {
                    Refused::unverified("signature is not trusted")
                }
                Refusal::NoBoardId { .. } => Refused::unverified("image names no board"),
                Refusal::OtherBoard { .. } => Refused::unverified("image is for another board"),
                Refusal::SecurityCounter { .. } | Refusal::NoSecurityCounter => {
                    Refused::because(ImageError::CurrentVersionIsNewer, "security counter")
                }
                Refusal::Read(_) => ImageError::FlashReadFailed.into(),
                _ => Refused::unverified("image is malformed"),
            },
        }
    }
}

impl<M: FlashMap, V: Verifier, const N: usize> Slots for DfuSlots<M, V, N> {
    type Error = Error<M::Error>;

    fn images(&self) -> u8 {
        1
    }

    fn mode(&self) -> UpgradeMode {
        self.dfu.config().trailers.mode
    }

    fn slot_size(&self, slot: u8) -> Option<u32> {
        Some(self.map.info(self.area(slot)?)?.size)
    }

    fn max_image_size(&self, slot: u8) -> Option<u32> {
        Some(self.slot_size(slot)?.min(self.max_size))
    }

    fn active_slot(&self, image: u8) -> Option<u8> {
        (image == 0).then_some(PRIMARY)
    }

    fn hash_len(&self) -> usize {
        self.dfu.config().rules.hash.size()
    }

    fn image_info(&mut self, slot: u8) -> Result<Option<SlotImage>, Self::Error> {
        self.info(slot)
    }

    fn swap_type(&mut self, _: u8) -> Result<SwapType, Self::Error> {
        Ok(self.dfu.swap_type(&mut self.map)?)
    }

    fn begin_upload(&mut self, upload: &Incoming) -> Result<(), Self::Error> {
        self.upload = None;
        if upload.slot != SECONDARY {
            return Err(DfuError::ActiveSlot.into());
        }
        let start = self.dfu.update_start(&self.map);
        let writer = SlotWriter::new(&mut self.map, self.dfu.secondary_trailer(), start);
        self.upload = Some(writer.map_err(DfuError::from)?);
        Ok(())
    }

    fn write(&mut self, _: u32, data: &[u8]) -> Result<(), Self::Error> {
        let Some(writer) = &mut self.upload else { return Err(DfuError::NoUpload.into()) };
        let written = writer.write(&mut self.map, data);
        if written.is_err() {
            self.upload = None;
        }
        Ok(written.map_err(DfuError::from)?)
    }

    fn finish_upload(&mut self) -> Result<(), Self::Error> {
        let writer = self.upload.take().ok_or(DfuError::NoUpload)?;
        writer.finish(&mut self.map).map_err(DfuError::from)?;
        Ok(())
    }

    fn matches(&mut self, slot: u8, len: u32, sha256: &[u8; 32]) -> Result<bool, Self::Error> {
        let Some(area) = self.area(slot) else { return Ok(false) };
        let start = if slot == SECONDARY { self.dfu.update_start(&self.map) } else { 0 };
        let mut hasher = Hasher::new(HashKind::Sha256);
        let mut piece = [0; 256];
        let mut at = 0;
        while at < len {
            let n = (len - at).min(piece.len() as u32);
            let piece = piece.get_mut(..n as usize).unwrap_or_default();
            self.map.read(area, start.saturating_add(at), piece).map_err(DfuError::Flash)?;
            hasher.update(piece);
            at += n;
        }
        Ok(hasher.finish().as_bytes() == sha256)
    }

    fn erase_slot(&mut self, slot: u8) -> Result<(), Self::Error> {
        self.upload = None;
        match slot {
            SECONDARY => Ok(self.dfu.erase_slot(&mut self.map)?),
            _ => Err(DfuError::ActiveSlot.into()),
        }
    }

    fn request_boot(&mut self, slot: u8, permanent: bool) -> Result<(), Self::Error> {
        if slot != SECONDARY {
            return Err(DfuError::ActiveSlot.into());
        }
        let upgrade = if permanent { Upgrade::Permanent } else { Upgrade::Test };
        self.dfu.request_upgrade(&mut self.map, &mut self.verifier, upgrade)?;
        Ok(())
    }

    fn confirm(&mut self, slot: u8) -> Result<(), Self::Error> {
        match slot {
            PRIMARY => Ok(self.dfu.confirm(&mut self.map)?),
            _ => Err(DfuError::ActiveSlot.into()),
        }
    }
}
