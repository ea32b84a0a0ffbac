//! Uploads over links that lose, repeat and reorder what they carry, with the processes and
//! sockets of real use. (What can happen at every single request is swept in virtual time, in the
//! tests of the protocol's own crate.)

use crate::support::{Bench, Chance, Fate, HOST, Relay, SELF, Weather};

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
