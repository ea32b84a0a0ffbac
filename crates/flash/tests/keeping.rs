//! Small things that outlive resets, on every kind of flash, through every power cut.

use updraft_flash::{AreaEntry, AreaId, Keep, Kind, NotKept};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const AREA: AreaId = AreaId(3);

/// Every kind, with sectors that are large and such that are small.
fn kinds() -> Vec<DeviceSpec> {
    let nor = DeviceSpec::nor;
    vec![
        nor(8, 4096, 4),
        DeviceSpec { erased: 0, ..nor(8, 256, 1) },
        DeviceSpec { kind: Kind::NorLimited { word: 4, programs: 2 }, ..nor(8, 1024, 4) },
        DeviceSpec { kind: Kind::EccWords, ..nor(8, 2048, 8) },
        DeviceSpec { kind: Kind::SelfErasingRows, erased: 0, ..nor(16, 512, 512) },
    ]
}

fn flash(spec: &DeviceSpec) -> SimFlash {
    let size = spec.size();
    SimFlash::new(vec![spec.clone()], vec![AreaEntry { id: AREA, device: 0, offset: 0, size }])
}

/// The `number`th thing to keep, of some length.
fn thing(number: u8, longest: u32) -> Vec<u8> {
    let len = (u32::from(number) * 37 % longest.max(1)) + 1;
    vec![number; len as usize]
}

fn load(keep: Keep, flash: &mut SimFlash) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 2000];
    let len = keep.load(flash, &mut buffer)?;
    buffer.truncate(len);
    Some(buffer)
}

#[test]
fn what_was_kept_last_is_what_there_is() {
    for spec in kinds() {
        for longest in [4, 200, 240, 700] {
            let mut flash = flash(&spec);
            let keep = Keep::new(&flash, AREA, 0, longest).unwrap();
            assert_eq!(load(keep, &mut flash), None);
            for number in 0..100 {
                let thing = thing(number, longest);
                keep.save(&mut flash, &thing).unwrap();
                assert_eq!(load(keep, &mut flash), Some(thing), "{spec:?}, {longest}, {number}");
            }
        }
    }
}

#[test]
fn places_side_by_side_do_not_disturb_each_other() {
    for spec in kinds() {
        let mut flash = flash(&spec);
        let one = Keep::new(&flash, AREA, 0, 4).unwrap();
        let other = Keep::new(&flash, AREA, one.end(), 240).unwrap();
        for number in 0..40 {
            one.save(&mut flash, &[number; 4]).unwrap();
            other.save(&mut flash, &thing(number, 240)).unwrap();
            assert_eq!(load(one, &mut flash), Some(vec![number; 4]));
            assert_eq!(load(other, &mut flash), Some(thing(number, 240)));
        }
    }
}

#[test]
fn what_finds_no_room_is_refused_and_changes_nothing() {
    let spec = DeviceSpec::nor(8, 4096, 4);
    let mut flash = flash(&spec);
    let keep = Keep::new(&flash, AREA, 0, 40).unwrap();
    keep.save(&mut flash, b"before").unwrap();
    let refused = keep.save(&mut flash, &[7; 41]);
    assert_eq!(refused, Err(NotKept::TooLong { len: 41, room: 40 }));
    assert_eq!(load(keep, &mut flash), Some(b"before".to_vec()));
    assert_eq!(Keep::new(&flash, AREA, 0, 5 * 4096), None);
    assert_eq!(Keep::new(&flash, AREA, 7 * 4096, 4), None);
    assert_eq!(Keep::new(&flash, AreaId(9), 0, 4), None);
}

/// Saves until the power fails within operation `cut`; the numbers of what was kept, and was to be.
fn cut_off(keep: Keep, flash: &mut SimFlash, cut: u64, torn: Torn, longest: u32) -> (u8, u8) {
    flash.supply().cut_at(cut, torn);
    let begun = (0..).find(|number| keep.save(flash, &thing(*number, longest)).is_err());
    flash.supply().power_on();
    let begun = begun.unwrap();
    (begun.wrapping_sub(1), begun)
}

#[test]
fn a_power_cut_at_any_moment_leaves_the_thing_before_or_the_new_one() {
    let (mut cuts, mut kept) = (0, 0);
    for spec in kinds() {
        for longest in [4, 240, 700] {
            // Round both halves, more than once where slots are few.
            let mut sample = flash(&spec);
            let keep = Keep::new(&sample, AREA, 0, longest).unwrap();
            let rounds = 2 * keep.end() / (longest + 16) + 3;
            for number in 0..rounds.min(24) {
                keep.save(&mut sample, &thing(number as u8, longest)).unwrap();
            }
            let operations = sample.supply().operations();
            for cut in 0..operations {
                for torn in (0..3).flat_map(|seed| Torn::classes(spec.kind, seed)) {
                    let mut flash = flash(&spec);
                    let (before, new) = cut_off(keep, &mut flash, cut, torn, longest);
                    let found = load(keep, &mut flash);
                    let allowed = [before, new].map(|number| thing(number, longest));
                    let first = new == 0 && found.is_none();
                    assert!(
                        first || found.as_ref().is_some_and(|found| allowed.contains(found)),
                        "{spec:?}, {longest} bytes, cut in {cut}, {torn:?}: {found:?}"
                    );
                    // And it goes on from there, however often.
                    for number in 200..212 {
                        let thing = thing(number, longest);
                        keep.save(&mut flash, &thing).unwrap();
                        assert_eq!(
                            load(keep, &mut flash),
                            Some(thing),
                            "{spec:?}, {cut}, {torn:?}"
                        );
                    }
                    cuts += 1;
                    kept += u32::from(found.is_some());
                }
            }
        }
    }
    println!("{cuts} cuts, {kept} with something to go on from");
    assert!(kept > cuts / 2);
}

#[test]
fn a_second_cut_while_the_first_is_made_good_loses_no_more() {
    let longest = 240;
    for spec in kinds() {
        let keep = Keep::new(&flash(&spec), AREA, 0, longest).unwrap();
        for first in 3..9 {
            for second in 0..4 {
                for torn in Torn::classes(spec.kind, 5) {
                    let mut flash = flash(&spec);
                    let (before, new) = cut_off(keep, &mut flash, first, torn, longest);
                    flash.supply().cut_at(second, torn);
                    let done = keep.save(&mut flash, &thing(99, longest)).is_ok();
                    flash.supply().power_on();
                    let found = load(keep, &mut flash).expect("something stays");
                    let allowed = [before, new, 99].map(|number| thing(number, longest));
                    assert!(allowed.contains(&found), "{spec:?}, {first}, {second}, {torn:?}");
                    assert!(!done || found == thing(99, longest), "{spec:?}, {first}, {torn:?}");
                }
            }
        }
    }
}
