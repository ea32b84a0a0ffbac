//! Erasing as it goes: which sectors, when, and how often.

use updraft_flash::{AreaEntry, Kind, SectorRun, Stream, StreamError};
use updraft_sim::flash::{DeviceSpec, SimFlash};

use crate::common::{AREA, BLOCK, SECTOR, SIZE, data, flash, stream, with};

fn erased(flash: &SimFlash) -> Vec<u32> {
    let log = flash.supply().take_log();
    log.iter().filter(|op| op.is_erase()).map(|op| op.address).collect()
}

#[test]
fn a_sector_is_erased_just_before_its_first_byte_and_not_earlier() {
    let mut flash = flash(4);
    flash.load(AREA, 0, &data(SIZE as usize)).unwrap();
    let before = flash.bytes(AREA);
    let mut stream = stream(&flash);
    assert_eq!(flash.bytes(AREA), before, "a stream that takes nothing erases nothing");
    stream.write(&mut flash, &[0x11; SECTOR as usize]).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!(stream.erased(), SECTOR);
    assert_eq!(flash.bytes(AREA)[SECTOR as usize..], before[SECTOR as usize..]);
    stream.write(&mut flash, &[0x22; BLOCK]).unwrap();
    assert_eq!(stream.erased(), 2 * SECTOR);
}

/// In Zephyr, a stream that begins off a page's start adds whole pages up from there: it erases
/// what it wrote just before, and writes the rest over cells that were not erased.
#[test]
fn a_stream_does_not_begin_within_a_sector() {
    let flash = flash(4);
    for start in [4, 512, SECTOR - 512, SECTOR + 4] {
        for end in [start + SECTOR, 2 * SECTOR, SIZE] {
            let refused = Stream::<BLOCK>::new(&flash, AREA, start, end - start).err();
            assert_eq!(refused, Some(StreamError::Misaligned { start }), "to {end}");
        }
    }
    let refused = Stream::<BLOCK>::new(&flash, AREA, 0, SECTOR + 512).err();
    assert_eq!(refused, Some(StreamError::Misaligned { start: 0 }), "nor end within one");
}

#[test]
fn no_sector_is_erased_twice_and_none_outside_the_range() {
    let mut flash = flash(4);
    flash.load(AREA, 0, &[0x77; SIZE as usize]).unwrap();
    flash.supply().record(true);
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, SECTOR, 2 * SECTOR).unwrap();
    for piece in data(2 * SECTOR as usize).chunks(100) {
        stream.write(&mut flash, piece).unwrap();
    }
    stream.flush(&mut flash).unwrap();
    assert_eq!(erased(&flash), [2 * SECTOR, 3 * SECTOR], "addresses of the device");
    let bytes = flash.bytes(AREA);
    assert_eq!(bytes[..SECTOR as usize], [0x77; SECTOR as usize]);
    assert_eq!(bytes[SECTOR as usize..3 * SECTOR as usize], data(2 * SECTOR as usize));
    assert_eq!(bytes[3 * SECTOR as usize..], [0x77; SECTOR as usize]);
}

#[test]
fn sectors_may_be_of_any_sizes() {
    let mut spec = DeviceSpec::nor(1, 1024, 4);
    let runs = [(3, 256), (1, 8192), (5, 1024), (2, 16384)];
    spec.sectors.extend(runs.map(|(count, size)| SectorRun { count, size }));
    let mut flash = with(spec);
    let len = 3 * 256 + 8192 + 5 * 1024 + 2 * 16384;
    flash.load(AREA, 0, &vec![0x77; len]).unwrap();
    flash.supply().record(true);
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, 0, len as u32).unwrap();
    for piece in data(len).chunks(333) {
        stream.write(&mut flash, piece).unwrap();
    }
    stream.flush(&mut flash).unwrap();
    assert_eq!(flash.bytes(AREA), data(len));
    assert_eq!(erased(&flash).len(), 11, "every sector once");
}

/// The area has the second half of the first of these sectors, the first half of the last one, and
/// nobody has the other halves.
#[test]
fn sectors_that_the_area_has_a_part_of_go_whole() {
    let area = AreaEntry { id: AREA, device: 0, offset: SECTOR / 2, size: 2 * SECTOR };
    let mut flash = SimFlash::new(vec![DeviceSpec::nor(4, SECTOR, 4)], vec![area]);
    let len = 2 * SECTOR as usize;
    flash.load(AREA, 0, &vec![0x77; len]).unwrap();
    flash.supply().record(true);
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, 0, len as u32).unwrap();
    stream.write(&mut flash, &data(len)).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!(flash.bytes(AREA), data(len));
    assert_eq!(erased(&flash), [0, SECTOR, 2 * SECTOR]);
}

/// The other halves belong to somebody: what an erase would take with it stays.
#[test]
fn a_sector_that_is_shared_with_another_area_is_not_erased() {
    let other = updraft_flash::AreaId(2);
    let area = |id, offset, size| AreaEntry { id, device: 0, offset, size };
    let table = vec![area(other, 0, SECTOR / 2), area(AREA, SECTOR / 2, 2 * SECTOR)];
    let mut flash = SimFlash::new(vec![DeviceSpec::nor(4, SECTOR, 4)], table);
    flash.load(other, 0, &[0x44; 2048]).unwrap();
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, 0, 2 * SECTOR).unwrap();
    let refused = stream.write(&mut flash, &data(BLOCK));
    assert!(matches!(refused, Err(StreamError::Flash(_))), "{refused:?}");
    assert_eq!(flash.bytes(other), [0x44; 2048]);
}

#[test]
fn rows_that_erase_themselves_are_not_erased() {
    let spec = DeviceSpec {
        kind: Kind::SelfErasingRows,
        write_size: 512,
        erased: 0,
        ..DeviceSpec::nor(33, 512, 512)
    };
    let mut flash = with(spec);
    flash.load(AREA, 0, &[0x77; 32 * 512]).unwrap();
    flash.reset_counts();
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, 0, 32 * 512).unwrap();
    stream.write(&mut flash, &data(2000)).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!(flash.counts().erases, 0);
    assert_eq!(flash.bytes(AREA)[..2000], data(2000));
    assert_eq!(flash.bytes(AREA)[2000..2048], [0; 48], "padded with the erased value");
    assert_eq!(flash.bytes(AREA)[2048..2560], [0x77; 512]);
}

#[test]
fn what_is_known_to_be_erased_is_not_erased_again() {
    let mut flash = flash(4);
    flash.load(AREA, 0, &[0x77; 2 * SECTOR as usize]).unwrap();
    flash.supply().record(true);
    let mut stream = stream(&flash).erased_from(2 * SECTOR);
    stream.write(&mut flash, &data(SIZE as usize)).unwrap();
    assert_eq!(erased(&flash), [SECTOR, 2 * SECTOR]);
    assert_eq!(flash.bytes(AREA), data(SIZE as usize));
}
