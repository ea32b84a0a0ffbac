//! What breaks in the middle of an update: the broker, the network, the publisher, the device.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::{Cable, LONG, Lab, foreign};

/// Slow enough to be broken in the middle.
const SLOW: &str = "-k KIT-1 -f 1.1.0.bin --pause 25";

/// Bytes that a device has gathered, as its record says: a bit for each block.
fn held(lab: &Lab, file: &str) -> usize {
    let record = std::fs::read(lab.path(&format!("{file}.ota"))).unwrap_or_default();
    let bits = record.get(116..record.len().saturating_sub(4)).unwrap_or_default();
    bits.iter().map(|byte| byte.count_ones() as usize).sum()
}

pub fn until_it_holds(lab: &Lab, file: &str, blocks: usize) {
    let until = Instant::now() + LONG;
    while held(lab, file) < blocks {
        assert!(Instant::now() < until, "{} blocks of {blocks}", held(lab, file));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_broker_that_is_killed_and_started_again_delays_an_update_and_no_more() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("killed-broker", 200_000);
    let mut broker = lab.broker();
    let _publisher = lab.publish(lab.tls, SLOW);
    let device = lab.start(&format!("{} -k KIT-1", lab.fetch(lab.tls, "got.bin")));
    until_it_holds(&lab, "got.bin", 10);
    broker.kill();
    std::thread::sleep(Duration::from_millis(500));
    let _broker = lab.broker();
    let (good, told) = device.ends();
    assert!(good, "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
}

#[test]
fn a_cut_network_delays_an_update_and_what_is_held_is_not_fetched_again() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("cut-network", 240_000);
    let _broker = lab.broker();
    let _publisher = lab.publish(lab.plain, "-k KIT-1 -f 1.1.0.bin --pause 15");
    let cable = Cable::to(lab.plain);
    let device = lab.start(&format!("{} -k KIT-1", lab.fetch(cable.port, "got.bin")));
    for blocks in [10, 25, 40] {
        until_it_holds(&lab, "got.bin", blocks);
        cable.cut();
        std::thread::sleep(Duration::from_millis(300));
        cable.mend();
    }
    let (good, told) = device.ends();
    assert!(good, "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
    let (carried, size) = (cable.carried.load(Ordering::SeqCst), lab.image("1.1.0").len() as u64);
    println!("bytes to the device {carried} / {size} of the image, over three cuts");
    // What was on its way at a cut is lost.
    assert!(carried < size + size / 3, "{carried} bytes for an image of {size}");
}

#[test]
fn a_device_that_is_killed_anywhere_goes_on_where_it_was() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("killed-device", 200_000);
    let _broker = lab.broker();
    let _publisher = lab.publish(lab.plain, SLOW);
    let cable = Cable::to(lab.plain);
    let fetch = format!("{} -k KIT-1", lab.fetch(cable.port, "got.bin"));
    let mut kills = 0;
    for blocks in [1, 2, 7, 20, 33, 48] {
        let mut device = lab.start(&fetch);
        let until = Instant::now() + LONG;
        while held(&lab, "got.bin") < blocks && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = held(&lab, "got.bin");
        device.kill();
        kills += 1;
        assert!(!lab.path("got.bin").exists(), "half an image was installed");
        assert!(held(&lab, "got.bin") >= before, "what was held is lost");
    }
    let (good, told) = lab.start(&fetch).ends();
    assert!(good, "{told:?}");
    assert!(told.iter().any(|told| told["event"] == "taken up"), "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
    let (carried, size) = (cable.carried.load(Ordering::SeqCst), lab.image("1.1.0").len() as u64);
    println!("bytes to the device {carried} / {size} of the image, over {kills} kills");
}

#[test]
fn a_publisher_that_is_killed_and_started_again_goes_on() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("killed-publisher", 200_000);
    let _broker = lab.broker();
    let mut publisher = lab.publish(lab.plain, SLOW);
    let device = lab.start(&format!("{} -k KIT-1", lab.fetch(lab.plain, "got.bin")));
    until_it_holds(&lab, "got.bin", 10);
    publisher.kill();
    std::thread::sleep(Duration::from_millis(300));
    let _publisher = lab.publish(lab.plain, SLOW);
    let (good, told) = device.ends();
    assert!(good, "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
}

#[test]
fn a_publisher_that_is_not_there_is_missed_and_a_server_that_is_not_there_is_named() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("nobody", 10_000);
    let nowhere = crate::support::free_port();
    let fetch = format!("{} --timeout 3", lab.fetch(nowhere, "got.bin"));
    let said = lab.fails(&fetch);
    assert!(said.contains(&format!("127.0.0.1:{nowhere} cannot be reached")), "{said}");
    assert!(said.contains("does the server run"), "{said}");
    let _broker = lab.broker();
    let said = lab.fails(&lab.fetch(lab.plain, "got.bin"));
    assert!(said.contains("nobody has answered") && said.contains("updraft publish"), "{said}");
}
