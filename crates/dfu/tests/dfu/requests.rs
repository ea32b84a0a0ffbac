//! Asking for an upgrade and confirming one. The byte checks are those that Zephyr's own tests of
//! its MCUboot API make.

use crate::common::{
    PRIMARY, SECONDARY, SLOT, V1, config, dfu, encrypted, flash, image, with_offset, wrapping,
};
use updraft_dfu::{Dfu, DfuError, Requested, Upgrade};
use updraft_flash::{FlashMap, SlotPair};
use updraft_image::{Flags, HashOnly, Refusal, SwapType, WithPrivateKey, magic_bytes};
use updraft_sim::flash::{SimFlash, Torn};

fn with_update() -> SimFlash {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, &image(V1, 5000)).unwrap();
    flash
}

fn tail(flash: &SimFlash, from_end: usize) -> Vec<u8> {
    let mut bytes = flash.bytes(SECONDARY);
    bytes.split_off(bytes.len() - from_end)
}

#[test]
fn a_test_request_writes_the_magic_and_leaves_image_ok_erased() {
    let mut flash = with_update();
    let dfu = dfu(&flash);
    let requested = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
    assert!(matches!(requested, Requested::Marked(_)));
    assert_eq!(tail(&flash, 24)[..8], [0xff; 8]);
    assert_eq!(tail(&flash, 16), magic_bytes(8));
    assert_eq!(tail(&flash, 40)[0], 2, "swap_info says test, image 0");
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Test));
}

#[test]
fn a_permanent_request_sets_image_ok_too() {
    let mut flash = with_update();
    let dfu = dfu(&flash);
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent).unwrap();
    assert_eq!(tail(&flash, 16), magic_bytes(8));
    assert_eq!(tail(&flash, 24)[0], 1);
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Permanent));
}

#[test]
fn a_pending_request_is_left_as_it_is() {
    let mut flash = with_update();
    let dfu = dfu(&flash);
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
    let before = flash.bytes(SECONDARY);
    let again = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent);
    assert_eq!(again, Ok(Requested::Already(SwapType::Test)));
    assert_eq!(flash.bytes(SECONDARY), before);
}

#[test]
fn an_empty_slot_is_not_marked() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let refused = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test);
    assert!(matches!(refused, Err(DfuError::NoImage(_))), "{refused:?}");
    assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_damaged_image_is_not_marked() {
    let mut flash = flash(8, 0xff);
    let mut damaged = image(V1, 5000);
    damaged[1000] ^= 1;
    flash.load(SECONDARY, 0, &damaged).unwrap();
    let before = flash.bytes(SECONDARY);
    let dfu = dfu(&flash);
    let refused = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent);
    assert!(matches!(refused, Err(DfuError::Refused(Refusal::Hash { .. }))), "{refused:?}");
    assert_eq!(flash.bytes(SECONDARY), before);
}

/// With the device's private key everything is verified; an application seldom has it, and then
/// that the hash was signed has to do. The bootloader verifies the rest.
#[test]
fn an_encrypted_update_is_verified_as_far_as_the_keys_reach() {
    let mut config = config();
    config.rules.supported = Flags::ENCRYPTED_AES128;
    for (damaged, with_key, marked) in [
        (None, true, true),
        (None, false, true),
        (Some(2000), true, false),
        (Some(2000), false, true),
        // In the header, and in the TLVs behind 5000 bytes of body.
        (Some(9), false, false),
        (Some(5032 + 5), false, false),
    ] {
        let mut update = encrypted(5000);
        if let Some(at) = damaged {
            update[at] ^= 1;
        }
        let mut flash = flash(8, 0xff);
        flash.load(SECONDARY, 0, &update).unwrap();
        let dfu = Dfu::new(&flash, config).unwrap();
        let mut verifier = WithPrivateKey::new(HashOnly, wrapping());
        let requested = match with_key {
            true => dfu.request_upgrade(&mut flash, &mut verifier, Upgrade::Test),
            false => dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test),
        };
        assert_eq!(requested.is_ok(), marked, "{damaged:?}, key {with_key}: {requested:?}");
        if let (Ok(Requested::Marked(validated)), false) = (requested, with_key) {
            assert!(!validated.stands(), "not to be booted on this evidence");
        }
    }
}

#[test]
fn an_update_is_looked_for_where_the_mode_has_it() {
    let mut flash = flash(8, 0xff);
    let dfu = with_offset(&flash);
    flash.load(SECONDARY, 4096, &image(V1, 5000)).unwrap();
    let requested = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent).unwrap();
    assert!(matches!(requested, Requested::Marked(_)));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Permanent));
}

#[test]
fn an_update_at_the_beginning_of_the_slot_is_not_marked_where_it_belongs_further_on() {
    let mut flash = with_update();
    let dfu = with_offset(&flash);
    let refused = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test);
    assert!(matches!(refused, Err(DfuError::NoImage(_))), "{refused:?}");
    flash.load(SECONDARY, 4096, &image(V1, 5000)).unwrap();
    let refused = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test);
    assert_eq!(refused, Err(DfuError::Misplaced { expected: 4096 }));
}

