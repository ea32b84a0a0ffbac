//! What a publisher tells of devices while they update, and keeps of them afterwards.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Lab, Teller, foreign};

const SLOW: &str = "-k KIT-1 -f 1.1.0.bin --pause 40 --results log";

/// Devices of these numbers, as processes.
fn devices(lab: &Lab, numbers: std::ops::Range<usize>) -> Vec<Teller> {
    let device = |number| {
        let fetch = lab.fetch(lab.plain, &format!("{number}.bin"));
        lab.start(&format!("{fetch} -k KIT-1 --serial S{number}"))
    };
    numbers.map(device).collect()
}

/// The serial numbers of which a publisher has told that they are in the middle.
fn in_the_middle(told: &[Value]) -> BTreeSet<&str> {
    let told = told.iter().filter(|told| told["event"] == "progress");
    let middle = told.filter(|told| {
        let (sent, total) = (told["sent"].as_u64().unwrap(), told["total"].as_u64().unwrap());
        assert!(sent <= total && told["topic"].is_string(), "{told}");
        (1..total).contains(&sent)
    });
    middle.map(|told| told["serial"].as_str().unwrap()).collect()
}

fn results(lab: &Lab) -> Vec<Value> {
    let log = std::fs::read_to_string(lab.path("log")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn progress_is_told_of_each_device_and_results_outlive_a_publisher_that_is_killed() {
    if !foreign("mosquitto") {
        return;
    }
    const FIRST: usize = 2;
    // The others are more than there are bars for.
    const ALL: usize = 15;
    let lab = Lab::new("results", 240_000);
    let _broker = lab.broker();
    let mut publisher = lab.publish(lab.plain, SLOW);
    let first = devices(&lab, 0..FIRST);
    (0..FIRST).for_each(|_| drop(publisher.wait("succeeded")));
    assert_eq!(in_the_middle(&publisher.told).len(), FIRST, "{:?}", publisher.told);
    let others = devices(&lab, FIRST..ALL);
    while in_the_middle(&publisher.told).len() < ALL {
        let told = publisher.next("progress");
        assert_ne!(told["event"], "succeeded", "one was not seen in the middle: {told}");
    }
    publisher.kill();
    assert_eq!(results(&lab).len(), FIRST, "{:?}", results(&lab));
    let mut publisher = lab.publish(lab.plain, SLOW);
    (FIRST..ALL).for_each(|_| drop(publisher.wait("succeeded")));
    for device in first.into_iter().chain(others) {
        let (good, told) = device.ends();
        assert!(good, "{told:?}");
    }
    let results = results(&lab);
    let serial = |result: &Value| result["serial"].as_str().unwrap().to_owned();
    let serials: BTreeSet<String> = results.iter().map(serial).collect();
    let wanted: BTreeSet<String> = (0..ALL).map(|number| format!("S{number}")).collect();
    assert_eq!(serials, wanted);
    assert_eq!(results.len(), ALL, "{results:?}");
    assert!(results.iter().all(|result| result["event"] == "succeeded"), "{results:?}");
    println!("results kept {ALL} / {ALL}, over a publisher that was killed");
}

#[test]
fn results_that_cannot_be_kept_are_told_of_before_anything_is_published() {
    let lab = Lab::new("no-results", 1_000);
    let said = lab.fails("publish --plain -b 127.0.0.1:1 -f 1.1.0.bin --results no/folder/log");
    assert!(said.contains("results cannot be kept in no/folder/log"), "{said}");
    assert!(said.contains("--results"), "{said}");
}
