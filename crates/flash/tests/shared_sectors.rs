//! Areas that begin or end inside a sector.

use updraft_flash::{AreaEntry, AreaId, Fault, FlashError, FlashMap, Sector};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const SLOT: AreaId = AreaId(1);
const NEIGHBOUR: AreaId = AreaId(2);

/// 8 sectors of 1 KiB. The slot begins 512 bytes into the second one and ends 512 bytes into the
/// sixth; another area begins at `neighbour`.
fn flash(neighbour: u32) -> SimFlash {
    let slot = AreaEntry { id: SLOT, device: 0, offset: 1024 + 512, size: 4096 };
    let other = AreaEntry { id: NEIGHBOUR, device: 0, offset: neighbour, size: 1024 };
    SimFlash::new(vec![DeviceSpec::nor(8, 1024, 4)], vec![slot, other])
}

#[test]
fn a_slot_has_a_part_of_its_first_and_last_sector() {
    let flash = flash(6 * 1024);
    assert_eq!(flash.sector_at(SLOT, 0), Some(Sector { offset: 0, size: 512 }));
    assert_eq!(flash.sector_at(SLOT, 512), Some(Sector { offset: 512, size: 1024 }));
    assert_eq!(flash.sector_at(SLOT, 4095), Some(Sector { offset: 3584, size: 512 }));
}

#[test]
fn erasing_a_part_takes_the_whole_sector() {
    let mut flash = flash(6 * 1024);
    flash.load(SLOT, 0, &[0x11; 4096]).unwrap();
    flash.supply().record(true);
    for (offset, len) in [(0, 512), (3584, 512), (512, 1024)] {
        flash.erase(SLOT, offset, len).unwrap();
        assert!(flash.holds(SLOT, offset, &vec![0xff; len as usize]));
    }
    assert!(flash.holds(SLOT, 1536, &[0x11; 2048]));
    assert_eq!(flash.devices()[0].wear(), [0, 1, 1, 0, 0, 1, 0, 0]);
    let log = flash.take_log();
    let told: Vec<_> = log.iter().map(|op| (op.area, op.offset, op.len)).collect();
    assert_eq!(told, [(SLOT, 0, 512), (SLOT, 3584, 512), (SLOT, 512, 1024)]);
    flash.erase(SLOT, 0, 4096).unwrap();
    assert!(flash.holds(SLOT, 0, &[0xff; 4096]));
}

#[test]
fn a_sector_that_another_area_has_a_part_of_is_not_erased() {
    for (neighbour, offset) in [(5 * 1024 + 512, 3584), (512, 0)] {
        let mut flash = flash(neighbour);
        flash.load(NEIGHBOUR, 0, &[0x22; 1024]).unwrap();
        for (offset, len) in [(offset, 512), (0, 4096)] {
            let refused = flash.erase(SLOT, offset, len).unwrap_err();
            assert_eq!(refused.fault(), Fault::Misaligned, "neighbour at {neighbour:#x}");
        }
        assert!(flash.holds(NEIGHBOUR, 0, &[0x22; 1024]));
        flash.erase(SLOT, 512, 3072).unwrap();
    }
}

#[test]
fn parts_are_erased_with_groups_of_sectors_around_them() {
    let mut flash = flash(6 * 1024);
    flash.group_sectors(2048);
    flash.load(SLOT, 0, &[0x11; 4096]).unwrap();
    flash.supply().cut_at(1, Torn::Skip);
    assert!(flash.erase(SLOT, 0, 1536).is_err());
    flash.supply().power_on();
    assert!(flash.holds(SLOT, 0, &[0x11; 512]) && flash.holds(SLOT, 512, &[0xff; 1024]));
    flash.erase(SLOT, 0, 1536).unwrap();
    assert!(flash.holds(SLOT, 0, &[0xff; 1536]));
}
