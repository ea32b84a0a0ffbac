//! Uploads over serial lines that damage bytes or are gone for a while, and to devices that are reset
//! under way, with the processes of real use.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Bench, Chance, Device, Fate, HOST, Image, Relay, SELF, Said, Way, Wire};

/// How messages are told from each other on the line.
const FRAMINGS: [&str; 2] = ["console", "raw"];

/// A device with a serial line of that kind, and an update for it.
fn device(name: &str, framing: &str) -> (Bench, Device, Image) {
    let transport = format!("transport = \"{framing}\"");
    let bench =
        Bench::with_line(&format!("{name}-{framing}"), "transport = \"console\"", &transport);
    let (old, new) = (bench.image("1.0.0", SELF), bench.image_of(60_000, "1.1.0", HOST));
    let device = bench.device().serial().load("primary", &old).start();
    device.starts("1.0.0");
    (bench, device, new)
}

fn upload(bench: &Bench, place: &str, image: &Image) -> Said {
    let line = format!("--json smp {place} --timeout 0.3 --retries 20 image upload {}", image.file);
    bench.updraft(&line)
}

fn whole(bench: &Bench, said: Said, image: &Image) -> Value {
    let said = said.json();
    assert_eq!(said["verified"], true, "{said}");
    assert!(bench.area("secondary").starts_with(&image.bytes), "another image");
    said
}

#[test]
fn an_upload_gets_through_a_line_that_damages_bytes() {
    let seed = Chance::seed();
    println!("seed {seed}");
    for (framing, damaged) in FRAMINGS.into_iter().zip([8, 1]) {
        let (bench, device, new) = device("garbled", framing);
        let line = device.serial_line();
        let wire = Wire::damaging(&line, damaged, seed);
        let place = format!("--serial {} --framing {framing}", wire.path.display());
        let said = whole(&bench, upload(&bench, &place, &new), &new);
        println!("{framing}: {} bytes damaged, {} s", wire.damaged(), said["seconds"]);
        assert!(framing == "raw" || wire.damaged() > 0);
    }
}

/// Loses everything from the `at`th request on, for a moment, and says so.
struct Outage {
    at: usize,
    seen: usize,
    until: Option<Instant>,
    tell: Sender<()>,
}

impl Outage {
    fn new(at: usize, tell: Sender<()>) -> Self {
        Self { at, seen: 0, until: None, tell }
    }

    fn loses(&mut self, way: Way) -> bool {
        if self.until.is_some_and(|until| Instant::now() < until) {
            return true;
        }
        self.seen += usize::from(way == Way::ToDevice);
        let now = self.seen == self.at && self.until.is_none();
        if now {
            self.until = Some(Instant::now() + Duration::from_millis(700));
            // A test that has ended hears nothing.
            let _ = self.tell.send(());
        }
        now
    }
}

#[test]
fn a_line_may_be_gone_for_a_while() {
    for framing in FRAMINGS {
        let (bench, device, new) = device("gone", framing);
        let (tell, told) = channel();
        let mut outage = Outage::new(20, tell);
        let wire = Wire::to(&device.serial_line(), move |way, bytes| {
            if outage.loses(way) {
                bytes.clear();
            }
        });
        let place = format!("--serial {} --framing {framing}", wire.path.display());
        whole(&bench, upload(&bench, &place, &new), &new);
        told.try_recv().expect("the line was gone for a while");
    }
}

/// The port of a device on USB goes when the cable is pulled, or with the device's reset, and its name
/// is given to whatever comes next.
#[test]
fn a_port_may_go_and_come_back() {
    for framing in FRAMINGS {
        let (bench, device, new) = device("port", framing);
        let (tell, told) = channel();
        let mut requests = 0;
        let (line, port) = (device.serial_line(), bench.path("port"));
        let wire = Wire::linked(&port, &line, move |way, _| {
            requests += usize::from(way == Way::ToDevice);
            if requests == 20 {
                let _ = tell.send(());
            }
        });
        let place = format!("--serial port --framing {framing}");
        let said = std::thread::scope(|scope| {
            let client = scope.spawn(|| upload(&bench, &place, &new));
            told.recv_timeout(Duration::from_secs(60)).expect("the upload has come that far");
            drop(wire);
            std::thread::sleep(Duration::from_millis(1200));
            assert!(!port.exists() && !client.is_finished());
            let _wire = Wire::linked(&port, &line, |_, _| {});
            client.join().unwrap()
        });
        whole(&bench, said, &new);
    }
}

/// One that does not come back is told as what it is.
#[test]
fn a_port_that_stays_away_is_told() {
    let bench = Bench::new("port-away");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().serial().with(&["--files", "files"]).load("primary", &image);
    let device = device.start();
    bench.file("large", &[7; 200_000]);
    let (tell, told) = channel();
    let port = bench.path("port");
    let wire = Wire::linked(&port, &device.serial_line(), move |way, _| {
        if way == Way::ToDevice {
            let _ = tell.send(());
        }
    });
    let line = "smp --serial port --retries 0 fs put large /files/large";
    let said = std::thread::scope(|scope| {
        let client = scope.spawn(|| bench.updraft(line));
        (0..20).for_each(|_| told.recv_timeout(Duration::from_secs(60)).unwrap());
        drop(wire);
        client.join().unwrap()
    });
    said.complains(&["port cannot be opened", "does another program have it"]);
}

/// The client goes on where the device had come to, without being told anything.
#[test]
fn a_device_may_be_reset_under_way() {
    for framing in FRAMINGS {
        let (bench, mut device, new) = device("reset", framing);
        let (tell, told) = channel();
        let mut outage = Outage::new(12, tell);
        let wire = Wire::to(&device.serial_line(), move |way, bytes| {
            if outage.loses(way) {
                bytes.clear();
            }
        });
        let place = format!("--serial {} --framing {framing}", wire.path.display());
        reset_under_way(&bench, &mut device, &new, &place, &told);
    }
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let bench = Bench::new("reset-udp");
        let (old, new) = (bench.image("1.0.0", SELF), bench.image_of(60_000, "1.1.0", HOST));
        let mut device = bench.device().on(address).load("primary", &old).start();
        device.starts("1.0.0");
        let (tell, told) = channel();
        let mut outage = Outage::new(25, tell);
        let link = Relay::to(&device.address, move |way, _| match outage.loses(way) {
            true => Fate::Lost,
            false => Fate::Passes,
        });
        let place = format!("--udp {}", link.address);
        reset_under_way(&bench, &mut device, &new, &place, &told);
    }
}

fn reset_under_way(
    bench: &Bench,
    device: &mut Device,
    new: &Image,
    place: &str,
    told: &std::sync::mpsc::Receiver<()>,
) {
    let said = std::thread::scope(|scope| {
        let client = scope.spawn(|| upload(bench, place, new));
        told.recv_timeout(Duration::from_secs(60)).expect("the upload has come that far");
        device.type_line("reset");
        device.wait("reset by pin");
        device.starts("1.0.0");
        client.join().unwrap()
    });
    whole(bench, said, new);
}
