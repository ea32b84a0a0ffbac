//! What each kind of flash allows, what it refuses, and what a power cut leaves of it.

use updraft_flash::{AreaEntry, AreaId, Device, Error, Fault, FlashError, FlashMap, Kind};
use updraft_sim::flash::{DeviceSpec, SimDevice, SimError, SimFlash, Torn, Word};

const LIMITED: Kind = Kind::NorLimited { word: 4, programs: 2 };

/// Four sectors of 64 bytes.
fn device(kind: Kind, write_size: u32) -> SimDevice {
    SimDevice::new(DeviceSpec { kind, ..DeviceSpec::nor(4, 64, write_size) })
}

/// Four rows of 32 bytes that erase to 0x00.
fn rows() -> SimDevice {
    let spec = DeviceSpec::nor(4, 32, 32);
    SimDevice::new(DeviceSpec { kind: Kind::SelfErasingRows, erased: 0x00, ..spec })
}

fn read(device: &mut SimDevice, address: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    device.read(address, &mut bytes).unwrap();
    bytes
}

/// Lets the power fail within a write or an erase of the first sector.
fn torn(device: &mut SimDevice, torn: Torn, data: Option<&[u8]>) {
    device.supply().cut_at(0, torn);
    let cut = match data {
        Some(data) => device.write(0, data),
        None => device.erase(0, device.spec().sectors[0].size),
    };
    assert_eq!(cut, Err(SimError::PowerCut));
    device.supply().power_on();
}

mod limited_nor {
    use super::*;

    #[test]
    fn a_word_takes_so_many_writes_and_no_more_until_it_is_erased() {
        let mut device = device(LIMITED, 4);
        device.write(8, &[0xfe; 4]).unwrap();
        device.write(8, &[0xfc; 4]).unwrap();
        let refused = device.write(8, &[0xf8; 4]);
        let (found, wanted) = (Word::new(&[0xfc; 4]), Word::new(&[0xf8; 4]));
        assert_eq!(refused, Err(SimError::Spent { address: 8, programs: 2, found, wanted }));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "writing f8f8f8f8 over fcfcfcfc at 0x8, a word that was written 2 times since it was \
             erased and takes no more"
        );
        device.write(12, &[0; 4]).unwrap();
        device.erase(0, 64).unwrap();
        device.write(8, &[0xf8; 4]).unwrap();
    }

    #[test]
    fn writes_that_change_nothing_count_too() {
        let mut device = device(LIMITED, 4);
        device.write(0, &[0xff; 4]).unwrap();
        device.write(0, &[0xff; 4]).unwrap();
        assert!(matches!(device.write(0, &[0; 4]), Err(SimError::Spent { .. })));
    }

    #[test]
    fn bytes_of_one_word_share_its_writes() {
        let mut device = device(LIMITED, 1);
        device.write(1, &[0]).unwrap();
        device.write(2, &[0]).unwrap();
        let refused = device.write(3, &[0]).unwrap_err();
        assert!(matches!(refused, SimError::Spent { address: 3, .. }), "{refused}");
    }

    #[test]
    fn bits_move_one_way_as_on_any_nor() {
        let mut device = device(LIMITED, 4);
        device.write(0, &[0; 4]).unwrap();
        let refused = device.write(0, &[1, 0, 0, 0]);
        assert_eq!(refused, Err(SimError::NotErased { address: 0, cell: 0, data: 1 }));
    }

    #[test]
    fn a_torn_write_counts_where_it_changed_something() {
        let mut device = device(LIMITED, 4);
        for _ in 0..3 {
            torn(&mut device, Torn::Skip, Some(&[0; 8]));
        }
        torn(&mut device, Torn::Half, Some(&[0xfe; 8]));
        torn(&mut device, Torn::Half, Some(&[0xfc; 8]));
        assert!(matches!(device.write(0, &[0xfc; 4]), Err(SimError::Spent { .. })));
        device.write(4, &[0xfc; 4]).unwrap();
        device.write(4, &[0xfc; 4]).unwrap();
    }

    #[test]
    fn a_torn_erase_gives_back_the_words_that_it_erased() {
        let mut device = device(LIMITED, 4);
        for address in [0, 32] {
            device.write(address, &[0; 4]).unwrap();
            device.write(address, &[0; 4]).unwrap();
        }
        torn(&mut device, Torn::Half, None);
        device.write(0, &[0xfe; 4]).unwrap();
        assert!(matches!(device.write(32, &[0; 4]), Err(SimError::Spent { .. })));
    }

    #[test]
    fn what_a_programmer_loaded_counts_as_one_write() {
        let mut device = device(LIMITED, 4);
        device.load(0, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).unwrap();
        device.write(0, &[0xfe, 0xff, 0xff, 0xff]).unwrap();
        assert!(matches!(device.write(0, &[0; 4]), Err(SimError::Spent { .. })));
        device.write(4, &[0; 4]).unwrap();
        device.write(4, &[0; 4]).unwrap();
    }
}

