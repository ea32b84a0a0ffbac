//! Slots by number: image n has the slots 2n (primary) and 2n + 1 (secondary).
//!
//! The numbers are those of SMP and of Zephyr's bootloader-neutral DFU calls.

use updraft_flash::{AreaId, FlashMap, Which};
use updraft_image::{SwapType, Verifier};

use crate::{Dfu, DfuError, ImageInfo, Requested, Upgrade};

/// The slots of all images of a device. `D` holds a [`Dfu`] for each image, in the order of their
/// numbers: an array, a slice, or a single one.
#[derive(Clone, Copy, Debug)]
pub struct SlotTable<D> {
    images: D,
    running: u8,
}

impl AsRef<[Dfu]> for Dfu {
    fn as_ref(&self) -> &[Dfu] {
        core::slice::from_ref(self)
    }
}

impl<D: AsRef<[Dfu]>> SlotTable<D> {
    /// The slots of `images`, at most 128 of them. The application is image 0.
    pub fn new(images: D) -> Self {
        Self { images, running: 0 }
    }

    /// The same for an application that belongs to the image of number `image`.
    pub fn running(self, image: u8) -> Self {
        Self { running: image, ..self }
    }

    /// The image that the application belongs to.
    pub fn running_image(&self) -> u8 {
        self.running
    }

    /// How many images there are.
    pub fn images(&self) -> u8 {
        u8::try_from(self.images.as_ref().len()).unwrap_or(u8::MAX).min(128)
    }

    /// The update state of an image.
    pub fn image(&self, image: u8) -> Option<&Dfu> {
        self.images.as_ref().get(usize::from(image)).filter(|_| image < self.images())
    }

    /// What slot `slot` is.
    pub fn slot(&self, slot: u8) -> Option<(&Dfu, Which)> {
        let which = if slot.is_multiple_of(2) { Which::Primary } else { Which::Secondary };
        Some((self.image(slot / 2)?, which))
    }

    fn find<E>(&self, slot: u8) -> Result<(&Dfu, Which), DfuError<E>> {
        self.slot(slot).ok_or(DfuError::NoSuchSlot { slot })
    }

    /// The area of a slot.
    pub fn area(&self, slot: u8) -> Option<AreaId> {
        self.slot(slot).map(|(dfu, which)| dfu.area(which))
    }

    /// The slot that an area is.
    pub fn slot_of(&self, area: AreaId) -> Option<u8> {
        (0..self.images().saturating_mul(2)).find(|slot| self.area(*slot) == Some(area))
    }

    /// The slot that an image runs from.
    pub fn active_slot(&self, image: u8) -> Option<u8> {
        let dfu = self.image(image)?;
        Some(image.saturating_mul(2) | dfu.active_slot().number())
    }

    /// The slot that an image is uploaded to.
    pub fn upload_slot(&self, image: u8) -> Option<u8> {
        self.active_slot(image).map(|active| active ^ 1)
    }

    /// What the erased bytes of a slot read as.
    pub fn erased_value<M: FlashMap>(&self, map: &M, slot: u8) -> Option<u8> {
        Some(map.info(self.area(slot)?)?.erased)
    }

    /// Bytes of a slot.
    pub fn size<M: FlashMap>(&self, map: &M, slot: u8) -> Option<u32> {
        Some(map.info(self.area(slot)?)?.size)
    }

    /// Fills `buf` from `offset` of a slot on.
    pub fn read<M: FlashMap>(
        &self,
        map: &mut M,
        slot: u8,
        offset: u32,
        buf: &mut [u8],
    ) -> Result<(), DfuError<M::Error>> {
        let (dfu, which) = self.find(slot)?;
        map.read(dfu.area(which), offset, buf).map_err(DfuError::Flash)
    }

    /// Whether nothing is in a slot.
    pub fn is_blank<M: FlashMap>(&self, map: &mut M, slot: u8) -> Result<bool, DfuError<M::Error>> {
        let (dfu, which) = self.find(slot)?;
        dfu.is_blank(map, which)
    }

    /// Erases a slot that nothing runs from and no revert needs; a blank one is left as it is.
    pub fn erase<M: FlashMap>(&self, map: &mut M, slot: u8) -> Result<(), DfuError<M::Error>> {
        let (dfu, which) = self.find(slot)?;
        dfu.erase(map, which)
    }

    /// Where the image of a slot begins, in bytes.
    pub fn image_start<M: FlashMap>(
        &self,
        map: &mut M,
        slot: u8,
    ) -> Result<u32, DfuError<M::Error>> {
        let (dfu, which) = self.find(slot)?;
        dfu.image_start(map, which)
    }

    /// Where the fields of a slot's trailer begin that decide over the next boot, in bytes.
    pub fn trailer_start(&self, slot: u8) -> Option<u32> {
        let (dfu, which) = self.slot(slot)?;
        Some(dfu.trailer(which).layout().swap_info())
    }

    /// The image in a slot, unverified.
    pub fn image_info<M: FlashMap>(
        &self,
        map: &mut M,
        slot: u8,
    ) -> Result<ImageInfo, DfuError<M::Error>> {
        let (dfu, which) = self.find(slot)?;
        dfu.image(map, which)
    }

    /// What the next boot does with an image.
    pub fn swap_type<M: FlashMap>(
        &self,
        map: &mut M,
        image: u8,
    ) -> Result<SwapType, DfuError<M::Error>> {
        let (dfu, _) = self.find(image.saturating_mul(2))?;
        dfu.swap_type(map)
    }

    /// Verifies the image in a slot that does not run, and asks for it to be booted.
    pub fn request<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        verifier: &mut V,
        slot: u8,
        upgrade: Upgrade,
    ) -> Result<Requested, DfuError<M::Error>> {
        let (dfu, which) = self.find(slot)?;
        if which == dfu.active_slot() {
            return Err(DfuError::ActiveSlot);
        }
        dfu.request_upgrade(map, verifier, upgrade)
    }

    /// Confirms the image that runs from its slot.
    pub fn confirm<M: FlashMap>(&self, map: &mut M, image: u8) -> Result<(), DfuError<M::Error>> {
        let (dfu, _) = self.find(image.saturating_mul(2))?;
        dfu.confirm(map)
    }
}
