//! Uploads over links that lose, repeat and reorder what they carry, with the processes and
//! sockets of real use. (What can happen at every single request is swept in virtual time, in the
//! tests of the protocol's own crate.)

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bench, Chance, Fate, HOST, Relay, SELF, Space, Weather};

/// Uploads over a relay in front of a device at `address`, with more and more losses.
fn through_weather(bench: &Bench, address: &str) {
    let seed = Chance::seed();
    println!("seed {seed}");
    let old = bench.image("1.0.0", SELF);
    let device = bench.device().on(address).load("primary", &old).start();
    device.wait("app: self-test passed");
    for lost in [0, 10, 30] {
        let new = bench.image_of(120_000 - 3500 * lost, &format!("1.{}.0", 1 + lost), HOST);
        let weather = Weather { lost, doubled: 5, overtaken: 10 };
        let link = Relay::through(&device.address, weather, seed + lost as u64);
        let line = format!("--json smp --udp {} --timeout 0.2 --retries 20", link.address);
        let said = bench.updraft(&format!("{line} image upload {}", new.file)).json();
        assert_eq!(said["verified"], true);
        assert!(bench.area("secondary").starts_with(&new.bytes), "{lost} % lost");
        let [lost, doubled, overtaken] =
            [Fate::Lost, Fate::Doubled, Fate::Overtaken].map(|fate| link.count(fate));
        println!("{address}: {lost} packets lost, {doubled} doubled, {overtaken} overtaken");
        assert!(doubled + overtaken > 0);
    }
    device.try_out(&bench.image("2.0.0", HOST));
}

#[test]
fn an_upload_over_ipv4_gets_through_any_weather() {
    through_weather(&Bench::new("weather-4"), "127.0.0.1:0");
}

#[test]
fn an_upload_over_ipv6_gets_through_any_weather() {
    through_weather(&Bench::new("weather-6"), "[::1]:0");
}

/// As with a device that is its own network over USB, or whose address nobody answers for while it is
/// reset.
#[test]
fn a_network_may_go_and_come_back() {
    let bench = Bench::new("network-gone");
    let image = bench.image("1.0.0", SELF);
    let space = Space::own();
    std::fs::create_dir(bench.path("files")).unwrap();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|at| (at % 251) as u8).collect();
    bench.file("files/large", &bytes);
    let device = bench.device().within(Arc::clone(&space)).with(&["--files", "files"]);
    let device = device.load("primary", &image).start();
    device.starts("1.0.0");
    let turn = |how| {
        let done = space.command("ip").args(["link", "set", "lo", how]).status().unwrap();
        assert!(done.success(), "{how}");
    };
    let part = bench.path("large.part");
    let said = std::thread::scope(|scope| {
        let client = scope.spawn(|| device.smp("--timeout 0.3 --retries 9 fs get /files/large"));
        while !part.exists() {
            assert!(!client.is_finished());
            std::thread::sleep(Duration::from_millis(5));
        }
        turn("down");
        std::thread::sleep(Duration::from_millis(800));
        assert!(!client.is_finished());
        turn("up");
        client.join().unwrap()
    });
    said.ok();
    assert!(std::fs::read(bench.path("large")).unwrap() == bytes);
}

#[test]
fn addresses_of_ipv6_are_given_with_and_without_a_port() {
    let bench = Bench::new("ipv6");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().on("[::1]:0").load("primary", &image).start();
    device.starts("1.0.0");
    assert!(device.address.starts_with("[::1]:"), "{}", device.address);
    assert_eq!(device.smp("os echo hello").ok(), "hello\n");
    // On the usual port, where nobody is: all three are understood.
    for address in ["::1", "[::1]", "[::1]:1337"] {
        let line = format!("smp --udp {address} --timeout 0.05 --retries 0 os echo hello");
        let said = bench.updraft(&line);
        assert!(said.code == Some(0) || said.err.contains("no answer"), "{said:?}");
    }
}