mod ecc_words {
    use super::*;

    #[test]
    fn a_word_is_written_once_and_then_only_to_all_zeros() {
        let mut device = device(Kind::EccWords, 8);
        device.write(8, &[0xf0; 8]).unwrap();
        let (found, wanted) = (Word::new(&[0xf0; 8]), Word::new(&[0x70; 8]));
        let refused = device.write(8, &[0x70; 8]);
        assert_eq!(refused, Err(SimError::Spent { address: 8, programs: 1, found, wanted }));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "writing 7070707070707070 over f0f0f0f0f0f0f0f0 at 0x8, a word that was written once \
             since it was erased and takes no more"
        );
        assert!(device.write(8, &[0xf0; 8]).is_err(), "not even the same again");
        device.write(8, &[0; 8]).unwrap();
        assert_eq!(read(&mut device, 8, 8), [0; 8]);
        device.erase(0, 64).unwrap();
        device.write(8, &[0x70; 8]).unwrap();
    }

    #[test]
    fn a_word_written_with_the_erased_value_is_not_an_erased_word() {
        let mut device = device(Kind::EccWords, 8);
        device.write(0, &[0xff; 8]).unwrap();
        assert!(matches!(device.write(0, &[0x55; 8]), Err(SimError::Spent { .. })));
        assert!(matches!(device.write(0, &[0; 8]), Err(SimError::Spent { .. })));
        device.write(8, &[0x55; 8]).unwrap();
    }

    #[test]
    fn one_spent_word_refuses_the_whole_write_and_nothing_changes() {
        let mut device = device(Kind::EccWords, 8);
        device.write(16, &[1; 8]).unwrap();
        let before = device.fingerprint();
        let refused = device.write(0, &[2; 32]).unwrap_err();
        assert!(matches!(refused, SimError::Spent { address: 16, .. }), "{refused}");
        assert_eq!(device.fingerprint(), before);
    }

    #[test]
    fn a_torn_write_may_leave_a_word_that_cannot_be_read_until_it_is_erased() {
        let mut device = device(Kind::EccWords, 8);
        torn(&mut device, Torn::Unreadable(1), Some(&[0x5a; 8]));
        for (address, len) in [(0, 8), (4, 1), (7, 1), (0, 64)] {
            let fault = device.read(address, &mut vec![0; len]);
            assert_eq!(fault, Err(SimError::Unreadable { address: 0 }));
            assert_eq!(fault.unwrap_err().fault(), Fault::Unreadable);
        }
        assert_eq!(read(&mut device, 8, 8), [0xff; 8], "its neighbours can be read");
        assert!(device.write(0, &[0x5a; 8]).is_err());
        // All zeros can be written, but nobody may rely on the code that this leaves.
        let _ = device.write(0, &[0; 8]);
        assert!(device.read(0, &mut [0; 8]).is_err());
        device.erase(0, 64).unwrap();
        assert_eq!(read(&mut device, 0, 8), [0xff; 8]);
        device.write(0, &[0x5a; 8]).unwrap();
    }

    #[test]
    fn a_torn_erase_may_leave_such_words_too() {
        let mut device = device(Kind::EccWords, 8);
        device.write(24, &[0; 8]).unwrap();
        torn(&mut device, Torn::Unreadable(1), None);
        assert_eq!(device.read(24, &mut [0; 8]), Err(SimError::Unreadable { address: 24 }));
        assert_eq!(read(&mut device, 0, 24), [0xff; 24]);
        device.erase(0, 64).unwrap();
        assert_eq!(read(&mut device, 24, 8), [0xff; 8]);
    }

    #[test]
    fn a_word_that_a_torn_write_has_touched_is_spent_and_others_are_not() {
        let mut device = device(Kind::EccWords, 8);
        torn(&mut device, Torn::Half, Some(&[0x11; 16]));
        assert!(device.write(0, &[0x11; 8]).is_err());
        device.write(8, &[0x11; 8]).unwrap();
        torn(&mut device, Torn::Half, None);
        device.write(0, &[0x22; 8]).unwrap();
    }

    #[test]
    fn the_fault_comes_through_the_flash_map() {
        let spec = DeviceSpec { kind: Kind::EccWords, ..DeviceSpec::nor(4, 64, 8) };
        let area = AreaId(1);
        let table = vec![AreaEntry { id: area, device: 0, offset: 64, size: 64 }];
        let mut flash = SimFlash::new(vec![spec], table);
        assert_eq!(flash.info(area).map(|info| info.kind), Some(Kind::EccWords));
        flash.supply().cut_at(0, Torn::Unreadable(0));
        let _ = flash.write(area, 0, &[0; 8]);
        flash.supply().power_on();
        let fault = flash.read(area, 0, &mut [0]).unwrap_err();
        assert_eq!(fault, Error::Device(SimError::Unreadable { address: 64 }));
        assert_eq!(fault.fault(), Fault::Unreadable);
        assert_eq!(
            fault.to_string(),
            "the flash device failed: the word at 0x40 cannot be read: its error-correcting code \
             fails"
        );
    }
}

