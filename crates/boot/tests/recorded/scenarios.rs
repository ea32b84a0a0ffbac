//! Whole boots against those recorded from the C boot loader: verdict, trailers, wear, and what
//! becomes of power cuts.

use std::collections::BTreeMap;

use crate::golden::{Board, Scenario, file, fnvs, same_ram, same_slot, same_verdict};
use serde_json::Value;
use updraft_boot::{Config, Strategy};
use updraft_flash::{AreaId, SlotPair, TrailerAccess};
use updraft_image::{Flag, Magic, SwapInfo, SwapType, TrailerLayout, TrailerState};
use updraft_sim::flash::Torn;

/// Every recorded scenario, its request made; and how many the recording has.
fn scenarios() -> (Vec<Scenario>, usize) {
    let all: Value = serde_json::from_slice(&file("boot-scenarios.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&file("manifest.json")).unwrap();
    let all = ["scenarios", "extra"].map(|list| all[list].as_array().unwrap());
    let total = all.iter().map(|list| list.len()).sum();
    let all = all.into_iter().flatten();
    let included = all.map(|json| requested(Scenario::new(json.clone(), &manifest["keys"])));
    (included.collect(), total)
}

/// Prints how many of all there are have run, and that is all of them but those `left_out`.
pub fn conclude(what: &str, run: usize, left_out: usize, total: usize) {
    println!("{what}: {run} run, {left_out} left out / {total} total");
    assert_eq!(run + left_out, total, "{what}");
}

/// Makes the scenario's requests, in the application's order of writes.
fn requested(mut scenario: Scenario) -> Scenario {
    for SlotPair { image, secondary, .. } in scenario.config.images.slots().to_vec() {
        let request = &scenario.json["set_pending"];
        let request = if request.is_object() { &request[image.to_string()] } else { request };
        let swap_type = match request.as_str() {
            Some("test") => SwapType::Test,
            Some("perm") => SwapType::Permanent,
            _ => continue,
        };
        let trailer = trailer(&scenario, secondary);
        let flash = &mut scenario.flash;
        trailer.write_magic(flash).unwrap();
        if swap_type == SwapType::Permanent {
            trailer.write_image_ok(flash).unwrap();
        }
        trailer.write_swap_info(flash, SwapInfo { swap_type, image }).unwrap();
    }
    scenario
}

fn trailer(scenario: &Scenario, area: AreaId) -> TrailerAccess {
    let size = scenario.flash.bytes(area).len() as u32;
    let width = scenario.flash.devices()[0].spec().write_size;
    let Config { max_sectors, max_align, .. } = scenario.config;
    let layout = TrailerLayout::new(size, scenario.strategy.mode(), max_sectors, width, max_align);
    TrailerAccess::new(area, layout.unwrap())
}

fn assert_trailers(scenario: &Scenario, board: &mut Board, recorded: &Value, place: &str) {
    let slots = scenario.config.images.slots().iter();
    for area in slots.flat_map(|pair| [pair.primary, pair.secondary]) {
        let state = trailer(scenario, area).read(&mut board.flash).unwrap();
        let recorded = &recorded["trailers"][area.to_string()];
        assert!(same_trailer(&state, recorded), "{place}, area {area}: {state:?}; {recorded}");
    }
}

fn same_trailer(state: &TrailerState, recorded: &Value) -> bool {
    let magic = match state.magic {
        Magic::Good => 1,
        Magic::Bad => 2,
        Magic::Unset => 3,
    };
    let flag = |flag| match flag {
        Flag::Set => 1,
        Flag::Bad => 2,
        Flag::Unset => 3,
    };
    recorded["magic"] == magic
        && recorded["swap_type"] == state.swap_info.swap_type as u8
        && recorded["copy_done"] == flag(state.copy_done)
        && recorded["image_ok"] == flag(state.image_ok)
}

fn wear(board: &Board) -> BTreeMap<String, u64> {
    let wear = board.flash.devices()[0].wear().iter().enumerate();
    let worn = wear.filter(|(_, erases)| **erases > 0);
    worn.map(|(sector, erases)| (sector.to_string(), u64::from(*erases))).collect()
}

#[test]
fn imitating_ends_in_the_recorded_state_at_the_recorded_cost() {
    let (scenarios, total) = scenarios();
    let mut run = 0;
    for scenario in scenarios {
        let mut board = scenario.board();
        assert_trailers(&scenario, &mut board, &scenario.json["before"], &scenario.name);
        for (index, recorded) in scenario.json["boots"].as_array().unwrap().iter().enumerate() {
            let place = format!("{}, boot {index}", scenario.name);
            board.flash.reset_counts();
            let (verdict, ops) = board.boot();
            assert!(same_verdict(&verdict, recorded), "{place}: {verdict:?}; {recorded}");
            assert!(same_slot(&scenario, &verdict, recorded), "{place}: {verdict:?}; {recorded}");
            assert!(same_ram(&board, recorded), "{place}: RAM; {recorded}");
            assert_eq!(recorded["ops"], ops.len(), "{place}");
            let counts = board.flash.counts();
            assert_eq!(recorded["erase_calls"], counts.erases, "{place}");
            assert_eq!(recorded["bytes_erased"], counts.bytes_erased, "{place}");
            assert_eq!(recorded["write_calls"], counts.writes, "{place}");
            assert_eq!(recorded["bytes_written"], counts.bytes_written, "{place}");
            let sectors = serde_json::to_value(wear(&board)).unwrap();
            assert_eq!(recorded["erases_per_sector"]["0"], sectors, "{place}");
            assert_eq!(board.wrong_areas(&fnvs(&recorded["flash_fnv"])), [""; 0], "{place}");
            assert_trailers(&scenario, &mut board, &recorded["after"], &place);
            if let Some(counter) = board.counter {
                assert_eq!(recorded["nvcnt"][0], counter, "{place}");
            }
        }
        run += 1;
    }
    conclude("scenarios", run, 0, total);
}

#[test]
fn imitating_power_cuts_end_as_recorded() {
    let (mut points, mut spared, mut total) = (0, 0, 0);
    for scenario in scenarios().0 {
        let sweep = &scenario.json["sweep"];
        total += sweep["points"].as_array().map_or(0, Vec::len);
        // The original encrypts the last sector of the old image with the wrong bounds if it has
        // to resume there, and so destroys that image. Ours ends as if nothing had happened.
        let encrypted_by_offset = scenario.name == "offset-enc-p256-enctlv";
        let uncut = &scenario.json["boots"][0];
        let torn = match sweep["mode"].as_str() {
            Some("skip") => Torn::Skip,
            Some("half") => Torn::Half,
            _ => continue,
        };
        for point in sweep["points"].as_array().unwrap() {
            let n = point["n"].as_u64().unwrap();
            let place = format!("{}, cut {n}", scenario.name);
            let mut board = scenario.board();
            board.flash.supply().cut_at(n - 1, torn);
            let (verdict, _) = board.boot();
            assert!(verdict.is_err(), "{place}");
            board.flash.supply().power_on();
            let (verdict, ops) = board.boot();
            assert_eq!(point["boot"] == 1, verdict.is_ok(), "{place}: {verdict:?}");
            assert_eq!(point["ops2"], ops.len(), "{place}");
            let damaged = encrypted_by_offset && point["same_as_uncut"] == 0;
            let expected = if damaged { &uncut["flash_fnv"] } else { &point["fnv"] };
            assert_eq!(board.wrong_areas(&fnvs(expected)), [""; 0], "{place}");
            spared += usize::from(damaged);
            points += 1;
        }
    }
    conclude("scenarios: recorded power cuts", points, 0, total);
    println!("  fatal to the original: {spared}");
    assert_eq!(spared, 3);
}

/// Scenarios that end otherwise without imitation.
pub const STRICT_DIFFERENCES: [(&str, &str); 10] = [
    ("move-empty-primary-upgrade", "installed, where the original boots nothing at all"),
    ("offset-empty-primary-upgrade", "installed, where the original boots nothing at all"),
    ("move-multi-unprovisioned-vp", "runs without image 1, where the original does not boot"),
    ("move-multi-unprovisioned-novp", "runs without image 1, where the original does not boot"),
    ("overwrite-multi-unprovisioned-novp", "runs without image 1, as above"),
    ("xip-multi-second-empty", "runs without image 1, as above"),
    ("xip-revert-unpadded", "runs what nobody asked for rather than erase both images"),
    ("ram-multi-touch-before", "images may lie side by side in memory, whichever comes first"),
    ("ram-revert-unpadded", "runs what nobody asked for rather than erase both images"),
    ("scratch-multi-unprovisioned-none-pending", "runs without image 1, as above"),
];

/// Boots that do more of something without imitation: `(scenario, boot, what)`.
const STRICT_COSTS_MORE: [(&str, usize, &str); 5] = [
    ("overwrite-empty-secondary-pending", 0, "erases the request without an image"),
    ("overwrite-fast-empty-secondary-pending", 0, "erases the request without an image"),
    ("overwrite-nonbootable-secondary", 0, "erases the request without an image"),
    ("overwrite-fast-nonbootable-secondary", 0, "erases the request without an image"),
    ("move-hwrb-stored5000000-test", 1, "ends the revert by a write; the original later erases"),
];

#[test]
fn strictly_the_verdicts_are_the_same_at_no_higher_cost() {
    let (scenarios, total) = scenarios();
    let (mut run, mut differ) = (0, Vec::<&str>::new());
    for scenario in scenarios {
        let scenario = scenario.strictly();
        let mut board = scenario.board();
        let different = STRICT_DIFFERENCES.iter().find(|(name, _)| *name == scenario.name);
        differ.extend(different.map(|(name, _)| *name));
        run += usize::from(different.is_none());
        for (index, recorded) in scenario.json["boots"].as_array().unwrap().iter().enumerate() {
            let place = format!("{}, boot {index}", scenario.name);
            board.flash.reset_counts();
            let (verdict, _) = board.boot();
            if let Some((name, why)) = different {
                println!("  strictly different: {name}, boot {index}: {why}");
                assert!(recorded["verdict"] == "fail" && verdict.is_ok(), "{place}: {verdict:?}");
                continue;
            }
            assert!(same_verdict(&verdict, recorded), "{place}: {verdict:?}; {recorded}");
            let more = STRICT_COSTS_MORE
                .iter()
                .find(|(name, boot, _)| *name == scenario.name && *boot == index);
            if let Some((name, boot, what)) = more {
                println!("  strictly more: {name}, boot {boot}: {what}");
                assert!(board.flash.supply().operations() > 0, "{place}");
                continue;
            }
            let counts = board.flash.counts();
            let cost = [
                ("erase_calls", counts.erases),
                ("bytes_erased", counts.bytes_erased),
                ("bytes_written", counts.bytes_written),
            ];
            for (name, ours) in cost {
                let theirs = recorded[name].as_u64().unwrap();
                assert!(ours <= theirs, "{place}: {name} {ours} > {theirs}");
            }
        }
    }
    conclude("scenarios: the same strictly", run, differ.len(), total);
    differ.sort();
    let mut known = STRICT_DIFFERENCES.map(|(name, _)| name);
    known.sort();
    assert_eq!(differ, known, "each of them is recorded");
}
