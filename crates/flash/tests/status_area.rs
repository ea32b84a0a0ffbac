//! Trailers in a status area, byte by byte: rows with a payload, a magic, a counter and a CRC-32C,
//! two copies of each.

use updraft_flash::{
    AreaEntry, AreaId, FlashMap, Kind, Sector, SlotPair, StatusFormat, StatusMap, TrailerAccess,
    TrailerFormat,
};
use updraft_image::{
    ContentKey, Flag, KeyLength, KeySlot, Magic, SavedKey, SwapInfo, SwapType, TrailerKeys,
    TrailerLayout, TrailerState, UpgradeMode, magic_bytes,
};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const PRIMARY: AreaId = AreaId(1);
const SECONDARY: AreaId = AreaId(2);
const SCRATCH: AreaId = AreaId(3);
const STATUS: AreaId = AreaId(16);
const PAIR: SlotPair = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };

/// As PSoC 6: rows of 512 bytes that erase to 0x00. 16 rows a slot.
const ROW: u32 = 512;
const SLOT: u32 = 16 * ROW;

fn flash_of(spec: DeviceSpec) -> SimFlash {
    let row = spec.sectors[0].size;
    let entry = |id, first: u32, rows: u32| AreaEntry {
        id,
        device: 0,
        offset: first * row,
        size: rows * row,
    };
    let slot = SLOT / row;
    let table = vec![
        entry(PRIMARY, 0, slot),
        entry(SECONDARY, slot, slot),
        entry(SCRATCH, 2 * slot, 1),
        entry(STATUS, 2 * slot + 1, 3 * 2 * (16u32.div_ceil(row - 12) + 64u32.div_ceil(row - 12))),
    ];
    SimFlash::new(vec![spec], table)
}

fn rows() -> SimFlash {
    let spec = DeviceSpec::nor(64, ROW, ROW);
    flash_of(DeviceSpec { kind: Kind::SelfErasingRows, erased: 0x00, ..spec })
}

fn trailers(keys: Option<TrailerKeys>) -> TrailerFormat {
    TrailerFormat { mode: UpgradeMode::StatusPartition, max_align: 8, max_sectors: 16, keys }
}

fn format() -> StatusFormat {
    StatusFormat::new(STATUS, SCRATCH, trailers(None), &[PAIR]).unwrap()
}

fn open(flash: &mut SimFlash) -> StatusMap<&mut SimFlash> {
    StatusMap::open(flash, format()).unwrap()
}

/// The trailers of both slots as they are shown.
fn shown(map: &impl FlashMap) -> [TrailerAccess; 2] {
    trailers(None).trailers(map, &PAIR).unwrap()
}

/// The trailer in a slot itself.
fn own(slot: AreaId) -> TrailerAccess {
    let mode = UpgradeMode::StatusPartition;
    TrailerAccess::new(slot, TrailerLayout::new(SLOT, mode, 16, 8, 8).unwrap())
}

/// CRC-32C, bit by bit, for what the test expects.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

/// A row of `payload` as it was written for the `counter`-th time.
fn row(payload: &[u8], counter: u32) -> Vec<u8> {
    let mut row = payload.to_vec();
    row.extend(0xdead_beef_u32.to_le_bytes());
    row.extend(counter.to_le_bytes());
    row.extend(crc32c(&row).to_le_bytes());
    row
}

/// The payload of the row with the trailer's fields: magic, image_ok, copy_done, swap_info, from
/// the end.
fn fields(image_ok: u8, copy_done: u8, swap_info: u8) -> Vec<u8> {
    let mut payload = vec![0; (ROW - 12) as usize - 19];
    payload.extend([swap_info, copy_done, image_ok]);
    payload.extend(magic_bytes(8));
    payload
}

/// Copy number `copy` of row number `index` of a table.
fn at(table: u32, copy: u32, index: u32) -> u32 {
    ((table * 2 + copy) * 2 + index) * ROW
}

#[test]
fn a_row_is_written_to_its_two_copies_in_turn() {
    let mut flash = rows();
    let mut map = open(&mut flash);
    let [_, secondary] = shown(&map);
    secondary.write_magic(&mut map).unwrap();
    assert!(flash.holds(STATUS, at(1, 0, 1), &row(&fields(0, 0, 0), 1)));
    let mut map = open(&mut flash);
    secondary.write_image_ok(&mut map).unwrap();
    assert!(flash.holds(STATUS, at(1, 0, 1), &row(&fields(0, 0, 0), 1)), "the old one stays");
    assert!(flash.holds(STATUS, at(1, 1, 1), &row(&fields(1, 0, 0), 2)));
    let mut map = open(&mut flash);
    secondary
        .write_swap_info(&mut map, SwapInfo { swap_type: SwapType::Permanent, image: 0 })
        .unwrap();
    assert!(flash.holds(STATUS, at(1, 0, 1), &row(&fields(1, 0, 3), 3)));
    let state = secondary.read(&mut open(&mut flash)).unwrap();
    assert_eq!((state.magic, state.image_ok), (Magic::Good, Flag::Set));
    assert_eq!(state.swap_info.swap_type, SwapType::Permanent);
    assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == 0), "nothing in the slot");
}

