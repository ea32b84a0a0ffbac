//! Slots by number, of one image and of several.

use updraft_dfu::{Config, Dfu, DfuError, Requested, SlotTable, Upgrade};
use updraft_flash::{AreaEntry, AreaId, SlotPair, TrailerFormat, Which};
use updraft_image::{HashOnly, SwapType, UpgradeMode, Version, magic_bytes};
use updraft_sim::flash::{DeviceSpec, SimFlash};

use crate::common::{PRIMARY, SECONDARY, SLOT, V1, config, dfu, flash, image};

const PRIMARY_2: AreaId = AreaId(3);
const SECONDARY_2: AreaId = AreaId(4);

fn two_images(mode: UpgradeMode) -> (SimFlash, SlotTable<[Dfu; 2]>) {
    let area = |id, offset| AreaEntry { id, device: 0, offset, size: SLOT };
    let areas = [PRIMARY, SECONDARY, PRIMARY_2, SECONDARY_2];
    let table = (0..).zip(areas).map(|(n, id)| area(id, n * SLOT)).collect();
    let flash = SimFlash::new(vec![DeviceSpec::nor(64, 4096, 8)], table);
    let of = |image, primary, secondary| {
        let slots = SlotPair { image, primary, secondary };
        let trailers = TrailerFormat { mode, ..config().trailers };
        Dfu::new(&flash, Config { slots, trailers, ..config() }).expect("the slots hold trailers")
    };
    let table = SlotTable::new([of(0, PRIMARY, SECONDARY), of(1, PRIMARY_2, SECONDARY_2)]);
    (flash, table)
}

fn tail(flash: &SimFlash, area: AreaId, from_end: usize) -> Vec<u8> {
    let mut bytes = flash.bytes(area);
    bytes.split_off(bytes.len() - from_end)
}

#[test]
fn numbers_stand_for_areas() {
    let (_, table) = two_images(UpgradeMode::SwapMove);
    assert_eq!(table.images(), 2);
    let areas = [PRIMARY, SECONDARY, PRIMARY_2, SECONDARY_2];
    for (slot, area) in (0..).zip(areas) {
        assert_eq!(table.area(slot), Some(area));
        assert_eq!(table.slot_of(area), Some(slot));
    }
    for slot in [4, 5, 127, 255] {
        assert_eq!(table.area(slot), None);
    }
    assert_eq!(table.slot_of(AreaId(9)), None);
}

#[test]
fn the_running_slot_and_the_one_for_uploads_are_each_others_neighbours() {
    let (_, table) = two_images(UpgradeMode::SwapMove);
    assert_eq!([0, 1, 2].map(|image| table.active_slot(image)), [Some(0), Some(2), None]);
    assert_eq!([0, 1, 2].map(|image| table.upload_slot(image)), [Some(1), Some(3), None]);
    let flash = flash(8, 0xff);
    let table = SlotTable::new(dfu(&flash).running_from(Which::Secondary));
    assert_eq!((table.active_slot(0), table.upload_slot(0)), (Some(1), Some(0)));
    assert_eq!(table.running_image(), 0);
    assert_eq!(table.running(1).running_image(), 1);
}

#[test]
fn the_erased_value_is_the_devices() {
    for erased in [0xff, 0x00] {
        let flash = flash(8, erased);
        let table = SlotTable::new(dfu(&flash));
        assert_eq!(table.erased_value(&flash, 0), Some(erased));
        assert_eq!(table.erased_value(&flash, 1), Some(erased));
        assert_eq!(table.erased_value(&flash, 2), None);
    }
}

#[test]
fn slots_are_read() {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 100, &[1, 2, 3]).unwrap();
    let table = SlotTable::new(dfu(&flash));
    let mut buf = [0; 32];
    table.read(&mut flash, 1, 99, &mut buf).unwrap();
    assert_eq!(buf[..5], [0xff, 1, 2, 3, 0xff]);
    let missing = Err(DfuError::NoSuchSlot { slot: 2 });
    assert_eq!(table.read(&mut flash, 2, 0, &mut buf), missing);
    assert!(table.read(&mut flash, 1, SLOT - 31, &mut buf).is_err(), "past the end");
}

#[test]
fn an_erased_slot_is_blank_until_something_is_written() {
    let mut flash = flash(4, 0xff);
    let table = SlotTable::new(dfu(&flash));
    flash.load(SECONDARY, 0, &[0x77; 2000]).unwrap();
    table.erase(&mut flash, 1).unwrap();
    assert_eq!(table.is_blank(&mut flash, 1), Ok(true));
    assert_eq!(flash.bytes(SECONDARY)[..1024], [0xff; 1024]);
    flash.reset_counts();
    table.erase(&mut flash, 1).unwrap();
    assert_eq!(flash.counts().erases, 0, "a blank slot is left as it is");
    updraft_flash::FlashMap::write(&mut flash, SECONDARY, 0, &[0x12, 0x34, 0x56, 0x78]).unwrap();
    assert_eq!(table.is_blank(&mut flash, 1), Ok(false));
    let missing = Err(DfuError::NoSuchSlot { slot: 2 });
    assert_eq!(table.is_blank(&mut flash, 2), missing);
    assert_eq!(table.erase(&mut flash, 2), Err(DfuError::NoSuchSlot { slot: 2 }));
}