mod self_erasing_rows {
    use super::*;

    #[test]
    fn a_write_replaces_whatever_was_there() {
        let mut device = rows();
        device.write(32, &[0x0f; 32]).unwrap();
        device.write(32, &[0xf0; 32]).unwrap();
        assert_eq!(read(&mut device, 32, 32), [0xf0; 32]);
        device.erase(32, 32).unwrap();
        assert_eq!(read(&mut device, 32, 32), [0; 32]);
    }

    #[test]
    fn less_than_a_row_is_refused() {
        let mut device = rows();
        let refused = Err(SimError::Misaligned { address: 0, len: 16 });
        assert_eq!(device.write(0, &[1; 16]), refused);
        assert!(matches!(device.write(16, &[1; 32]), Err(SimError::Misaligned { .. })));
    }

    #[test]
    fn every_row_written_is_an_operation_and_wears_like_an_erase() {
        let mut device = rows();
        device.write(0, &[1; 96]).unwrap();
        device.write(32, &[2; 32]).unwrap();
        device.erase(64, 64).unwrap();
        assert_eq!(device.wear(), [1, 2, 2, 1]);
        assert_eq!((device.counts().writes, device.counts().erases), (4, 2));
        assert_eq!(device.supply().operations(), 6);
    }

    #[test]
    fn a_cut_tears_one_row_and_leaves_the_others() {
        let mut device = rows();
        device.write(0, &[1; 128]).unwrap();
        device.supply().cut_at(1, Torn::Half);
        assert_eq!(device.write(0, &[2; 96]), Err(SimError::PowerCut));
        device.supply().power_on();
        let found = read(&mut device, 0, 128);
        assert_eq!(found, [[2; 32], [0; 32], [1; 32], [1; 32]].concat());
    }

    #[test]
    fn a_torn_write_may_take_the_old_row_without_leaving_the_new_one() {
        for seed in 0..100 {
            let mut device = rows();
            device.write(0, &[0x0f; 32]).unwrap();
            torn(&mut device, Torn::Bits(seed), Some(&[0xf0; 32]));
            let row = read(&mut device, 0, 32);
            let erasing = row.iter().all(|byte| byte & 0xf0 == 0);
            let programming = row.iter().all(|byte| byte & 0x0f == 0);
            assert!(erasing || programming, "{row:02x?}");
        }
    }
}

mod unstable_cells {
    use super::*;

    const KINDS: [Kind; 2] = [Kind::Nor, LIMITED];

    /// A torn write of zeros, of which some bits are unstable.
    fn torn_write(kind: Kind, seed: u64) -> SimDevice {
        let mut device = device(kind, 4);
        torn(&mut device, Torn::Unstable(seed), Some(&[0; 64]));
        device
    }

    fn readings(device: &mut SimDevice) -> Vec<Vec<u8>> {
        (0..20).map(|_| read(device, 0, 64)).collect()
    }