/// No row is written that often, but whoever can write to the status area can say that it was.
#[test]
fn a_row_whose_counter_stands_at_its_end_can_still_be_changed() {
    let mut flash = rows();
    flash.load(STATUS, at(1, 1, 1), &row(&fields(0, 0, 0), u32::MAX)).unwrap();
    let [_, secondary] = shown(&open(&mut flash));
    secondary.write_image_ok(&mut open(&mut flash)).unwrap();
    assert!(flash.holds(STATUS, at(1, 0, 1), &row(&fields(1, 0, 0), 0)));
    assert_eq!(secondary.read(&mut open(&mut flash)).unwrap().image_ok, Flag::Set);
    let info = SwapInfo { swap_type: SwapType::Permanent, image: 0 };
    secondary.write_swap_info(&mut open(&mut flash), info).unwrap();
    assert!(flash.holds(STATUS, at(1, 1, 1), &row(&fields(1, 0, 3), 1)));
    assert_eq!(secondary.read(&mut open(&mut flash)).unwrap().swap_info, info);
}

#[test]
fn tables_follow_each_other_in_the_order_of_the_areas() {
    let mut flash = rows();
    let mut map = open(&mut flash);
    let [primary, _] = shown(&map);
    primary.write_magic(&mut map).unwrap();
    // The scratch area has the records of one round.
    let format = TrailerFormat { max_sectors: 1, ..trailers(None) };
    let scratch = format.trailer(&map, SCRATCH, ROW).unwrap();
    scratch.write_magic(&mut map).unwrap();
    for table in [0, 2] {
        assert!(flash.holds(STATUS, at(table, 0, 1), &row(&fields(0, 0, 0), 1)), "table {table}");
    }
}

#[test]
fn the_slots_of_further_images_have_the_tables_behind_the_scratch_area() {
    let spec = DeviceSpec::nor(64, 64, 8);
    let entry = |id: u8, offset, size| AreaEntry { id: AreaId(id), device: 0, offset, size };
    let table = vec![
        entry(1, 0, 512),
        entry(2, 512, 512),
        entry(4, 1024, 512),
        entry(5, 1536, 512),
        entry(3, 2048, 64),
        entry(16, 2112, 5 * 2 * 3 * 64),
    ];
    let mut flash = SimFlash::new(vec![spec], table);
    let second = SlotPair { image: 1, primary: AreaId(4), secondary: AreaId(5) };
    let trailers = TrailerFormat { max_sectors: 8, ..trailers(None) };
    let format = StatusFormat::new(STATUS, SCRATCH, trailers, &[PAIR, second]).unwrap();
    let mut map = StatusMap::open(&mut flash, format).unwrap();
    let [primary, secondary] = trailers.trailers(&map, &second).unwrap();
    primary.write_magic(&mut map).unwrap();
    secondary.write_magic(&mut map).unwrap();
    let status = flash.bytes(STATUS);
    let written: Vec<_> = status.chunks(64).map(|row| row.iter().any(|it| *it != 0xff)).collect();
    // Three rows a table: one of sector states, two that end with the fields.
    let expected = |row: usize| [3 * 6 + 2, 4 * 6 + 2].contains(&row);
    assert_eq!(written, (0..30).map(expected).collect::<Vec<_>>());
}

#[test]
fn a_round_of_a_swap_is_one_byte_that_counts_its_steps() {
    let mut flash = rows();
    let mut map = open(&mut flash);
    let [primary, _] = shown(&map);
    let record = |index: u32| primary.layout().status() + index * 8;
    for (index, step) in [(0, 1), (1, 2), (2, 3), (3, 1)] {
        primary.write_cell(&mut map, record(index), &[step]).unwrap();
    }
    for (index, expected) in [1, 2, 3, 1, 0, 0].into_iter().enumerate() {
        let mut byte = [0xee];
        map.read(PRIMARY, record(index as u32), &mut byte).unwrap();
        assert_eq!(byte, [expected], "record {index}");
    }
    let mut payload = vec![0; (ROW - 12) as usize];
    payload[..2].copy_from_slice(&[3, 1]);
    assert!(flash.holds(STATUS, at(0, 1, 0), &row(&payload, 4)));
}

