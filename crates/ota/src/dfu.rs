//! The agent's platform over `updraft-dfu`: the slot that takes uploads, and the boot flags.

use updraft_dfu::{Dfu, DfuError, Upgrade};
use updraft_flash::{AreaInfo, FlashMap, Sector, is_blank};
use updraft_image::{Digest, Header, Verifier};

use crate::platform::{Answer, ImageState, Platform, Verdict, Verified, Written};
use crate::{Gate, Version};

/// Bytes of the longest write that a flash may want.
const LONGEST_WRITE: usize = 512;

/// What is neither flash nor boot flags.
pub trait System {
    /// Why a record could not be kept.
    type Error: Copy + core::fmt::Debug;

    /// Resets the device. On a chip this does not return.
    fn reset(&mut self);

    /// Puts the record that was kept last into `record`, as far as it goes; says how long it is.
    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Keeps `record` where a reset does not reach it, in place of the last one.
    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error>;

    /// Whether an update may go on.
    fn gate(&mut self, gate: Gate) -> Answer {
        let _ = gate;
        Answer::Go
    }

    /// Whether `signature` is that of `certificate` over the image's SHA-256, see
    /// [`Platform::is_signed`].
    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        let _ = (digest, signature, certificate);
        false
    }

    /// Whether a job must bring a signature of its own.
    fn demands_job_signature(&self) -> bool {
        false
    }
}

impl<S: System> System for &mut S {
    type Error = S::Error;

    fn reset(&mut self) {
        (**self).reset();
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        (**self).load(record)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error> {
        (**self).save(record)
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        (**self).gate(gate)
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        (**self).is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        (**self).demands_job_signature()
    }
}

/// Why something failed: by the slot, or by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<E, S> {
    /// The slot.
    Dfu(DfuError<E>),
    /// The system.
    System(S),
}

/// One image of a device.
///
/// Blocks may come in any order, and are looked at before they are written: what a power cut left of
/// a write is in the way, and only the sector that it is in is erased.
#[derive(Debug)]
pub struct Slot<M, V, S> {
    dfu: Dfu,
    map: M,
    verifier: V,
    system: S,
}

