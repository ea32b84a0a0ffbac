//! The slots of an application behind SMP's image group.

use updraft_flash::{Fault, FlashError, FlashMap};
use updraft_image::{
    Digest, Flag, HashKind, Header, HeaderError, Magic, Refusal, SwapType, UpgradeMode, Verifier,
};
use updraft_smp::ImageError;
use updraft_smp::server::{Incoming, Refused, SlotImage, Slots, Trial};

use crate::hooks::Kept;
use crate::{Dfu, DfuError, Hooks, Offer, ResumeError, SlotTable, SlotWriter, Upgrade};

/// The slots of a device. `D` holds a [`Dfu`] for each image. Uploads are written in blocks of `N`
/// bytes, a multiple of the slots' write size.
#[derive(Debug)]
pub struct DfuSlots<M, V, D = Dfu, H = (), const N: usize = 512> {
    map: M,
    verifier: V,
    table: SlotTable<D>,
    hooks: H,
    upload: Option<Upload<N>>,
}

/// An upload under way.
#[derive(Debug)]
struct Upload<const N: usize> {
    incoming: Incoming,
    writer: SlotWriter<N>,
    /// Bytes of it when its progress was last kept.
    kept: u32,
}

/// The one upload at a time has no need of a name for its progress.
const KEY: &str = "";

impl<M: FlashMap, V: Verifier, D: AsRef<[Dfu]>, const N: usize> DfuSlots<M, V, D, (), N> {
    /// The slots of `table` in `map`.
    pub fn new(map: M, verifier: V, table: SlotTable<D>) -> Self {
        Self::with_hooks(map, verifier, table, ())
    }
}

impl<M, V, D, H, const N: usize> DfuSlots<M, V, D, H, N>
where
    M: FlashMap,
    V: Verifier,
    D: AsRef<[Dfu]>,
    H: Hooks,
{
    /// The same for an application that wants to know, or to have a say.
    pub fn with_hooks(map: M, verifier: V, table: SlotTable<D>, hooks: H) -> Self {
        Self { map, verifier, table, hooks, upload: None }
    }

    /// The slots by number.
    pub fn table(&self) -> &SlotTable<D> {
        &self.table
    }

    /// The flash map.
    pub fn map(&mut self) -> &mut M {
        &mut self.map
    }

    /// The flash map, and the update state of an image in it.
    pub fn image(&mut self, image: u8) -> Option<(&mut M, &Dfu)> {
        Some((&mut self.map, self.table.image(image)?))
    }

    /// What checks signatures.
    pub fn verifier(&self) -> &V {
        &self.verifier
    }

    /// What is told of uploads.
    pub fn hooks(&mut self) -> &mut H {
        &mut self.hooks
    }

    /// Gives flash map and verifier back.
    pub fn into_parts(self) -> (M, V) {
        (self.map, self.verifier)
    }

    /// Ends an upload that is under way.
    fn stop(&mut self) {
        if let Some(Upload { incoming, .. }) = self.upload.take() {
            self.hooks.forget_progress();
            self.hooks.stopped(&incoming);
        }
    }
}

/// An error of the slots on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The slots refused.
    Dfu(DfuError<E>),
    /// The application's own hooks refused.
    Hooks(Refused),
}

impl<E> From<DfuError<E>> for Error<E> {
    fn from(error: DfuError<E>) -> Self {
        Self::Dfu(error)
    }
}

impl<E: FlashError> From<Error<E>> for Refused {
    fn from(error: Error<E>) -> Self {
        match error {
            Error::Dfu(error) => refused(error),
            Error::Hooks(refused) => refused,
        }
    }
}

