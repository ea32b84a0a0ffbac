//! Where an image of equal slots runs.

use updraft_flash::FlashMap;
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

    /// Leaves nothing of image number `image` behind.
    fn discard(&mut self, image: u8);
}

pub(crate) mod sealed {
    pub trait Sealed {}
}