#[test]
fn a_torn_request_is_cleared_and_made_again() {
    for seed in 0..32 {
        let mut flash = with_update();
        let dfu = dfu(&flash);
        flash.supply().cut_at(0, Torn::AllButOneBit(seed));
        dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap_err();
        flash.supply().power_on();
        assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None), "half a magic asks for nothing");
        dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
        assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Test));
    }
}

#[test]
fn leftovers_that_decode_as_nothing_are_cleared_before_a_request() {
    let mut flash = with_update();
    flash.load(SECONDARY, SLOT - 40, &[0x0a]).unwrap();
    let dfu = dfu(&flash);
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent).unwrap();
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Permanent));
}

#[test]
fn a_damaged_trailer_in_a_sector_of_the_image_is_not_cleared() {
    let mut flash = flash(8, 0xff);
    let large = image(V1, SLOT as usize - 4096);
    flash.load(SECONDARY, 0, &large).unwrap();
    flash.load(SECONDARY, SLOT - 8, &[0; 8]).unwrap();
    let before = flash.bytes(SECONDARY);
    let dfu = dfu(&flash);
    let refused = dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test);
    assert_eq!(refused, Err(DfuError::BadTrailer { area: SECONDARY }));
    assert_eq!(flash.bytes(SECONDARY), before);
}

#[test]
fn confirming_writes_image_ok_once() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    flash.load(PRIMARY, SLOT - 16, &magic_bytes(8)).unwrap();
    flash.load(PRIMARY, SLOT - 32, &[1]).unwrap();
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(false));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Revert));
    dfu.confirm(&mut flash).unwrap();
    assert_eq!(flash.bytes(PRIMARY)[SLOT as usize - 24], 1);
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(true));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
    flash.reset_counts();
    dfu.confirm(&mut flash).unwrap();
    assert_eq!(flash.counts().writes, 0);
}

#[test]
fn an_image_that_was_programmed_without_a_trailer_counts_as_confirmed() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(true));
    dfu.confirm(&mut flash).unwrap();
    assert!(flash.bytes(PRIMARY).iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_torn_confirmation_counts_and_is_completed() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    flash.load(PRIMARY, SLOT - 16, &magic_bytes(8)).unwrap();
    flash.load(PRIMARY, SLOT - 32, &[1]).unwrap();
    flash.supply().cut_at(0, Torn::AllButOneBit(3));
    dfu.confirm(&mut flash).unwrap_err();
    flash.supply().power_on();
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(true));
    dfu.confirm(&mut flash).unwrap();
    assert_eq!(flash.bytes(PRIMARY)[SLOT as usize - 24], 1);
}

#[test]
fn a_foreign_primary_trailer_is_reported() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    flash.load(PRIMARY, SLOT - 16, &[0; 16]).unwrap();
    assert_eq!(dfu.confirm(&mut flash), Err(DfuError::BadTrailer { area: PRIMARY }));
}

#[test]
fn flash_that_erases_to_zero_is_read_by_its_own_value() {
    let mut flash = flash(1, 0x00);
    flash.load(SECONDARY, 0, &image(V1, 100)).unwrap();
    let dfu = dfu(&flash);
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Permanent).unwrap();
    assert_eq!(tail(&flash, 16), magic_bytes(8));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Permanent));
    assert_eq!(dfu.is_confirmed(&mut flash), Ok(true));
}

#[test]
fn erasing_the_secondary_slot_leaves_a_blank_one_alone() {
    let mut flash = with_update();
    let dfu = dfu(&flash);
    dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
    flash.reset_counts();
    dfu.erase_slot(&mut flash).unwrap();
    assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == 0xff));
    assert_eq!(flash.counts().erases, 16, "every sector once");
    dfu.erase_slot(&mut flash).unwrap();
    assert_eq!(flash.counts().erases, 16);
}

#[test]
fn a_cut_while_erasing_never_leaves_a_request() {
    for operation in 0..16 {
        for torn in [Torn::Skip, Torn::Half, Torn::AllButOneBit(1), Torn::Bits(operation)] {
            let mut flash = with_update();
            let dfu = dfu(&flash);
            dfu.request_upgrade(&mut flash, &mut HashOnly, Upgrade::Test).unwrap();
            flash.supply().cut_at(operation, torn);
            dfu.erase_slot(&mut flash).unwrap_err();
            flash.supply().power_on();
            let pending = dfu.swap_type(&mut flash) == Ok(SwapType::Test);
            let intact = dfu.verify(&mut flash, &mut HashOnly).is_ok();
            assert!(!pending || intact, "operation {operation}, {torn:?}");
        }
    }
}

#[test]
fn slots_that_are_not_there_are_named() {
    let flash = flash(8, 0xff);
    let missing = updraft_flash::AreaId(9);
    let slots = SlotPair { secondary: missing, ..config().slots };
    let refused = Dfu::new(&flash, updraft_dfu::Config { slots, ..config() });
    assert_eq!(refused.err(), Some(DfuError::NoSlot { area: missing }));
    assert!(flash.info(missing).is_none());
}
