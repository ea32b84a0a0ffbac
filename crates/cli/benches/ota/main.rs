//! A thousand agents in a process update at once, over mosquitto, and every one of them holds the
//! image afterwards, to the byte; beside it, mosquitto brings the same bytes to as many subscribers
//! that do nothing with them. Prints the tables of `docs/evidence/ota.md`.
//!
//! `UPDRAFT_OTA_DEVICES` takes another number of devices.

mod fleet;
mod wire;

use std::time::Duration;

use fleet::{Flow, Lab, Line, Sum, Weather};

const DEVICES: usize = 1000;
/// Bytes of the application; the image has a header and a signature more.
const APPLICATION: usize = 240_000;
/// The most that one update of all devices takes.
const LIMIT: Duration = Duration::from_secs(900);
/// Times that one device updates, of which the middle one counts.
const ROUNDS: usize = 9;

fn main() {
    let devices = std::env::var("UPDRAFT_OTA_DEVICES");
    let devices = devices.ok().and_then(|number| number.parse().ok()).unwrap_or(DEVICES);
    let mut lab = Lab::new("bench", APPLICATION);
    let image = lab.image().len();
    println!(
        "An image of {image} bytes in chunks of 4,096; publisher, broker and devices on this computer: \
         load average {} at the beginning. Each time is from the first connection to the last image \
         that is verified and marked; identical are images in flash whose SHA-256 is that of the file.\n",
        load()
    );
    at_once(&mut lab, image, devices);
    beside_mosquitto(&mut lab, image, devices);
    wire::table(&mut lab, image);
    println!("\nLoad average at the end: {}.", load());
}

/// All at once, also with a broker that is killed.
fn at_once(lab: &mut Lab, image: usize, devices: usize) {
    println!("## {devices} devices at once\n");
    println!(
        "| line | | images identical | s | MiB/s | to a device / image | from a device / image | blocks \
         held at the kill | of these asked for again | came again |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, line) in [("MQTT", Line::Plain), ("MQTT, mutual TLS", Line::Tls)] {
        for (how, weather) in
            [("", Weather::Fair), ("broker killed half-way", Weather::KillsTheBroker)]
        {
            let sum = fleet::update(lab, line, Flow::Whole, devices, weather, LIMIT);
            let seconds = sum.took.as_secs_f64();
            println!(
                "| {name} | {how} | {} / {devices} | {seconds:.1} | {:.1} | {:.3} | {:.3} | {} | {} | {} |",
                sum.identical,
                rate(image, devices, seconds),
                sum.received as f64 / (devices * image) as f64,
                sum.sent as f64 / (devices * image) as f64,
                sum.held,
                sum.asked_again,
                sum.came_again,
            );
            assert_eq!(sum.identical, devices, "{name} {how}");
            assert_eq!(sum.asked_again, 0, "{name} {how}");
        }
    }
    println!();
}

fn rate(image: usize, devices: usize, seconds: f64) -> f64 {
    (image * devices) as f64 / seconds / 1024.0 / 1024.0
}

/// The time of updates beside that of mosquitto's own fan-out of the same bytes, in turns.
fn beside_mosquitto(lab: &mut Lab, image: usize, devices: usize) {
    println!("## Beside a plain fan-out of mosquitto\n");
    println!(
        "The same bytes on one topic by `mosquitto_pub` to as many `mosquitto_sub -q 1`, which throw them \
         away, and to as many subscribers in one process. An update sends each device chunks of its \
         own, and every device erases, writes, verifies and marks. One device: the middle of {ROUNDS} \
         times, in turns.\n"
    );
    println!(
        "| devices | update, s | mosquitto_pub and _sub, s | ratio | subscribers in a process, s | ratio |"
    );
    println!("|---|---|---|---|---|---|");
    for (count, rounds) in [(1, ROUNDS), (devices, 1)] {
        let (mut ours, mut theirs, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let update = |lab: &mut Lab| {
                fleet::update(lab, Line::Plain, Flow::Whole, count, Weather::Fair, LIMIT)
            };
            ours.push(whole(update(lab), count));
            theirs.push(whole(fleet::by_mosquitto(lab, count, LIMIT), count));
            plain.push(whole(fleet::fan_out(lab, count, LIMIT), count));
        }
        let [ours, theirs, plain] = [ours, theirs, plain].map(middle);
        println!(
            "| {count} | {ours:.3} | {theirs:.3} | {:.2} | {plain:.3} | {:.2} |",
            ours / theirs,
            ours / plain
        );
    }
    println!("\nImages of {image} bytes; a ratio above 1 is the time that an update takes more.\n");
}

fn whole(sum: Sum, count: usize) -> f64 {
    assert_eq!(sum.identical, count);
    sum.took.as_secs_f64()
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
