//! Sectors that are shown in groups, to be exchanged together.

use updraft_flash::{AreaEntry, AreaId, FlashMap, Sector};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const SLOT: AreaId = AreaId(1);
const ODD: AreaId = AreaId(2);

/// 16 sectors of 512 bytes, grouped by four; the first area begins in the middle of a multiple of
/// the group on its device, the second one is a group and a half.
fn flash() -> SimFlash {
    let area = |id, first: u32, count: u32| {
        let [offset, size] = [first, count].map(|sectors| sectors * 512);
        AreaEntry { id, device: 0, offset, size }
    };
    let table = vec![area(SLOT, 2, 8), area(ODD, 10, 6)];
    let mut flash = SimFlash::new(vec![DeviceSpec::nor(16, 512, 4)], table);
    flash.group_sectors(2048);
    flash
}

#[test]
fn groups_begin_where_the_area_does() {
    let flash = flash();
    assert_eq!(flash.sector_at(SLOT, 0), Some(Sector { offset: 0, size: 2048 }));
    assert_eq!(flash.sector_at(SLOT, 2047), Some(Sector { offset: 0, size: 2048 }));
    assert_eq!(flash.sector_at(SLOT, 2048), Some(Sector { offset: 2048, size: 2048 }));
    assert_eq!(flash.sector_at(SLOT, 4096), None);
}

#[test]
fn what_makes_no_whole_group_stays_as_it_is() {
    let flash = flash();
    assert_eq!(flash.sector_at(ODD, 512), Some(Sector { offset: 0, size: 2048 }));
    assert_eq!(flash.sector_at(ODD, 2560), Some(Sector { offset: 2560, size: 512 }));
}

#[test]
fn groups_across_the_edges_of_sectors_are_not_made() {
    let mut flash = flash();
    flash.group_sectors(768);
    assert_eq!(flash.sector_at(SLOT, 600), Some(Sector { offset: 512, size: 512 }));
}

/// The trailer at the end of a slot tells of the data below it.
#[test]
fn a_group_is_erased_sector_by_sector_from_its_end() {
    let mut flash = flash();
    flash.write(SLOT, 0, &[0x11; 2048]).unwrap();
    flash.supply().cut_at(2, Torn::Skip);
    assert!(flash.erase(SLOT, 0, 2048).is_err());
    flash.supply().power_on();
    assert!(flash.holds(SLOT, 0, &[0x11; 1024]) && flash.holds(SLOT, 1024, &[0xff; 1024]));
    flash.erase(SLOT, 0, 2048).unwrap();
    assert!(flash.holds(SLOT, 0, &[0xff; 2048]));
    assert!(flash.devices()[0].wear().iter().all(|erases| *erases <= 2));
}

#[test]
fn nothing_is_erased_unless_all_of_it_may_be() {
    let mut flash = flash();
    flash.write(SLOT, 0, &[0x11; 2048]).unwrap();
    assert!(flash.erase(SLOT, 256, 1792).is_err());
    assert!(flash.erase(SLOT, 2048, 4096).is_err());
    assert!(flash.holds(SLOT, 0, &[0x11; 2048]));
}
