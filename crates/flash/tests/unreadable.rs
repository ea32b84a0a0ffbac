//! Trailers in which a power cut has left words that cannot be read.

use updraft_flash::{
    AreaEntry, AreaId, Fault, FlashError, FlashMap, Kind, TrailerAccess, TrailerFormat,
};
use updraft_image::{Flag, Magic, SwapInfo, SwapType, UpgradeMode};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const SLOT: AreaId = AreaId(1);

fn slot() -> (SimFlash, TrailerAccess) {
    let spec = DeviceSpec { kind: Kind::EccWords, ..DeviceSpec::nor(8, 1024, 8) };
    let flash =
        SimFlash::new(vec![spec], vec![AreaEntry { id: SLOT, device: 0, offset: 0, size: 8192 }]);
    let format =
        TrailerFormat { mode: UpgradeMode::SwapMove, max_align: 8, max_sectors: 8, keys: None };
    let trailer = format.trailer(&flash, SLOT, 8).unwrap();
    (flash, trailer)
}

/// A trailer in which one write was torn so that it cannot be read.
fn torn(
    write: impl FnOnce(&TrailerAccess, &mut SimFlash) -> Result<(), <SimFlash as FlashMap>::Error>,
) -> (SimFlash, TrailerAccess) {
    let (mut flash, trailer) = slot();
    flash.supply().cut_at(0, Torn::Unreadable(0));
    assert!(write(&trailer, &mut flash).is_err());
    flash.supply().power_on();
    (flash, trailer)
}

#[test]
fn a_field_that_cannot_be_read_is_torn_and_the_others_are_what_they_are() {
    let (mut flash, trailer) = torn(|trailer, flash| trailer.write_image_ok(flash));
    trailer.write_copy_done(&mut flash).unwrap();
    let state = trailer.read(&mut flash).unwrap();
    assert_eq!((state.image_ok, state.copy_done), (Flag::Bad, Flag::Set));
    assert_eq!(state.magic, Magic::Unset);
    let (mut flash, trailer) = torn(|trailer, flash| trailer.write_magic(flash));
    assert_eq!(trailer.read(&mut flash).unwrap().magic, Magic::Bad);
}

#[test]
fn a_swap_that_cannot_be_read_is_none() {
    let info = SwapInfo { swap_type: SwapType::Revert, image: 0 };
    let (mut flash, trailer) = torn(|trailer, flash| trailer.write_swap_info(flash, info));
    assert_eq!(trailer.read(&mut flash).unwrap().swap_info.swap_type, SwapType::None);
}

#[test]
fn such_a_trailer_is_not_erased_until_it_is() {
    let (mut flash, trailer) = torn(|trailer, flash| trailer.write_image_ok(flash));
    assert_eq!(trailer.is_erased(&mut flash), Ok(false));
    trailer.erase(&mut flash).unwrap();
    assert_eq!(trailer.is_erased(&mut flash), Ok(true));
}

#[test]
fn other_failures_are_no_torn_fields() {
    let (mut flash, trailer) = slot();
    flash.supply().power_off();
    assert_eq!(trailer.read(&mut flash).unwrap_err().fault(), Fault::Device);
}
