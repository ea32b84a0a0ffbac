//! Flash operations one by one, against those recorded from the C boot loader.

use std::io::Read;

use crate::golden::{Board, Scenario, file, fnvs, same_verdict};
use crate::scenarios::{STRICT_DIFFERENCES, conclude};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use updraft_flash::AreaId;
use updraft_sim::flash::{AreaOp, OpKind};

struct Traces {
    included: Vec<(Scenario, Vec<Vec<AreaOp>>)>,
    /// Scenarios that the recording has.
    total: usize,
    /// Interrupted states that it has.
    states: usize,
}

/// Interrupted states that are recorded of a scenario: one or two of each of its operations.
fn recorded_states(json: &Value) -> usize {
    let boots = json["boots"].as_array().unwrap().iter();
    let cuts = boots.filter_map(|boot| boot["cuts"].as_object()).flat_map(|cuts| cuts.values());
    cuts.map(|cuts| cuts["recovery_ops"].as_array().map_or(0, Vec::len)).sum()
}

/// Every recorded scenario, with the operations of its boots.
fn traces() -> Traces {
    let mut text = String::new();
    let bytes = file("traces.jsonl.gz");
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let blobs = lines.next().unwrap()["blobs"].clone();
    let manifest: Value = serde_json::from_slice(&file("manifest.json")).unwrap();
    let mut traces = Traces { included: Vec::new(), total: 0, states: 0 };
    for json in lines {
        traces.total += 1;
        traces.states += recorded_states(&json);
        let ops = |list: &Value| {
            list.as_array().unwrap().iter().map(|op| operation(op, &blobs)).collect::<Vec<_>>()
        };
        let pre = ops(&json["pre"]);
        let boots = json["boots"].as_array().unwrap().iter();
        let boots = boots.map(|boot| ops(&boot["ops"])).collect();
        let mut scenario = Scenario::new(json, &manifest["keys"]);
        let mut board = scenario.board();
        pre.iter().for_each(|op| apply(&mut board, op, None));
        let initial = fnvs(&scenario.json["initial_fnv"]);
        assert_eq!(board.wrong_areas(&initial), [""; 0], "{}: initial state", scenario.name);
        let flash = board.flash;
        scenario.flash = flash;
        traces.included.push((scenario, boots));
    }
    traces
}

fn operation(json: &Value, blobs: &Value) -> AreaOp {
    let number = |name| json[name].as_u64().unwrap() as u32;
    let data = match json["blob"].as_u64() {
        Some(index) => blobs[index as usize].as_str(),
        None => json["data"].as_str(),
    };
    let kind = match json["op"].as_str() {
        Some("erase") => OpKind::Erase,
        _ => OpKind::Write(STANDARD.decode(data.unwrap()).unwrap()),
    };
    AreaOp {
        area: AreaId(number("area") as u8),
        offset: number("offset"),
        len: number("len"),
        kind,
    }
}

/// Carries out an operation, or the first `half` of it, whatever the rules of the device.
fn apply(board: &mut Board, op: &AreaOp, half: Option<u32>) {
    let spec = board.flash.devices()[0].spec();
    let (unit, erased) = (spec.write_size as usize, spec.erased);
    let data = match &op.kind {
        OpKind::Erase => vec![erased; op.len as usize],
        OpKind::Write(data) => data.clone(),
    };
    let len = match (half, &op.kind) {
        (None, _) => data.len(),
        (Some(_), OpKind::Erase) => data.len() / 2,
        (Some(_), OpKind::Write(_)) => data.len() / 2 / unit * unit,
    };
    board.flash.load(op.area, op.offset, &data[..len]).unwrap();
}

fn describe(op: &AreaOp) -> String {
    let kind = match op.kind {
        OpKind::Erase => "erase",
        OpKind::Write(_) => "write",
    };
    format!("{kind} area {} at {:#x}, {} bytes", op.area, op.offset, op.len)
}

