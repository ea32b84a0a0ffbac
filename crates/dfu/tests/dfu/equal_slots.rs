//! Modes that run images from either slot: nothing is swapped, and an image is asked for in its own
//! trailer, if it has to be asked for at all.

use updraft_dfu::{Dfu, DfuError, Requested, Upgrade};
use updraft_flash::{AreaId, Which};
use updraft_image::{HashOnly, SwapType, UpgradeMode, Version, magic_bytes};
use updraft_sim::flash::{SimFlash, Torn};

use crate::common::{PRIMARY, SECONDARY, SLOT, V1, flash, image, in_mode};

const SIZE: usize = SLOT as usize;

/// A device that runs a confirmed image from `active`, with a newer one in the other slot.
fn device(active: Which) -> (SimFlash, Dfu, AreaId, AreaId) {
    let mut flash = flash(8, 0xff);
    let dfu = in_mode(&flash, UpgradeMode::DirectXipRevert).running_from(active);
    let (running, other) = (dfu.area(active), dfu.area(active.other()));
    flash.load(running, 0, &image(V1, 3000)).unwrap();
    flash.load(other, 0, &image(Version::new(2, 0, 0, 0), 3000)).unwrap();
    dfu.confirm(&mut flash).unwrap();
    (flash, dfu, running, other)
}

#[test]
fn without_trials_versions_decide_and_nothing_can_be_asked_for() {
    for mode in [UpgradeMode::DirectXip, UpgradeMode::RamLoad, UpgradeMode::SingleSlot] {
        let mut flash = flash(8, 0xff);
        flash.load(SECONDARY, 0, &image(V1, 1000)).unwrap();
        let before = flash.bytes(SECONDARY);
        let dfu = in_mode(&flash, mode);
        assert!(!dfu.takes_requests());
        let asked = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test);
        assert_eq!(asked, Err(DfuError::NoRequests(mode)));
        assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
        dfu.confirm(&mut flash).unwrap();
        assert_eq!(flash.bytes(SECONDARY), before);
        assert!(flash.bytes(PRIMARY).iter().all(|byte| *byte == 0xff), "nothing to confirm");
    }
}

#[test]
fn a_test_is_the_magic_alone() {
    for active in Which::BOTH {
        let (mut flash, dfu, running, other) = device(active);
        let before = flash.bytes(running);
        dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
        let bytes = flash.bytes(other);
        assert_eq!(bytes[SIZE - 16..], magic_bytes(8));
        assert_eq!(bytes[SIZE - 40..SIZE - 16], [0xff; 24]);
        assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Test));
        assert_eq!(flash.bytes(running), before);
    }
}

#[test]
fn a_permanent_request_marks_the_image_as_started_and_confirmed() {
    let (mut flash, dfu, _, other) = device(Which::Primary);
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent).unwrap();
    let bytes = flash.bytes(other);
    assert_eq!((bytes[SIZE - 24], bytes[SIZE - 32], bytes[SIZE - 40]), (1, 1, 0xff));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Permanent));
    let again = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test);
    assert_eq!(again, Ok(Requested::Already(SwapType::Permanent)));
}

/// Marked as started first, an image whose request was cut off would have failed a test that never
/// took place.
#[test]
fn a_cut_in_a_permanent_request_leaves_at_least_a_test() {
    for cut in 0..3 {
        for torn in [Torn::Skip, Torn::Half, Torn::AllButOneBit(cut), Torn::Bits(cut)] {
            let (mut flash, dfu, ..) = device(Which::Primary);
            flash.supply().cut_at(cut, torn);
            dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent).unwrap_err();
            flash.supply().power_on();
            let pending = dfu.swap_type(&mut flash).unwrap();
            let allowed = match cut {
                0 => [SwapType::None, SwapType::Test],
                _ => [SwapType::Test, SwapType::Permanent],
            };
            assert!(allowed.contains(&pending), "cut {cut}, {torn:?}: {pending:?}");
        }
    }
}

#[test]
fn an_image_on_trial_is_reverted_unless_it_is_confirmed() {
    let (mut flash, dfu, running, _) = device(Which::Secondary);
    let mut trailer = [0xff; 24];
    trailer[8..].copy_from_slice(&magic_bytes(8));
    flash.load(running, SLOT - 24, &trailer).unwrap();
    flash.load(running, SLOT - 32, &[1]).unwrap();
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Revert));
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(false));
    assert_eq!(dfu.writer::<_, 512>(&mut flash).err(), Some(DfuError::KeptForRevert));
    dfu.confirm(&mut flash).unwrap();
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(true));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
    flash.reset_counts();
    dfu.confirm(&mut flash).unwrap();
    assert_eq!(flash.counts().writes, 0, "once");
}

#[test]
fn confirming_an_image_without_a_trailer_gives_it_one() {
    let (flash, _, running, _) = device(Which::Primary);
    let bytes = flash.bytes(running);
    assert_eq!(bytes[SIZE - 16..], magic_bytes(8));
    assert_eq!((bytes[SIZE - 24], bytes[SIZE - 32]), (1, 1));
}

#[test]
fn an_image_that_failed_its_test_can_be_asked_for_again() {
    let (mut flash, dfu, _, other) = device(Which::Primary);
    flash.load(other, SLOT - 16, &magic_bytes(8)).unwrap();
    flash.load(other, SLOT - 32, &[1]).unwrap();
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None), "the bootloader has given it up");
    let asked = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
    assert!(matches!(asked, Requested::Marked(_)));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Test));
    assert_eq!(flash.bytes(other)[SIZE - 32], 0xff);
}

#[test]
fn a_ram_load_bootloader_may_have_trials_too() {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, &image(V1, 1000)).unwrap();
    let dfu = in_mode(&flash, UpgradeMode::RamLoad).with_trials();
    assert!(dfu.takes_requests());
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Test));
}