#[test]
fn size_and_keys_stand_below_the_flags() {
    let keys = TrailerKeys::Plain(KeyLength::Aes128);
    let mut flash = rows();
    let trailers = trailers(Some(keys));
    let format = StatusFormat::new(STATUS, SCRATCH, trailers, &[PAIR]).unwrap();
    let mut map = StatusMap::open(&mut flash, format).unwrap();
    let [primary, _] = trailers.trailers(&map, &PAIR).unwrap();
    let mut saved = SavedKey::absent(keys);
    saved.as_mut_bytes().copy_from_slice(&[0x4b; 16]);
    primary.write_swap_size(&mut map, 0x1234).unwrap();
    primary.write_key(&mut map, KeySlot::Secondary, Some(&saved)).unwrap();
    assert_eq!(primary.read_swap_size(&mut map).unwrap(), 0x1234);
    let found = primary.read_key(&mut map, KeySlot::Secondary).unwrap().unwrap();
    assert_eq!(found.as_bytes(), [0x4b; 16]);
    assert!(primary.read_key(&mut map, KeySlot::Primary).unwrap().is_none());
    assert!(ContentKey::from_slice(found.as_bytes()).is_some());
    let end = at(0, 1, 1) + ROW - 12;
    assert!(flash.holds(STATUS, end - 23, &[0x34, 0x12, 0, 0]));
    assert!(flash.holds(STATUS, end - 23 - 32, &[0x4b; 16]));
}

#[test]
fn the_image_ends_before_the_sectors_of_the_slots_own_trailer() {
    let mut flash = rows();
    let mut map = open(&mut flash);
    let info = map.info(PRIMARY).unwrap();
    let below = SLOT - ROW;
    let trailer = info.size - below;
    assert_eq!(map.sector_at(PRIMARY, below), Some(Sector { offset: below, size: trailer }));
    assert_eq!(map.sector_at(PRIMARY, below - 1).unwrap().end(), below);
    assert_eq!(shown(&map)[0].layout().size().next_multiple_of(ROW), trailer);
    map.write(PRIMARY, below - ROW, &[0x11; ROW as usize]).unwrap();
    assert!(map.write(PRIMARY, info.size, &[0x11; ROW as usize]).is_err());
    assert!(map.erase(PRIMARY, below, ROW - 1).is_err(), "not a part of what is shown");
    assert!(flash.holds(PRIMARY, below - ROW, &[0x11; ROW as usize]));
}

/// A write to a row is torn: what counts is the other copy, and the torn one is erased.
#[test]
fn a_torn_row_never_counts() {
    let kinds = [
        DeviceSpec { kind: Kind::SelfErasingRows, erased: 0x00, ..DeviceSpec::nor(64, ROW, ROW) },
        DeviceSpec { kind: Kind::EccWords, ..DeviceSpec::nor(64, ROW, 8) },
        DeviceSpec::nor(80, 256, 4),
        // Payloads of 4 bytes: the magic takes four rows.
        DeviceSpec::nor(2048, 16, 4),
    ];
    let mut torn_rows = 0;
    for spec in kinds {
        let mut start = flash_of(spec.clone());
        let mut map = open(&mut start);
        let [_, secondary] = shown(&map);
        let info = SwapInfo { swap_type: SwapType::Test, image: 0 };
        secondary.write_swap_info(&mut map, info).unwrap();
        let before = secondary.read(&mut map).unwrap();
        for cut in 0.. {
            let mut whole = start.clone();
            whole.supply().cut_at(cut, Torn::Skip);
            if secondary.write_image_ok(&mut open(&mut whole)).is_ok() {
                assert!(cut > 0);
                break;
            }
            for torn in (0..24).flat_map(|seed| Torn::classes(spec.kind, seed)) {
                let mut flash = start.clone();
                flash.supply().cut_at(cut, torn);
                let _ = secondary.write_image_ok(&mut open(&mut flash));
                flash.supply().power_on();
                let first = secondary.read(&mut open(&mut flash)).unwrap();
                let decided = flash.bytes(STATUS);
                for _ in 0..8 {
                    let again = secondary.read(&mut open(&mut flash)).unwrap();
                    assert_eq!(again, first, "{spec:?}, cut {cut}, {torn:?}");
                }
                assert_eq!(flash.bytes(STATUS), decided, "decided once");
                let after = TrailerState { image_ok: Flag::Set, ..before };
                assert!(first == before || first == after, "{spec:?}, cut {cut}, {torn:?}");
                secondary.write_image_ok(&mut open(&mut flash)).unwrap();
                assert_eq!(secondary.read(&mut open(&mut flash)).unwrap(), after);
                torn_rows += 1;
            }
        }
    }
    println!("{torn_rows} torn rows");
}

