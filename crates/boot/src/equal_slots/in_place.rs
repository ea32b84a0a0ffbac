//! Direct-XIP: images run from the slot that they are in.

use updraft_flash::FlashMap;
use updraft_image::{Flags, Refusal, Rules, UpgradeMode, Verifier};

use crate::placement::sealed::Sealed;
use crate::slots::{Head, Slot};
use crate::{Placed, Placement};

/// Execution in place. An image is linked for one of the slots; one that says for which
/// (`ROM_FIXED`) does not run from the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace {
    /// Whether an image has to be confirmed after its first start.
    pub revert: bool,
}

impl Sealed for InPlace {}

impl Placement for InPlace {
    fn mode(&self) -> UpgradeMode {
        if self.revert { UpgradeMode::DirectXipRevert } else { UpgradeMode::DirectXip }
    }

    fn reverts(&self) -> bool {
        self.revert
    }

    fn decrypts(&self) -> bool {
        false
    }

    fn suits<M: FlashMap>(&self, flash: &M, slot: &Slot, head: &Head) -> bool {
        let Ok(header) = head.header() else { return false };
        let at = flash.info(slot.area).map(|info| info.offset);
        !header.flags.contains(Flags::ROM_FIXED) || at == Some(header.load_addr)
    }

    fn place<M: FlashMap, V: Verifier>(
        &mut self,
        flash: &mut M,
        _: u8,
        slot: &Slot,
        rules: &Rules,
        verifier: &mut V,
    ) -> Result<Placed, Refusal<M::Error>> {
        let (header, validated) = slot.validate(flash, verifier, rules)?;
        Ok(Placed { header, validated, load_address: None })
    }

    fn discard(&mut self, _: u8) {}
}
