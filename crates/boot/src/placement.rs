//! Where an image of equal slots runs.

use updraft_flash::{AreaId, AreaInfo, FlashMap, Sector};
use updraft_image::{Header, Refusal, Rules, UpgradeMode, Validated, Verifier};

use crate::slots::{Head, Slot};

/// An image that has been brought to where it runs, and validated there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its header.
    pub header: Header,
    /// What the validation found.
    pub validated: Validated,
    /// Where it was loaded to; `None` if it runs from its slot.
    pub load_address: Option<u32>,
}

/// Brings an image to where it runs.
///
/// Implemented by [`InPlace`](crate::InPlace) and [`InRam`](crate::InRam).
pub trait Placement: sealed::Sealed {
    /// Which upgrade mode this is.
    fn mode(&self) -> UpgradeMode;

    /// Whether an image that is not confirmed is given up at the next boot.
    fn reverts(&self) -> bool;

    /// Whether encrypted images are decrypted on the way.
    fn decrypts(&self) -> bool;

    /// Whether an image with this head may run from `slot` at all.
    #[doc(hidden)]
    fn suits<M: FlashMap>(&self, flash: &M, slot: &Slot, head: &Head) -> bool;

    /// Brings the image in `slot` to its place and validates it there.
    #[doc(hidden)]
    fn place<M: FlashMap, V: Verifier>(
        &mut self,
        flash: &mut M,
        image: u8,
        slot: &Slot,
        rules: &Rules,
        verifier: &mut V,
    ) -> Result<Placed, Refusal<M::Error>>;

    /// Image number `image` where it was loaded to, if it does not run from its slot.
    #[doc(hidden)]
    fn copy(&self, _image: u8) -> Option<&[u8]> {
        None
    }

    /// Leaves nothing of image number `image` behind.
    fn discard(&mut self, image: u8);
}

/// The flash as a board is to see it that measures an image: what was copied out of a slot is read
/// from the copy. That is what was validated and what runs; the slot may hold something else by now.
pub(crate) struct AsPlaced<'p, M> {
    pub(crate) flash: &'p mut M,
    pub(crate) area: AreaId,
    pub(crate) copy: Option<&'p [u8]>,
}

impl<M: FlashMap> FlashMap for AsPlaced<'_, M> {
    type Error = M::Error;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.flash.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.flash.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), M::Error> {
        let copied = self.copy.filter(|_| id == self.area).and_then(|copy| {
            let start = usize::try_from(offset).ok()?;
            copy.get(start..start.checked_add(buf.len())?)
        });
        match copied {
            Some(copied) => {
                buf.copy_from_slice(copied);
                Ok(())
            }
            None => self.flash.read(id, offset, buf),
        }
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), M::Error> {
        self.flash.write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), M::Error> {
        self.flash.erase(id, offset, len)
    }
}

pub(crate) mod sealed {
    pub trait Sealed {}
}
