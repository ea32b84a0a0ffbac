//! A thousand agents in a process update at once, over mosquitto, and every one of them holds the
//! image afterwards, to the byte; beside it, mosquitto brings the same bytes to as many subscribers
//! that do nothing with them. Prints the tables of `docs/evidence/ota.md`.
//!
//! `UPDRAFT_OTA_DEVICES` takes another number of devices.

mod fleet;

use std::time::Duration;

use fleet::{Lab, Line, Sum};

const DEVICES: usize = 1000;
/// Bytes of the application; the image has a header and a signature more.
const APPLICATION: usize = 240_000;

fn main() {
    let devices = std::env::var("UPDRAFT_OTA_DEVICES");
    let devices = devices.ok().and_then(|number| number.parse().ok()).unwrap_or(DEVICES);
    let lab = Lab::new("bench", APPLICATION);
    let image = lab.image().len();
    println!(
        "{devices} devices, an image of {image} bytes in chunks of 4,096; publisher, devices and broker on \
         this computer. The time is from the first connection to the last image that is verified and \
         marked.\n"
    );
    println!(
        "| line | images identical | s | images/s | MiB/s | to a device / image | from a device / image |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, line) in [("MQTT", Line::Plain), ("MQTT, mutual TLS", Line::Tls)] {
        let sum = fleet::update(&lab, line, devices, Duration::from_secs(600));
        row(name, image, devices, &sum);
        assert_eq!(sum.identical, devices, "{name}");
    }
    let sum = fleet::fan_out(&lab, devices, Duration::from_secs(600));
    row("mosquitto alone: one topic, nothing done with it", image, devices, &sum);
}

fn row(name: &str, image: usize, devices: usize, sum: &Sum) {
    let seconds = sum.took.as_secs_f64();
    let rate = (image * devices) as f64 / seconds / 1024.0 / 1024.0;
    let each = |bytes: u64| bytes as f64 / devices as f64 / image as f64;
    println!(
        "| {name} | {} / {devices} | {seconds:.1} | {:.0} | {rate:.1} | {:.3} | {:.3} |",
        sum.identical,
        devices as f64 / seconds,
        each(sum.received),
        each(sum.sent),
    );
}
