//! A device with one image.

use updraft_dfu::{Dfu, DfuError, Upgrade};
use updraft_flash::FlashMap;
use updraft_image::{Digest, Header, Verifier};

use super::image::Image;
use super::{Fault, System};
use crate::platform::{Answer, ImageState, Look, Platform, Verdict, Verified, Written};
use crate::{Gate, Reason, Version};

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

    fn image(&mut self) -> Image<'_, M> {
        Image { dfu: &self.dfu, map: &mut self.map }
    }
}

/// What the header at the beginning of an image says.
pub(super) fn look(first: &[u8]) -> Look {
    let header = Header::parse(first).ok();
    let version =
        header.map(|header| Verified { version: header.version.into(), any_version: false });
    Look { version, ..Look::UNKNOWN }
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
        self.image().running()
    }

    fn capacity(&mut self) -> u32 {
        self.dfu.max_image_size(&self.map)
    }

    fn open(&mut self) -> Result<(), Self::Error> {
        self.image().open().map_err(Fault::Dfu)
    }

    fn erase_at(&mut self, at: u32) -> Result<u32, Self::Error> {
        self.image().erase_at(at).map_err(Fault::Dfu)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, Self::Error> {
        self.image().write(offset, data).map_err(Fault::Dfu)
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error> {
        self.image().read(offset, buffer).map_err(Fault::Dfu)
    }

    fn close(&mut self, _: u32) -> Result<(), Self::Error> {
        Ok(())
    }

    fn verify(&mut self, size: u32) -> Result<Option<Verified>, Self::Error> {
        let mut image = Image { dfu: &self.dfu, map: &mut self.map };
        let version = image.verify(size, &mut self.verifier).map_err(Fault::Dfu)?;
        Ok(version.map(|version| Verified { version, any_version: false }))
    }

    fn look(&mut self, first: &[u8], _: u32) -> Result<Look, Reason> {
        Ok(look(first))
    }

    fn discard(&mut self) -> Result<u32, Self::Error> {
        self.image().discard().map_err(Fault::Dfu)
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
        let confirmed = self.image().is_confirmed().map_err(Fault::Dfu)?;
        Ok(if confirmed { ImageState::Valid } else { ImageState::Trial })
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), Self::Error> {
        match verdict {
            Verdict::Accepted => self.dfu.confirm(&mut self.map).map_err(Fault::Dfu),
            // The bootloader reverts what is not confirmed.
            Verdict::Rejected => Ok(()),
            Verdict::Aborted => self.image().take_back().map_err(Fault::Dfu),
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