    fn differ(readings: &[Vec<u8>]) -> bool {
        readings.iter().any(|reading| *reading != readings[0])
    }

    #[test]
    fn they_read_differently_from_time_to_time() {
        for kind in KINDS {
            assert!((0..20).all(|seed| differ(&readings(&mut torn_write(kind, seed)))));
        }
        let mut row = rows();
        torn(&mut row, Torn::Unstable(3), Some(&[0xff; 32]));
        let row: Vec<_> = (0..20).map(|_| read(&mut row, 0, 32)).collect();
        assert!(differ(&row));
    }

    #[test]
    fn the_seed_decides_what_is_read() {
        let [mut one, mut two] = [torn_write(Kind::Nor, 5), torn_write(Kind::Nor, 5)];
        assert_eq!(readings(&mut one), readings(&mut two));
        let mut copy = one.clone();
        assert_eq!(readings(&mut one), readings(&mut copy));
        assert_ne!(readings(&mut torn_write(Kind::Nor, 6)), readings(&mut two));
    }

    #[test]
    fn programming_them_or_erasing_makes_them_firm() {
        for kind in KINDS {
            let mut device = torn_write(kind, 7);
            let mut programmed = device.clone();
            programmed.write(0, &[0; 64]).unwrap();
            assert_eq!(readings(&mut programmed), vec![vec![0; 64]; 20]);
            device.erase(0, 64).unwrap();
            assert_eq!(readings(&mut device), vec![vec![0xff; 64]; 20]);
        }
        let mut row = rows();
        torn(&mut row, Torn::Unstable(3), Some(&[0xff; 32]));
        row.write(0, &[0x55; 32]).unwrap();
        assert!((0..20).all(|_| read(&mut row, 0, 32) == [0x55; 32]));
    }

    #[test]
    fn writing_the_erased_value_over_them_changes_nothing() {
        let mut device = torn_write(Kind::Nor, 7);
        let firm: Vec<u8> = readings(&mut device)
            .into_iter()
            .reduce(|sum, reading| sum.iter().zip(reading).map(|(a, b)| a | b).collect())
            .unwrap();
        device.write(0, &firm).unwrap();
        assert!(differ(&readings(&mut device)));
    }

    #[test]
    fn a_torn_erase_leaves_them_too() {
        let mut device = device(Kind::Nor, 4);
        device.write(0, &[0; 64]).unwrap();
        torn(&mut device, Torn::Unstable(1), None);
        assert!(differ(&readings(&mut device)));
    }
}

mod telling_states_apart {
    use super::*;

    #[test]
    fn the_fingerprint_follows_whatever_decides_what_accesses_will_do() {
        let fresh = device(LIMITED, 4);
        let mut written = fresh.clone();
        written.write(0, &[0xff; 4]).unwrap();
        assert_eq!(written.bytes(), fresh.bytes());
        assert_ne!(written.fingerprint(), fresh.fingerprint(), "one write less is left");
        written.erase(0, 64).unwrap();
        assert_eq!(written.fingerprint(), fresh.fingerprint());

        let mut unstable = device(Kind::Nor, 4);
        let plain = unstable.fingerprint();
        torn(&mut unstable, Torn::Unstable(1), Some(&[0xfe, 0xff, 0xff, 0xff]));
        let flawed = unstable.fingerprint();
        unstable.load(0, &unstable.bytes()).unwrap();
        assert_ne!(unstable.fingerprint(), flawed, "the same bytes, firm");
        unstable.erase(0, 64).unwrap();
        assert_eq!(unstable.fingerprint(), plain);

        let mut unreadable = device(Kind::EccWords, 8);
        torn(&mut unreadable, Torn::Unreadable(1), Some(&[0; 8]));
        let flawed = unreadable.fingerprint();
        unreadable.load(0, &unreadable.bytes()).unwrap();
        assert_ne!(unreadable.fingerprint(), flawed, "the same bytes, readable");
    }

    #[test]
    fn wear_power_and_history_do_not_count() {
        let one = device(Kind::Nor, 4);
        let mut two = one.clone();
        two.write(0, &[0; 16]).unwrap();
        two.erase(0, 64).unwrap();
        two.supply().power_off();
        assert_eq!(one.fingerprint(), two.fingerprint());
    }
}