/// Cells that give one value or the other each time they are read: a row that is valid as often as
/// not must not be believed in one boot and doubted in the next.
#[test]
fn a_row_that_is_valid_at_times_is_decided_once() {
    let mut start = flash_of(DeviceSpec::nor(80, 256, 4));
    let [_, secondary] = shown(&open(&mut start));
    secondary.write_magic(&mut open(&mut start)).unwrap();
    let before = secondary.read(&mut open(&mut start)).unwrap();
    let mut believed = 0;
    for seed in 0..300 {
        let mut flash = start.clone();
        // An erase, and then the write.
        flash.supply().cut_at(1, Torn::Unstable(seed));
        assert!(secondary.write_image_ok(&mut open(&mut flash)).is_err());
        flash.supply().power_on();
        let first = secondary.read(&mut open(&mut flash)).unwrap();
        for _ in 0..16 {
            assert_eq!(secondary.read(&mut open(&mut flash)).unwrap(), first, "seed {seed}");
        }
        believed += u32::from(first != before);
    }
    println!("{believed} of 300 unstable rows believed");
}

/// Of two copies the older one goes first: what was valid once must not count again.
#[test]
fn an_erase_that_is_cut_off_brings_nothing_back() {
    let mut start = rows();
    let [_, secondary] = shown(&open(&mut start));
    secondary.write_magic(&mut open(&mut start)).unwrap();
    secondary.write_image_ok(&mut open(&mut start)).unwrap();
    let asked = secondary.read(&mut open(&mut start)).unwrap();
    for cut in 0..2 {
        for torn in [Torn::Skip, Torn::Half, Torn::Bits(1), Torn::Unstable(2)] {
            let mut flash = start.clone();
            flash.supply().cut_at(cut, torn);
            assert!(secondary.erase(&mut open(&mut flash)).is_err());
            flash.supply().power_on();
            let found = secondary.read(&mut open(&mut flash)).unwrap();
            assert!([asked, TrailerState::UNSET].contains(&found), "cut {cut}, {torn:?}");
        }
    }
}

#[test]
fn a_padded_image_asks_for_itself() {
    for (image_ok, cut) in [(false, 0), (false, 1), (true, 0), (true, 1), (true, 2)] {
        let mut flash = rows();
        own(SECONDARY).write_magic(&mut flash).unwrap();
        if image_ok {
            own(SECONDARY).write_image_ok(&mut flash).unwrap();
        }
        flash.supply().cut_at(cut, Torn::Half);
        let _ = StatusMap::open(&mut flash, format());
        flash.supply().power_on();
        let mut map = open(&mut flash);
        let [_, secondary] = shown(&map);
        let state = secondary.read(&mut map).unwrap();
        assert_eq!(state.magic, Magic::Good, "cut {cut}");
        assert_eq!(state.image_ok == Flag::Set, image_ok, "cut {cut}");
        assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == 0), "taken over");
    }
}

#[test]
fn half_a_request_in_the_slot_is_none() {
    let mut flash = rows();
    flash.load(SECONDARY, SLOT - 16, &magic_bytes(8)[..7]).unwrap();
    let mut map = open(&mut flash);
    let [_, secondary] = shown(&map);
    assert_eq!(secondary.read(&mut map).unwrap(), TrailerState::UNSET);
    assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == 0), "and never will be one");
}

#[test]
fn a_request_that_is_cleared_does_not_come_back() {
    let mut start = rows();
    let [_, secondary] = shown(&open(&mut start));
    secondary.write_magic(&mut open(&mut start)).unwrap();
    own(SECONDARY).write_magic(&mut start).unwrap();
    for cut in 0..4 {
        let mut flash = start.clone();
        flash.supply().cut_at(cut, Torn::Skip);
        let mut map = StatusMap::reopen(&mut flash, format());
        let cleared = secondary.erase(&mut map).is_ok();
        flash.supply().power_on();
        let mut map = open(&mut flash);
        let state = secondary.read(&mut map).unwrap();
        assert!(!cleared || state == TrailerState::UNSET, "cut {cut}");
        secondary.erase(&mut map).unwrap();
        assert_eq!(secondary.read(&mut open(&mut flash)).unwrap(), TrailerState::UNSET);
    }
}