fn refused<E: FlashError>(error: DfuError<E>) -> Refused {
    let slot = |reason| Refused::because(ImageError::NoFreeSlot, reason);
    let header = |reason| Refused::because(ImageError::InvalidImageHeaderMagic, reason);
    match error {
        DfuError::NoSlot { .. } | DfuError::NoSuchSlot { .. } => ImageError::InvalidSlot.into(),
        DfuError::ActiveSlot => slot("slot is running"),
        DfuError::KeptForRevert => slot("slot is kept for a revert"),
        DfuError::NoImage(error) => match error {
            HeaderError::Flags { .. } => {
                Refused::because(ImageError::InvalidImageHeader, "encrypted or compressed")
            }
            HeaderError::TooLarge { .. } => {
                Refused::because(ImageError::InvalidImageHeader, "file ends before the image")
            }
            HeaderError::HeaderSize { .. } => ImageError::InvalidImageHeader.into(),
            _ => ImageError::NoImage.into(),
        },
        DfuError::Tlvs(_) => ImageError::NoTlvs.into(),
        DfuError::Hashes { found: 0 } => Refused::unverified("image has no hash"),
        DfuError::Hashes { .. } => ImageError::MultipleHashes.into(),
        DfuError::Length { len: 0, .. } => ImageError::InvalidLength.into(),
        DfuError::Length { .. } => ImageError::InvalidImageTooLarge.into(),
        DfuError::LinkedElsewhere { .. } => ImageError::InvalidFlashAddress.into(),
        DfuError::Misplaced { .. } => header("image in the wrong place"),
        DfuError::BadTrailer { .. } => header("trailer is damaged"),
        DfuError::NoRequests(_) => slot("newest image boots"),
        DfuError::Flash(error) if error.fault() == Fault::Unreadable => {
            ImageError::FlashReadFailed.into()
        }
        DfuError::Write(_) | DfuError::Flash(_) => ImageError::FlashWriteFailed.into(),
        DfuError::NoUpload => ImageError::FlashContextNotSet.into(),
        DfuError::Refused(refusal) => unverified(&refusal),
    }
}

fn unverified<E>(refusal: &Refusal<E>) -> Refused {
    match refusal {
        Refusal::Header(_) => ImageError::NoImage.into(),
        Refusal::TooLarge { .. } => ImageError::InvalidImageTooLarge.into(),
        Refusal::Hash { .. } | Refusal::NoHash { .. } => Refused::unverified("image is damaged"),
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
    }
}

