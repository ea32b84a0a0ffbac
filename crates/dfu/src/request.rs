//! Asking for an upgrade and confirming one: Zephyr's MCUboot API, by trailer.

use updraft_flash::{FlashMap, SlotSource, TrailerAccess, Which, is_blank};
use updraft_image::{
    Decrypted, Flag, Flags, Magic, SwapInfo, SwapType, TrailerState, Validated, Verifier, validate,
    validate_sealed,
};

use crate::image::header_at;
use crate::{Dfu, DfuError};

/// What an image is asked to be booted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Once, and reverted at the boot after unless it was confirmed.
    Test,
    /// For good.
    Permanent,
}

/// What a request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// The bootloader will find the request.
    Marked(Validated),
    /// One was pending already. It was left as it is, also if it is of the other kind.
    Already(SwapType),
}

impl Dfu {
    /// Verifies the image in the slot that takes uploads as the bootloader will. Of an encrypted one
    /// the body can only be verified with the device's private key; without it, that its hash was
    /// signed has to do.
    pub fn verify<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        verifier: &mut V,
    ) -> Result<Validated, DfuError<M::Error>> {
        let area = self.area(self.upload_slot());
        let start = self.upload_start(map, self.upload_slot());
        let header = header_at(&mut SlotSource::at(map, area, start))?;
        if start > 0 {
            match header_at(&mut SlotSource::new(map, area)) {
                Ok(_) => return Err(DfuError::Misplaced { expected: start }),
                Err(DfuError::Flash(error)) => return Err(DfuError::Flash(error)),
                Err(_) => {}
            }
        }
        let mut slot = SlotSource::at(map, area, start);
        let rules = &self.config.rules;
        let validated = if !header.flags.intersects(Flags::ENCRYPTED) {
            validate(&mut slot, &header, rules, verifier)
        } else if let Some(key) = verifier.private_key() {
            Decrypted::open(slot, &header, key)
                .and_then(|mut image| validate(&mut image, &header, rules, verifier))
        } else {
            validate_sealed(&mut slot, &header, rules, verifier)
        };
        validated.map_err(DfuError::Refused)
    }

    /// Verifies the image in the slot that takes uploads and asks the bootloader to boot it.
    ///
    /// The magic is written first, what makes the request permanent after it: a power cut in between
    /// leaves a test, which can be reverted.
    pub fn request_upgrade<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        verifier: &mut V,
        upgrade: Upgrade,
    ) -> Result<Requested, DfuError<M::Error>> {
        let mode = self.config.trailers.mode;
        if !self.takes_requests() {
            return Err(DfuError::NoRequests(mode));
        }
        let validated = self.verify(map, verifier)?;
        let slot = self.upload_slot();
        let trailer = self.trailer(slot);
        let (active, other) = self.trailers(map)?;
        match other.magic {
            Magic::Good => {
                let pending = TrailerState::swap_type(mode, &active, &other);
                return Ok(Requested::Already(pending));
            }
            Magic::Unset if trailer.is_erased(map).map_err(DfuError::Flash)? => {}
            // A torn request, or leftovers of another one. The trailer may be cleared if the
            // image ends before the sectors that would go with it.
            _ => {
                let (area, start) = (self.area(slot), trailer.layout().status());
                let sector = map.sector_at(area, start).ok_or(DfuError::NoSlot { area })?;
                let end = self.upload_start(map, slot).saturating_add(validated.size);
                if end > sector.offset {
                    return Err(DfuError::BadTrailer { area });
                }
                trailer.erase(map).map_err(DfuError::Flash)?;
            }
        }
        self.mark(map, trailer, upgrade).map_err(DfuError::Flash)?;
        Ok(Requested::Marked(validated))
    }

    fn mark<M: FlashMap>(
        &self,
        map: &mut M,
        trailer: &TrailerAccess,
        upgrade: Upgrade,
    ) -> Result<(), M::Error> {
        trailer.write_magic(map)?;
        if upgrade == Upgrade::Permanent {
            trailer.write_image_ok(map)?;
        }
        if self.has_trials() {
            // That it was started, with nothing confirmed, would have it given up: this comes last.
            return match upgrade {
                Upgrade::Test => Ok(()),
                Upgrade::Permanent => trailer.write_copy_done(map),
            };
        }
        let swap_type = match upgrade {
            Upgrade::Test => SwapType::Test,
            Upgrade::Permanent => SwapType::Permanent,
        };
        let image = self.config.slots.image;
        trailer.write_swap_info(map, SwapInfo { swap_type, image })
    }

    /// Confirms the running image. Doing so again changes nothing; a confirmation that a power
    /// cut tore is completed.
    pub fn confirm<M: FlashMap>(&self, map: &mut M) -> Result<(), DfuError<M::Error>> {
        let slot = self.active_slot();
        let trailer = self.trailer(slot);
        let state = trailer.read(map).map_err(DfuError::Flash)?;
        match (state.magic, state.image_ok) {
            (Magic::Bad, _) => return Err(DfuError::BadTrailer { area: self.area(slot) }),
            // Programmed, and not brought there by an update: nothing would revert it.
            (Magic::Unset, _) if !self.has_trials() => return Ok(()),
            (Magic::Unset, _) => trailer.write_magic(map).map_err(DfuError::Flash)?,
            (Magic::Good, _) => {}
        }
        if state.image_ok != Flag::Set {
            trailer.write_image_ok(map).map_err(DfuError::Flash)?;
        }
        if self.has_trials() && state.copy_done != Flag::Set {
            trailer.write_copy_done(map).map_err(DfuError::Flash)?;
        }
        Ok(())
    }

    /// Erases the slot that takes uploads, the trailer first, so that a power cut leaves no request
    /// that points at half an image. A blank slot is left as it is. Refused if the slot is needed
    /// for a revert. (The slot that runs cannot be erased.)
    pub fn erase_slot<M: FlashMap>(&self, map: &mut M) -> Result<(), DfuError<M::Error>> {
        self.is_free(map)?;
        self.erase_giving_up_revert(map)
    }

    /// The same, also if the slot holds the image that the next boot would go back to.
    pub fn erase_giving_up_revert<M: FlashMap>(
        &self,
        map: &mut M,
    ) -> Result<(), DfuError<M::Error>> {
        let slot = self.upload_slot();
        let (area, trailer) = (self.area(slot), self.trailer(slot));
        let size = map.info(area).ok_or(DfuError::NoSlot { area })?.size;
        if is_blank(map, area, 0, size).map_err(DfuError::Flash)? {
            return Ok(());
        }
        trailer.erase(map).map_err(DfuError::Flash)?;
        let begins = trailer.layout().status();
        let mut at = 0;
        while let Some(sector) = map.sector_at(area, at).filter(|sector| sector.end() <= begins) {
            map.erase(area, sector.offset, sector.size).map_err(DfuError::Flash)?;
            at = sector.end();
        }
        Ok(())
    }

    /// Erases `slot`, unless the application runs from it.
    pub fn erase<M: FlashMap>(&self, map: &mut M, slot: Which) -> Result<(), DfuError<M::Error>> {
        if slot == self.active_slot() { Err(DfuError::ActiveSlot) } else { self.erase_slot(map) }
    }
}