#[test]
fn the_end_of_a_swap_is_copied_to_the_slot_and_confirmed_there() {
    let mut flash = rows();
    let mut map = open(&mut flash);
    let [primary, _] = shown(&map);
    primary.write_swap_info(&mut map, SwapInfo { swap_type: SwapType::Test, image: 0 }).unwrap();
    primary.write_swap_size(&mut map, 3000).unwrap();
    primary.write_magic(&mut map).unwrap();
    assert!(flash.bytes(PRIMARY).iter().all(|byte| *byte == 0), "not before it ends");
    primary.write_copy_done(&mut open(&mut flash)).unwrap();
    let state = own(PRIMARY).read(&mut flash).unwrap();
    assert_eq!((state.magic, state.copy_done), (Magic::Good, Flag::Set));
    assert_eq!(state.swap_info.swap_type, SwapType::Test);
    assert_eq!(own(PRIMARY).read_swap_size(&mut flash).unwrap(), 3000);

    // As an application does that knows of no status area.
    own(PRIMARY).write_image_ok(&mut flash).unwrap();
    let mut map = open(&mut flash);
    assert_eq!(primary.read(&mut map).unwrap().image_ok, Flag::Set);
}

/// Where cells erase to 0x00, a size of nothing would pass for blank, and take no second write.
#[test]
fn the_end_of_a_swap_without_a_size_is_copied_as_often_as_it_is_cut() {
    let spec = DeviceSpec { kind: Kind::EccWords, ..DeviceSpec::nor(96, ROW, 8) };
    let start = flash_of(DeviceSpec { erased: 0x00, ..spec });
    let [primary, _] = shown(&open(&mut start.clone()));
    let end = |flash: &mut SimFlash| {
        let map = &mut StatusMap::open(flash, format())?;
        primary.write_magic(map)?;
        primary.write_copy_done(map)
    };
    let mut uncut = start.clone();
    end(&mut uncut).unwrap();
    for cut in 0..uncut.supply().operations() {
        let mut flash = start.clone();
        flash.supply().cut_at(cut, Torn::Skip);
        assert!(end(&mut flash).is_err());
        flash.supply().power_on();
        end(&mut flash).unwrap_or_else(|error| panic!("cut {cut}: {error}"));
        assert_eq!(own(PRIMARY).read(&mut flash).unwrap().copy_done, Flag::Set);
    }
}

#[test]
fn a_status_area_without_room_for_the_tables_shows_no_slots() {
    let mut flash = rows();
    let trailers = TrailerFormat { max_sectors: 2000, ..trailers(None) };
    let format = StatusFormat::new(STATUS, SCRATCH, trailers, &[PAIR]).unwrap();
    let mut map = StatusMap::open(&mut flash, format).unwrap();
    assert_eq!(map.info(PRIMARY), None);
    assert!(map.write(PRIMARY, SLOT - ROW, &[0x11; ROW as usize]).is_err());
    assert!(map.info(STATUS).is_some());
}

/// A cell of the row that reads differently from time to time must not decide at one boot for what
/// the next one decides against.
#[test]
fn a_row_that_does_not_always_read_as_valid_is_decided_once_and_for_all() {
    let mut undecided = 0;
    for seed in 0..64 {
        let mut flash = flash_of(DeviceSpec::nor(64, ROW, 1));
        let mut map = open(&mut flash);
        let [_, secondary] = shown(&map);
        secondary.write_magic(&mut map).unwrap();
        secondary.write_image_ok(&mut map).unwrap();
        // All of the newer copy but one bit of its checksum, within whose write the power fails.
        let place = at(1, 1, 1) + ROW - 4..at(1, 1, 1) + ROW;
        let sum = flash.bytes(STATUS)[place.start as usize..place.end as usize].to_vec();
        let (offset, byte) = (place.start..).zip(sum).find(|(_, byte)| *byte != 0xff).unwrap();
        let bit = !byte & byte.wrapping_add(1);
        flash.load(STATUS, offset, &[byte | bit]).unwrap();
        flash.supply().cut_at(0, Torn::Unstable(seed));
        assert!(flash.write(STATUS, offset, &[byte]).is_err());
        flash.supply().power_on();
        let mut confirmed = || {
            let mut map = open(&mut flash);
            secondary.read(&mut map).unwrap().image_ok == Flag::Set
        };
        let first = confirmed();
        undecided += u32::from((0..16).any(|_| confirmed() != first));
    }
    // By chance, all of the first reads may be equal.
    assert!(undecided < 4, "{undecided} of 64");
}
