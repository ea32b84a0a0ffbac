//! What breaks in the middle of an update: the broker, the network, the publisher, the device.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::files::{job, python};
use crate::goosebit::{device, goosebit};
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
fn a_network_that_is_gone_for_more_than_a_minute_costs_nothing_of_what_is_held() {
    if !foreign("mosquitto and python3") {
        return;
    }
    const GONE: Duration = Duration::from_secs(66);
    let lab = Lab::new("gone-network", 240_000);
    let _broker = lab.broker();
    let (_server, files) = python(&lab, true);
    job(&lab, "HTTP", "", 0, "/1.1.0.bin");
    // Without a version it would read that job.
    let _publisher = lab.publish(lab.plain, "-k KIT-1 -f 1.1.0.bin --version 1.1.0 --pause 40");
    let http = Cable::slow(files, Duration::from_millis(40));
    let fetch = |cable: &Cable, file| format!("{} -k KIT-1", lab.fetch(cable.port, file));
    let over_http =
        format!("fetch http://127.0.0.1:{} -k KIT-1 --key key.pem --out http.bin", http.port);
    let [cut, hung, given_up] = [(); 3].map(|()| Cable::to(lab.plain));
    let devices = [
        ("cut.bin", &cut, fetch(&cut, "cut.bin")),
        ("hung.bin", &hung, fetch(&hung, "hung.bin")),
        ("http.bin", &http, over_http),
        ("given-up.bin", &given_up, fetch(&given_up, "given-up.bin") + " --patience 5"),
    ];
    let mut running = Vec::new();
    for (file, cable, line) in &devices {
        running.push(lab.start(line));
        until_it_holds(&lab, file, 10);
        if *file == "hung.bin" { cable.hang() } else { cable.cut() }
    }
    std::thread::sleep(GONE);
    let size = lab.image("1.1.0").len() as u64;
    for ((file, cable, _), device) in devices.into_iter().zip(running) {
        if file == "given-up.bin" {
            let (good, told) = device.ends();
            assert!(!good, "{told:?}");
            continue;
        }
        let before = held(&lab, file);
        assert!((10..55).contains(&before), "{file}: {before}");
        cable.mend();
        let (good, told) = device.ends();
        assert!(good, "{file}: {told:?}");
        assert!(lab.holds(file, "1.1.0"), "{file}");
        let carried = cable.carried.load(Ordering::SeqCst);
        let (name, gone) = (file.trim_end_matches(".bin"), GONE.as_secs());
        println!("bytes to the device {carried} / {size} of the image ({name} for {gone} s)");
        assert!(carried < size + size / 4, "{file}: {carried} bytes for an image of {size}");
    }
}

/// Kills the device again and again; what it holds is not sent once more.
fn killed_anywhere(lab: &Lab, fetch: &str, cable: &Cable) {
    let mut kills = 0;
    for blocks in [1, 2, 7, 20, 33, 48] {
        let mut device = lab.start(fetch);
        let until = Instant::now() + LONG;
        while held(lab, "got.bin") < blocks && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = held(lab, "got.bin");
        device.kill();
        kills += 1;
        assert!(before >= blocks, "{before} of {blocks}");
        assert!(!lab.path("got.bin").exists(), "half an image was installed");
        assert!(held(lab, "got.bin") >= before, "what was held is lost");
    }
    let (good, told) = lab.start(fetch).ends();
    assert!(good, "{told:?}");
    assert!(told.iter().any(|told| told["event"] == "taken up"), "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
    let (carried, size) = (cable.carried.load(Ordering::SeqCst), lab.image("1.1.0").len() as u64);
    println!("bytes to the device {carried} / {size} of the image, over {kills} kills");
    // Blocks that were on their way, answers and their heads.
    assert!(carried < 2 * size, "{carried} bytes for an image of {size}");
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
    killed_anywhere(&lab, &format!("{} -k KIT-1", lab.fetch(cable.port, "got.bin")), &cable);
}

#[test]
fn a_device_of_a_server_of_files_that_is_killed_anywhere_goes_on_where_it_was() {
    if !foreign("python3") {
        return;
    }
    let lab = Lab::new("killed-http", 200_000);
    let (_server, port) = python(&lab, true);
    job(&lab, "HTTP", "", 0, "/1.1.0.bin");
    let cable = Cable::slow(port, Duration::from_millis(20));
    let server = format!("http://127.0.0.1:{}", cable.port);
    killed_anywhere(&lab, &format!("fetch {server} -k KIT-1 --key key.pem --out got.bin"), &cable);
}

#[test]
fn a_device_of_goosebit_that_is_killed_anywhere_goes_on_where_it_was() {
    if !foreign("goosebit") {
        return;
    }
    let lab = Lab::new("killed-ddi", 200_000);
    let (_server, port) = goosebit(&lab, "1.1.0.bin", "1.1.0");
    let cable = Cable::slow(port, Duration::from_millis(20));
    let server = format!("http://127.0.0.1:{} --ddi DEFAULT/killed --timeout 60", cable.port);
    killed_anywhere(&lab, &format!("fetch {server} --key key.pem --out got.bin"), &cable);
    let known = device(&lab, "killed");
    // 5: finished.
    assert!(known.contains("('1.1.0', 5,"), "{known}");
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