#[test]
fn imitating_makes_exactly_the_recorded_operations() {
    let (traces, mut run) = (traces(), 0);
    for (scenario, recorded) in traces.included {
        let mut board = scenario.board();
        for (index, recorded) in recorded.iter().enumerate() {
            let json = &scenario.json["boots"][index];
            let place = format!("{}, boot {index}", scenario.name);
            let (verdict, ops) = board.boot();
            for (at, (ours, theirs)) in ops.iter().zip(recorded).enumerate() {
                let [a, b] = [ours, theirs].map(describe);
                assert!(ours == theirs, "{place}, operation {at}: {a}; recorded: {b}");
            }
            assert_eq!(ops.len(), recorded.len(), "{place}: number of operations");
            assert!(same_verdict(&verdict, &json["decision"]), "{place}: {verdict:?}");
            assert_eq!(board.wrong_areas(&fnvs(&json["final_fnv"])), [""; 0], "{place}");
            if let Some(update) = json["nv_updates"].as_array().and_then(|list| list.last()) {
                assert_eq!(board.counter.map(u64::from), update["value"].as_u64(), "{place}");
            }
        }
        run += 1;
    }
    conclude("traces", run, 0, traces.total);
}

#[test]
fn finishes_what_the_c_boot_loader_began() {
    let (traces, mut states) = (traces(), 0);
    for (scenario, recorded) in traces.included {
        let mut start = scenario.board();
        for (index, recorded) in recorded.iter().enumerate() {
            let json = &scenario.json["boots"][index];
            let uncut = fnvs(&json["final_fnv"]);
            for class in ["skip", "half"] {
                let cuts = &json["cuts"][class];
                if cuts.is_null() {
                    continue;
                }
                let mut state = start.clone();
                for (k, op) in recorded.iter().enumerate() {
                    let mut board = state.clone();
                    if class == "half" {
                        apply(&mut board, op, Some(op.len));
                    }
                    let place = format!("{}, boot {index}, {class} {k}", scenario.name);
                    let (verdict, ops) = board.boot();
                    let mut expected = uncut.clone();
                    let differs = cuts["differs"].as_array().unwrap();
                    // Where the original destroys the old image, ours has to end as if nothing
                    // had happened.
                    let differs = differs
                        .iter()
                        .find(|entry| entry["k"] == k && entry["c_bug"].as_bool() != Some(true));
                    if let Some(differs) = differs {
                        expected.extend(fnvs(&differs["fnv"]));
                    }
                    let decision = &json["decision"];
                    match differs.map(|differs| differs["boot"] == 1) {
                        Some(boots) => assert_eq!(verdict.is_ok(), boots, "{place}: {verdict:?}"),
                        None => assert!(same_verdict(&verdict, decision), "{place}: {verdict:?}"),
                    }
                    assert_eq!(board.wrong_areas(&expected), [""; 0], "{place}");
                    let most = cuts["recovery_ops"][k].as_u64().unwrap();
                    assert!(ops.len() as u64 <= most, "{place}: {} > {most}", ops.len());
                    states += 1;
                    apply(&mut state, op, None);
                }
            }
            recorded.iter().for_each(|op| apply(&mut start, op, None));
        }
    }
    conclude("traces: interrupted states finished", states, 0, traces.states);
}

#[test]
fn strictly_the_same_images_are_booted() {
    let (traces, mut states, mut left_out) = (traces(), 0, 0);
    for (scenario, recorded) in traces.included {
        let scenario = scenario.strictly();
        let different = STRICT_DIFFERENCES.iter().find(|(name, _)| *name == scenario.name);
        if let Some((name, why)) = different {
            let theirs = recorded_states(&scenario.json);
            println!("  strictly different: {name}, {theirs} states: {why}");
            left_out += theirs;
            continue;
        }
        let mut board = scenario.board();
        let mut start = scenario.board();
        for (index, recorded) in recorded.iter().enumerate() {
            let decision = &scenario.json["boots"][index]["decision"];
            let place = format!("{}, boot {index}", scenario.name);
            let (verdict, ops) = board.boot();
            assert!(same_verdict(&verdict, decision), "{place}: {verdict:?}");
            assert!(ops.len() <= recorded.len(), "{place}: {} operations", ops.len());
            for half in [None, Some(())] {
                let mut state = start.clone();
                for (k, op) in recorded.iter().enumerate() {
                    let mut board = state.clone();
                    if half.is_some() {
                        apply(&mut board, op, Some(op.len));
                    }
                    let (verdict, _) = board.boot();
                    let place = format!("{place}, cut {k}, half {half:?}");
                    assert!(same_verdict(&verdict, decision), "{place}: {verdict:?}");
                    states += 1;
                    apply(&mut state, op, None);
                }
            }
            recorded.iter().for_each(|op| apply(&mut start, op, None));
        }
    }
    conclude("traces: interrupted states finished strictly", states, left_out, traces.states);
}