impl<M, V, S> Slot<M, V, S>
where
    M: FlashMap,
    M::Error: Copy + core::fmt::Debug,
    V: Verifier,
    S: System,
{
    /// The image that `dfu` is about. `verifier` has the keys that the bootloader has.
    pub fn new(dfu: Dfu, map: M, verifier: V, system: S) -> Self {
        Self { dfu, map, verifier, system }
    }

    /// The flash.
    pub fn map(&mut self) -> &mut M {
        &mut self.map
    }

    /// What is neither flash nor boot flags.
    pub fn system(&mut self) -> &mut S {
        &mut self.system
    }

    /// Where the image begins in its area.
    fn start(&self) -> u32 {
        self.dfu.upload_start(&self.map, self.dfu.upload_slot())
    }

    fn area(&self) -> updraft_flash::AreaId {
        self.dfu.area(self.dfu.upload_slot())
    }

    fn info(&self) -> Result<AreaInfo, Fault<M::Error, S::Error>> {
        let area = self.area();
        self.map.info(area).ok_or(Fault::Dfu(DfuError::NoSlot { area }))
    }

    fn sector(&self, at: u32) -> Result<Sector, Fault<M::Error, S::Error>> {
        let area = self.area();
        let sector = self.map.sector_at(area, self.start().saturating_add(at));
        sector.ok_or(Fault::Dfu(DfuError::NoSlot { area }))
    }

    /// Whether flash reads as `data`, and whether it is blank. What cannot be read is neither.
    fn compare(&mut self, offset: u32, data: &[u8], erased: u8) -> (bool, bool) {
        let (area, mut at) = (self.area(), self.start().saturating_add(offset));
        let (mut same, mut blank) = (true, true);
        for wanted in data.chunks(256) {
            let mut piece = [0; 256];
            let piece = piece.get_mut(..wanted.len()).unwrap_or_default();
            if self.map.read(area, at, piece).is_err() {
                return (false, false);
            }
            same &= piece == wanted;
            blank &= piece.iter().all(|byte| *byte == erased);
            at = at.saturating_add(wanted.len() as u32);
        }
        (same, blank)
    }

    fn program(&mut self, offset: u32, data: &[u8], info: &AreaInfo) -> Result<(), M::Error> {
        let (area, at) = (self.area(), self.start().saturating_add(offset));
        let unit = (info.write_size.max(1) as usize).min(LONGEST_WRITE);
        let (whole, rest) =
            data.split_at_checked(data.len() - data.len() % unit).unwrap_or_default();
        if !whole.is_empty() {
            self.map.write(area, at, whole)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut last = [info.erased; LONGEST_WRITE];
        last.get_mut(..rest.len()).unwrap_or_default().copy_from_slice(rest);
        let last = last.get(..unit).unwrap_or_default();
        self.map.write(area, at.saturating_add(whole.len() as u32), last)
    }
}

impl<M, V, S> Platform for Slot<M, V, S>
where
    M: FlashMap,
    M::Error: Copy + core::fmt::Debug,
    V: Verifier,
    S: System,
{
    type Error = Fault<M::Error, S::Error>;

    fn running(&mut self) -> Version {
        let header = self.dfu.header(&mut self.map, self.dfu.active_slot());
        header.map(|header| header.version.into()).unwrap_or_default()
    }

    fn capacity(&mut self) -> u32 {
        self.dfu.max_image_size(&self.map)
    }

    fn open(&mut self) -> Result<(), Self::Error> {
        self.dfu.is_free(&mut self.map).map_err(Fault::Dfu)?;
        let flash = |error| Fault::Dfu(DfuError::Flash(error));
        let trailer = *self.dfu.trailer(self.dfu.upload_slot());
        // The request goes first: it must never point at half an image.
        if !trailer.is_erased(&mut self.map).map_err(flash)? {
            trailer.erase(&mut self.map).map_err(flash)?;
        }
        // Below an image that begins further on, the bootloader would find an old one.
        let (area, start) = (self.area(), self.start());
        let mut at = 0;
        while let Some(sector) = self.map.sector_at(area, at).filter(|it| it.end() <= start) {
            if !is_blank(&mut self.map, area, sector.offset, sector.size).map_err(flash)? {
                self.map.erase(area, sector.offset, sector.size).map_err(flash)?;
            }
            at = sector.end();
        }
        Ok(())
    }

    fn erase_at(&mut self, at: u32) -> Result<u32, Self::Error> {
        let (sector, area) = (self.sector(at)?, self.area());
        // Where torn writes cannot be read, the sector is not blank.
        let blank = is_blank(&mut self.map, area, sector.offset, sector.size).unwrap_or(false);
        if !blank {
            let erased = self.map.erase(area, sector.offset, sector.size);
            erased.map_err(|error| Fault::Dfu(DfuError::Flash(error)))?;
        }
        Ok(sector.end().saturating_sub(self.start()))
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, Self::Error> {
        let info = self.info()?;
        let (same, blank) = self.compare(offset, data, info.erased);
        if same {
            return Ok(Written::Stored);
        }
        if !blank && !info.kind.writes_replace() {
            let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let last = self.sector(offset.saturating_add(len.saturating_sub(1)))?;
            let (first, start) = (self.sector(offset)?, self.start());
            return Ok(Written::InTheWay {
                start: first.offset.saturating_sub(start),
                end: last.end().saturating_sub(start),
            });
        }
        self.program(offset, data, &info).map_err(|error| Fault::Dfu(DfuError::Flash(error)))?;
        Ok(Written::Stored)
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error> {
        let (area, at) = (self.area(), self.start().saturating_add(offset));
        self.map.read(area, at, buffer).map_err(|error| Fault::Dfu(DfuError::Flash(error)))
    }

    fn close(&mut self, _: u32) -> Result<(), Self::Error> {
        Ok(())
    }

    fn verify(&mut self, size: u32) -> Result<Option<Verified>, Self::Error> {
        let validated = match self.dfu.verify(&mut self.map, &mut self.verifier) {
            Ok(validated) => validated,
            Err(DfuError::Flash(error)) => return Err(Fault::Dfu(DfuError::Flash(error))),
            Err(_) => return Ok(None),
        };
        let slot = self.dfu.upload_slot();
        let header = self.dfu.header(&mut self.map, slot).map_err(Fault::Dfu)?;
        let verified = Verified { version: header.version.into(), any_version: false };
        Ok((validated.stands() && validated.size <= size).then_some(verified))
    }

    fn glimpse(&mut self, first: &[u8]) -> Option<Verified> {
        let header = Header::parse(first).ok()?;
        Some(Verified { version: header.version.into(), any_version: false })
    }

    fn discard(&mut self) -> Result<u32, Self::Error> {
        match self.dfu.takes_requests() {
            true => Ok(0),
            false => self.erase_at(0),
        }
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        self.system.is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        self.system.demands_job_signature()
    }

    fn activate(&mut self) -> Result<(), Self::Error> {
        if !self.dfu.takes_requests() {
            // The newest image boots by itself.
            return Ok(());
        }
        let asked = self.dfu.request_upgrade(&mut self.map, &mut self.verifier, Upgrade::Test);
        asked.map(|_| ()).map_err(Fault::Dfu)
    }

    fn image_state(&mut self) -> Result<ImageState, Self::Error> {
        let confirmed = self.dfu.is_confirmed(&mut self.map).map_err(Fault::Dfu)?;
        Ok(if confirmed { ImageState::Valid } else { ImageState::Trial })
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), Self::Error> {
        match verdict {
            Verdict::Accepted => self.dfu.confirm(&mut self.map).map_err(Fault::Dfu),
            // The bootloader reverts what is not confirmed.
            Verdict::Rejected => Ok(()),
            Verdict::Aborted => {
                self.dfu.is_free(&mut self.map).map_err(Fault::Dfu)?;
                let trailer = *self.dfu.trailer(self.dfu.upload_slot());
                trailer.erase(&mut self.map).map_err(|error| Fault::Dfu(DfuError::Flash(error)))
            }
        }
    }

    fn reset(&mut self) {
        self.system.reset();
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        // What the next boot may go back to is not written over.
        let needed = gate == Gate::Space
            && matches!(self.dfu.is_free(&mut self.map), Err(DfuError::KeptForRevert));
        if needed {
            return Answer::NotNow;
        }
        self.system.gate(gate)
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        self.system.load(record).map_err(Fault::System)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error> {
        self.system.save(record).map_err(Fault::System)
    }
}