impl<M, V, D, H, const N: usize> Slots for DfuSlots<M, V, D, H, N>
where
    M: FlashMap,
    V: Verifier,
    D: AsRef<[Dfu]>,
    H: Hooks,
{
    type Error = Error<M::Error>;

    fn images(&self) -> u8 {
        self.table.images()
    }

    fn mode(&self) -> UpgradeMode {
        let running = self.table.image(self.table.running_image());
        running.map_or(UpgradeMode::SingleSlot, |dfu| dfu.config().trailers.mode)
    }

    fn slot_size(&self, slot: u8) -> Option<u32> {
        self.table.size(&self.map, slot)
    }

    fn max_image_size(&self, slot: u8) -> Option<u32> {
        let (dfu, _) = self.table.slot(slot)?;
        Some(self.slot_size(slot)?.min(dfu.max_image_size(&self.map)))
    }

    fn active_slot(&self, image: u8) -> Option<u8> {
        self.table.active_slot(image)
    }

    fn running_image(&self) -> u8 {
        self.table.running_image()
    }

    fn hash_len(&self) -> usize {
        let running = self.table.image(self.table.running_image());
        running.map_or(HashKind::Sha256, |dfu| dfu.config().rules.hash).size()
    }

    fn image_info(&mut self, slot: u8) -> Result<Option<SlotImage>, Self::Error> {
        match self.table.image_info(&mut self.map, slot) {
            Ok(info) => {
                let Header { version, flags, .. } = info.header;
                Ok(Some(SlotImage { version, hash: info.hash, flags }))
            }
            Err(DfuError::Flash(error)) if error.fault() != Fault::OutOfBounds => {
                Err(DfuError::Flash(error).into())
            }
            Err(_) => Ok(None),
        }
    }

    fn swap_type(&mut self, image: u8) -> Result<SwapType, Self::Error> {
        Ok(self.table.swap_type(&mut self.map, image)?)
    }

    fn has_trials(&self) -> bool {
        let running = self.table.image(self.table.running_image());
        running.is_some_and(Dfu::has_trials)
    }

    fn trial(&mut self, slot: u8) -> Result<Trial, Self::Error> {
        let Some((dfu, which)) = self.table.slot(slot) else { return Ok(Trial::Unset) };
        let state = dfu.trailer(which).read(&mut self.map).map_err(DfuError::Flash)?;
        Ok(match (state.magic, state.image_ok, state.copy_done) {
            (Magic::Bad | Magic::Unset, ..) => Trial::Unset,
            (Magic::Good, Flag::Set, _) => Trial::Forever,
            (Magic::Good, _, Flag::Set) => Trial::Revert,
            (Magic::Good, _, _) => Trial::Once,
        })
    }

    fn admit(&mut self, upload: &Incoming) -> Result<(), Self::Error> {
        let (dfu, which) = self.table.slot(upload.slot).ok_or(missing(upload.slot))?;
        if which == dfu.active_slot() {
            return Err(DfuError::ActiveSlot.into());
        }
        let offer = Offer { len: upload.len, header: upload.header };
        dfu.admit(&mut self.map, &offer)?;
        self.hooks.admit(upload).map_err(Error::Hooks)
    }

    fn begin_upload(&mut self, upload: &Incoming) -> Result<u32, Self::Error> {
        self.stop();
        let (dfu, which) = self.table.slot(upload.slot).ok_or(missing(upload.slot))?;
        if which == dfu.active_slot() {
            return Err(DfuError::ActiveSlot.into());
        }
        let writer = match &upload.sha256 {
            Some(tag) if self.hooks.progress_every() > 0 => {
                let progress = (&mut Kept(&mut self.hooks), KEY, tag);
                dfu.resume_writer(&mut self.map, progress).map_err(|error| match error {
                    ResumeError::Dfu(error) => error,
                    ResumeError::Store(never) => match never {},
                })?
            }
            _ => dfu.writer(&mut self.map)?,
        };
        let kept = writer.written();
        if kept == 0 {
            self.hooks.forget_progress();
        }
        self.upload = Some(Upload { incoming: *upload, writer, kept });
        self.hooks.started(upload);
        Ok(kept)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<(), Self::Error> {
        let Some(upload) = &mut self.upload else {
            return Err(DfuError::NoUpload.into());
        };
        let Upload { incoming, writer, .. } = upload;
        let written = match self.hooks.chunk(incoming, offset, data.len()) {
            Ok(()) => writer.write(&mut self.map, data).map_err(|error| Error::Dfu(error.into())),
            Err(refused) => Err(Error::Hooks(refused)),
        };
        let taken = u32::try_from(data.len()).map_or(u32::MAX, |len| offset.saturating_add(len));
        match written {
            Ok(()) if taken < incoming.len => {
                upload.keep(&mut self.map, &mut self.hooks);
                self.hooks.written(&upload.incoming, taken);
            }
            Ok(()) => {}
            Err(_) => self.stop(),
        }
        written
    }

    fn finish_upload(&mut self) -> Result<(), Self::Error> {
        let Upload { incoming, writer, .. } = self.upload.take().ok_or(DfuError::NoUpload)?;
        self.hooks.forget_progress();
        match writer.finish(&mut self.map) {
            Ok(_) => self.hooks.received(&incoming),
            Err(error) => {
                self.hooks.stopped(&incoming);
                return Err(Error::Dfu(error.into()));
            }
        }
        Ok(())
    }

    fn abort_upload(&mut self) {
        self.stop();
    }

    fn matches(&mut self, slot: u8, len: u32, sha256: &[u8; 32]) -> Result<bool, Self::Error> {
        let Some((dfu, which)) = self.table.slot(slot) else { return Ok(false) };
        let Some(wanted) = Digest::from_slice(HashKind::Sha256, sha256) else { return Ok(false) };
        match dfu.check(&mut self.map, which, len, &wanted) {
            Err(DfuError::Length { .. }) => Ok(false),
            checked => Ok(checked?),
        }
    }

    fn erase_slot(&mut self, slot: u8) -> Result<(), Self::Error> {
        let (dfu, which) = self.table.slot(slot).ok_or(missing(slot))?;
        if which != dfu.active_slot() {
            self.stop();
        }
        Ok(self.table.erase(&mut self.map, slot)?)
    }

    fn request_boot(&mut self, slot: u8, permanent: bool) -> Result<(), Self::Error> {
        let upgrade = if permanent { Upgrade::Permanent } else { Upgrade::Test };
        self.table.request(&mut self.map, &mut self.verifier, slot, upgrade)?;
        Ok(())
    }

    fn confirm(&mut self, slot: u8) -> Result<(), Self::Error> {
        let (dfu, which) = self.table.slot(slot).ok_or(missing(slot))?;
        if which != dfu.active_slot() {
            return Err(DfuError::ActiveSlot.into());
        }
        dfu.confirm(&mut self.map)?;
        self.hooks.confirmed(slot / 2);
        Ok(())
    }
}

impl<const N: usize> Upload<N> {
    /// Keeps how far it has come, if it is time to. That serves a reset that may never come: if it
    /// fails, nothing is lost yet.
    fn keep<M: FlashMap, H: Hooks>(&mut self, map: &mut M, hooks: &mut H) {
        let (every, written) = (hooks.progress_every(), self.writer.written());
        let Some(tag) = &self.incoming.sha256 else { return };
        if every > 0 && written.saturating_sub(self.kept) >= every {
            self.kept = written;
            let _ = self.writer.save_progress(map, (&mut Kept(hooks), KEY, tag));
        }
    }
}

fn missing<E>(slot: u8) -> Error<E> {
    Error::Dfu(DfuError::NoSuchSlot { slot })
}
