//! Overwrite-only: the new image is copied over the old one, and there is no way back.
//!
//! Nothing records how far the copy has come. As long as the request stands in the secondary
//! slot's trailer and the image under it is whole, every boot starts again from the beginning; so
//! the request may be cleared only after the last byte of the copy, and the image only after the
//! request. Source: MCUboot `docs/design.md`, "Overwrite only".

use updraft_flash::FlashMap;
use updraft_image::{Header, MaxSize, SwapType, UpgradeMode, align_down, align_up};

use crate::copy::{PIECE, copy};
use crate::secrets;
use crate::{BootError, Installed, Job, Place, Progress, Secrets, Slots, Strategy};

/// The overwrite-only mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overwrite {
    /// Erases and copies only what the image and the trailer take.
    #[default]
    Image,
    /// Erases and copies the whole slot, whatever is behind the image included.
    Slot,
}

impl Overwrite {
    /// Copies the secondary slot's image to the primary slot.
    ///
    /// | step | whole slot | image only |
    /// |---|---|---|
    /// | 1 | erase the primary slot upwards | erase the sectors of the new image upwards |
    /// | 2 | | erase the sectors of the primary trailer upwards |
    /// | 3 | copy the slot | copy the image, rounded up to the write size; strictly its beginning last if it may be encrypted |
    /// | 4 | | write the primary magic |
    pub(crate) fn copy_image<M: FlashMap>(
        self,
        map: &mut M,
        slots: &Slots,
        image_size: u32,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        let Slots { primary, secondary, .. } = slots;
        if self == Self::Slot {
            primary.erase_all(map)?;
            let len = primary.size.min(secondary.size);
            let through = secrets.incoming(0);
            return copy(map, (secondary.area, 0), (primary.area, 0), len, through);
        }
        Self::make_room(map, slots, image_size)?;
        let len = if slots.strict() {
            align_up(image_size, primary.write_size).unwrap_or(image_size)
        } else {
            // The original copies one write more where the size is a multiple already.
            image_size.saturating_add(primary.write_size - image_size % primary.write_size)
        };
        let mut part = |at: u32, len: u32| {
            let from = (secondary.area, secondary.start.saturating_add(at));
            copy(map, from, (primary.area, at), len, secrets.incoming(at))
        };
        if secrets::KNOWN && slots.strict() {
            // The wrapped content key of an encrypted image is at its end and under no hash: a copy
            // that a cut has torn there would look whole. So its header is written last.
            let head = if len > PIECE as u32 { Some(PIECE as u32) } else { None };
            let head = head.or(align_up(Header::SIZE as u32, primary.write_size));
            let head = head.unwrap_or(len).min(len);
            part(head, len - head)?;
            part(0, head)?;
        } else {
            part(0, len)?;
        }
        primary.trailer.write_magic(map)
    }

    /// Erases the sectors that an image of `image_size` bytes will take, and those of the primary
    /// trailer, upwards.
    pub(crate) fn make_room<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        image_size: u32,
    ) -> Result<(), M::Error> {
        let primary = &slots.primary;
        primary.erase(map, 0, image_size.max(1))?;
        let image_end = map.sector_at(primary.area, image_size.saturating_sub(1));
        let image_end = image_end.map_or(image_size, |sector| sector.end());
        let trailer = map.sector_at(primary.area, primary.trailer.layout().status());
        let trailer = trailer.map_or(primary.size, |sector| sector.offset);
        // Where image and trailer share a sector, the original erases it twice.
        let start = if slots.strict() { trailer.max(image_end) } else { trailer };
        primary.erase(map, start, primary.size.saturating_sub(start))
    }
}

impl Strategy for Overwrite {
    fn mode(&self) -> UpgradeMode {
        UpgradeMode::OverwriteOnly
    }

    /// The copy goes by bytes, so the sectors of the two slots need not match.
    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        let [primary, secondary] = [&slots.primary, &slots.secondary];
        primary.sectors(map).0 <= slots.max_sectors && secondary.sectors(map).0 <= slots.max_sectors
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        // A row that is replaced for a field of the trailer must hold nothing of an image.
        let row = |slot: &crate::Slot| {
            let replaced = map.info(slot.area).filter(|info| info.kind.writes_replace());
            replaced.map_or(1, |info| info.write_size)
        };
        let of = |slot: &crate::Slot| MaxSize::below_trailer(self.mode(), slot.trailer.layout());
        let [primary, secondary] = [&slots.primary, &slots.secondary];
        align_down(of(primary).min(of(secondary)), row(primary).max(row(secondary)))
    }

    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        _: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        Ok(Place::before(self, map, slots, SwapType::None))
    }

    fn progress<M: FlashMap>(&self, _: &mut M, _: &Slots) -> Result<Progress, BootError<M::Error>> {
        Ok(Progress::None)
    }

    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        self.copy_image(map, slots, job.secondary_size, secrets).map_err(BootError::Flash)?;
        Ok(Installed::Done)
    }

    /// Clears the request.
    ///
    /// | step | strict | imitating |
    /// |---|---|---|
    /// | 1 | erase the secondary trailer's flags and magic, downwards | erase the first sector |
    /// | 2 | erase the first sector | erase the last sector |
    ///
    /// The original's order leaves, cut in between, a request without an image that nothing
    /// clears: the next upload would be installed before it was asked for.
    fn finish<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        _: &Job,
    ) -> Result<(), BootError<M::Error>> {
        let secondary = &slots.secondary;
        let last = map.sector_at(secondary.area, secondary.size.saturating_sub(1));
        let Some(last) = last else {
            return Err(BootError::NoSlot { area: secondary.area });
        };
        let mut finish = || {
            if slots.strict() {
                secondary.trailer.erase_fields(map)?;
                if last.offset > 0 { secondary.erase(map, 0, 1) } else { Ok(()) }
            } else {
                secondary.erase(map, 0, 1)?;
                secondary.erase(map, last.offset, last.size)
            }
        };
        finish().map_err(BootError::Flash)
    }
}