/// Every word of the slot is written, erased, and blank.
#[test]
fn a_full_slot_is_erased_to_its_last_word() {
    let mut flash = flash(4, 0xff);
    flash.load(SECONDARY, 0, &[0x5a; SLOT as usize]).unwrap();
    SlotTable::new(dfu(&flash)).erase(&mut flash, 1).unwrap();
    assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == 0xff));
}

#[test]
fn the_slot_that_runs_is_neither_erased_nor_asked_for() {
    let mut flash = flash(8, 0xff);
    flash.load(PRIMARY, 0, &image(V1, 1000)).unwrap();
    flash.load(SECONDARY, 0, &image(V1, 1000)).unwrap();
    let primary = SlotTable::new(dfu(&flash));
    let secondary = SlotTable::new(dfu(&flash).running_from(Which::Secondary));
    let before = (flash.bytes(PRIMARY), flash.bytes(SECONDARY));
    for (table, slot) in [(primary, 0), (secondary, 1)] {
        assert_eq!(table.erase(&mut flash, slot), Err(DfuError::ActiveSlot));
        let asked = table.request(&mut flash, &mut HashOnly, slot, Upgrade::Test);
        assert_eq!(asked, Err(DfuError::ActiveSlot));
    }
    assert_eq!((flash.bytes(PRIMARY), flash.bytes(SECONDARY)), before);
}

#[test]
fn nothing_is_swapped_once_the_slot_is_erased() {
    let (mut flash, table) = two_images(UpgradeMode::SwapMove);
    flash.load(SECONDARY, 0, &image(V1, 1000)).unwrap();
    table.request(&mut flash, &mut HashOnly, 1, Upgrade::Test).unwrap();
    assert_eq!(table.swap_type(&mut flash, 0), Ok(SwapType::Test));
    table.erase(&mut flash, 1).unwrap();
    assert_eq!(table.swap_type(&mut flash, 0), Ok(SwapType::None));
    assert!(table.swap_type(&mut flash, 2).is_err());
}

#[test]
fn images_begin_and_trailers_end_in_their_slots() {
    for (mode, start) in [(UpgradeMode::SwapMove, 0), (UpgradeMode::SwapOffset, 4096)] {
        let (mut flash, table) = two_images(mode);
        for slot in 0..4 {
            let begins = table.image_start(&mut flash, slot).unwrap();
            assert_eq!(begins, if slot % 2 == 1 { start } else { 0 });
            let trailer = table.trailer_start(slot).unwrap();
            assert!(trailer > SLOT / 2 && trailer < SLOT);
            assert_eq!(table.size(&flash, slot), Some(SLOT));
        }
        assert_eq!(table.trailer_start(4), None);
        assert!(table.image_start(&mut flash, 4).is_err());
    }
}

#[test]
fn an_image_is_told_by_its_slot() {
    let (mut flash, table) = two_images(UpgradeMode::SwapMove);
    flash.load(SECONDARY_2, 0, &image(Version::new(3, 2, 1, 0), 1000)).unwrap();
    let info = table.image_info(&mut flash, 3).unwrap();
    assert_eq!(info.header.version, Version::new(3, 2, 1, 0));
    assert!(table.image_info(&mut flash, 1).is_err(), "an erased slot");
    let missing = DfuError::NoSuchSlot { slot: 4 };
    assert_eq!(table.image_info(&mut flash, 4), Err(missing));
}

#[test]
fn each_image_is_asked_for_in_its_own_slot() {
    let (mut flash, table) = two_images(UpgradeMode::SwapMove);
    for area in [SECONDARY, SECONDARY_2] {
        flash.load(area, 0, &image(V1, 1000)).unwrap();
    }
    for (slot, upgrade) in [(1, Upgrade::Test), (3, Upgrade::Permanent)] {
        let asked = table.request(&mut flash, &mut HashOnly, slot, upgrade).unwrap();
        assert!(matches!(asked, Requested::Marked(_)));
    }
    assert_eq!(tail(&flash, SECONDARY, 24)[..8], [0xff; 8]);
    assert_eq!(tail(&flash, SECONDARY, 16), magic_bytes(8));
    assert_eq!(tail(&flash, SECONDARY_2, 24)[0], 1);
    assert_eq!(tail(&flash, SECONDARY_2, 16), magic_bytes(8));
    assert_eq!(tail(&flash, SECONDARY_2, 40)[0], 0x13, "permanent, image 1");
    assert_eq!(table.swap_type(&mut flash, 0), Ok(SwapType::Test));
    assert_eq!(table.swap_type(&mut flash, 1), Ok(SwapType::Permanent));
}

#[test]
fn each_image_is_confirmed_in_its_own_slot() {
    let (mut flash, table) = two_images(UpgradeMode::SwapMove);
    for area in [PRIMARY, PRIMARY_2] {
        flash.load(area, SLOT - 16, &magic_bytes(8)).unwrap();
        flash.load(area, SLOT - 32, &[1]).unwrap();
    }
    for (image, area, other) in [(0, PRIMARY, 0xff), (1, PRIMARY_2, 1)] {
        assert_eq!(table.swap_type(&mut flash, image), Ok(SwapType::Revert));
        table.confirm(&mut flash, image).unwrap();
        assert_eq!(tail(&flash, area, 24)[0], 1);
        assert_eq!(tail(&flash, PRIMARY_2, 24)[0], if image == 0 { other } else { 1 });
        assert_eq!(table.swap_type(&mut flash, image), Ok(SwapType::None));
    }
    assert!(table.confirm(&mut flash, 2).is_err());
}
