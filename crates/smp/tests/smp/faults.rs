//! Uploads over every kind of link while everything goes wrong that can: the client's machine
//! against the server's, in virtual time. Whatever happens, in the end the device has the file.
//!
//! Datagrams are lost, doubled and overtake each other; bytes on a serial line become others, vanish
//! and appear; links are gone for a while; devices are reset; clients give up and are started again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use updraft_image::Version;
use updraft_smp::client::{Limits, Link, Outcome, Params, Status, Upload, UploadOptions};
use updraft_smp::framing::{Console, Framing, Raw, Received};

use crate::device::{Device, Memory, file, sha256};

const LINKS: [Link; 4] = [Link::Udp, Link::Udp6, Link::Console, Link::RawSerial];

/// What goes wrong, of so many packets of 100, or bytes of 100 000.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    lost: u64,
    doubled: u64,
    overtaken: u64,
    garbled: u64,
    /// Something happens when the client sends this request, counted from 0.
    event: Option<(usize, Event)>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Nothing gets through for so long.
    Gone(Duration),
    /// The device is reset, and back after a second.
    Reset,
    /// The client is given up, and another one is started.
    Abandoned,
}

/// One end's receiver.
enum Ear {
    Datagrams,
    Console(Box<Console<2048>>),
    Raw(Box<Raw<2048>>),
}

impl Ear {
    fn of(link: Link) -> Self {
        match link {
            Link::Console => Self::Console(Box::default()),
            Link::RawSerial => Self::Raw(Box::default()),
            _ => Self::Datagrams,
        }
    }

    /// What is put on the link for a message.
    fn speak(&self, message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let write = |piece: &[u8]| bytes.extend_from_slice(piece);
        match self {
            Self::Datagrams => return message.to_vec(),
            Self::Console(_) => Console::<2048>::send(message, write),
            Self::Raw(_) => Raw::<2048>::send(message, write),
        }
        .expect("short enough");
        bytes
    }

    fn hear(&mut self, bytes: &[u8], now: Duration) -> Vec<Vec<u8>> {
        if matches!(self, Self::Datagrams) {
            return vec![bytes.to_vec()];
        }
        let mut messages = Vec::new();
        for byte in bytes {
            let received = match self {
                Self::Datagrams => None,
                Self::Console(console) => console.receive(*byte, now),
                Self::Raw(raw) => raw.receive(*byte, now),
            };
            if let Some(Received::Message(message)) = received {
                messages.push(message.to_vec());
            }
        }
        messages
    }
}

/// A link with a client at its one end and a device at the other.
struct World {
    link: Link,
    faults: Faults,
    seed: u64,
    now: Duration,
    gone_until: Duration,
    /// What is on its way, by the time of its arrival: whether to the device.
    air: BTreeMap<(Duration, u64), (bool, Vec<u8>)>,
    order: u64,
    near: Ear,
    far: Ear,
    device: Device,
    requests: usize,
    /// Requests of which a copy, or whose answer, is under way.
    sent: u64,
}

const DELAY: Duration = Duration::from_millis(4);
const PARAMS: Params = Params { buf_size: 600, buf_count: 5 };

impl World {
    fn new(link: Link, faults: Faults, seed: u64, keeps: u32) -> Self {
        let mut memory = Memory::new(1, 64 * 1024);
        memory.put(0, &file(Version::new(0, 0, 0, 0), 1000));
        memory.keeps = keeps;
        Self {
            link,
            faults,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: Duration::ZERO,
            gone_until: Duration::ZERO,
            air: BTreeMap::new(),
            order: 0,
            near: Ear::of(link),
            far: Ear::of(link),
            device: Device::new(memory),
            requests: 0,
            sent: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) % below
    }

    fn is_serial(&self) -> bool {
        matches!(self.link, Link::Console | Link::RawSerial)
    }

    /// Sends bytes one way or the other.
    fn carry(&mut self, to_device: bool, mut bytes: Vec<u8>) {
        if self.now < self.gone_until {
            return;
        }
        let (mut copies, mut delay) = (1, DELAY);
        if self.is_serial() {
            let garbled = self.faults.garbled;
            let mut after = Vec::with_capacity(bytes.len());
            for byte in bytes {
                let hit = self.random(100_000) < garbled;
                match self.random(3) {
                    _ if !hit => after.push(byte),
                    0 => after.push(self.random(256) as u8),
                    1 => {}
                    _ => after.extend([byte, self.random(256) as u8]),
                }
            }
            bytes = after;
        } else {
            if self.random(100) < self.faults.lost {
                return;
            }
            copies += u64::from(self.random(100) < self.faults.doubled);
            if self.random(100) < self.faults.overtaken {
                delay += Duration::from_micros(self.random(20_000));
            }
        }
        for _ in 0..copies {
            self.order += 1;
            self.air.insert((self.now + delay, self.order), (to_device, bytes.clone()));
        }
    }

    fn options(&self, data: &[u8], sequence: u8) -> UploadOptions {
        let options = UploadOptions::new(Limits::of(self.link, Some(PARAMS)));
        let damage = if self.is_serial() { 8 } else { 0 };
        UploadOptions { sequence, damage, ..options.with_sha256(sha256(data)) }
    }

    /// Uploads `data`, with as many clients as are given up.
    fn upload(&mut self, data: &[u8], context: &str) -> Outcome {
        let mut sequence = 1;
        loop {
            let mut upload =
                Upload::new(data, self.options(data, sequence)).expect("sound options");
            match self.run(&mut upload) {
                Some(Status::Done(outcome)) => return outcome,
                Some(status) => panic!("{context}: {status:?}, {:?}", upload.progress()),
                None => sequence = sequence.wrapping_add(100),
            }
        }
    }

    /// What becomes of an upload; `None` if its client is given up.
    fn run(&mut self, upload: &mut Upload<'_>) -> Option<Status> {
        let mut buffer = [0; 2048];
        while upload.status() == Status::Running {
            while let Some(len) = upload.poll_transmit(self.now, &mut buffer) {
                let message = &buffer[..len];
                let spoken = self.near.speak(message);
                self.carry(true, spoken);
                self.sent += len as u64;
                self.requests += 1;
                assert!(self.requests < 20_000, "it gets nowhere: {:?}", upload.progress());
                let happens = self.faults.event.filter(|(at, _)| self.requests > *at);
                if let Some((_, event)) = happens {
                    self.faults.event = None;
                    match event {
                        Event::Gone(long) => self.gone_until = self.now + long,
                        Event::Reset => {
                            self.device.reboot();
                            self.far = Ear::of(self.link);
                            self.air.clear();
                            self.gone_until = self.now + Duration::from_secs(1);
                        }
                        Event::Abandoned => return None,
                    }
                }
            }
            let Some(deadline) = upload.deadline() else { break };
            let next = self.air.first_key_value().map(|((at, _), _)| *at);
            if next.is_none_or(|at| at > deadline) {
                self.now = self.now.max(deadline);
                continue;
            }
            let Some(((at, _), (to_device, bytes))) = self.air.pop_first() else { continue };
            self.now = self.now.max(at);
            let ear = if to_device { &mut self.far } else { &mut self.near };
            for message in ear.hear(&bytes, self.now) {
                match to_device {
                    true => {
                        for answer in self.device.answers(&message) {
                            let spoken = self.far.speak(&answer);
                            self.carry(false, spoken);
                        }
                    }
                    false => drop(upload.handle(&message, self.now)),
                }
            }
        }
        Some(upload.status())
    }
}

/// Uploads, and looks at what the device has. Returns the world that is left.
fn survive(link: Link, faults: Faults, seed: u64) -> World {
    survive_with(12_000, link, faults, seed, 0)
}

/// The same with a file of so many bytes, and a device that keeps how far it has come in such steps.
fn survive_with(size: usize, link: Link, faults: Faults, seed: u64, keeps: u32) -> World {
    let data = file(Version::new(1, 0, 0, 0), size);
    let mut world = World::new(link, faults, seed, keeps);
    let context = format!("{link:?}, seed {seed}, {faults:?}");
    let outcome = world.upload(&data, &context);
    assert!(outcome.verified, "{context}");
    let slot = world.device.memory().slot(1);
    assert!(slot[..data.len()] == data, "{context}: another image");
    world
}

/// Requests of an upload that nothing happens to.
fn undisturbed(link: Link) -> usize {
    survive(link, Faults::default(), 1).requests
}

#[test]
fn any_weather_is_got_through() {
    let mut runs = 0;
    for link in [Link::Udp, Link::Udp6] {
        for lost in 0..=30 {
            for seed in 0..10 {
                let [doubled, overtaken] = [seed % 4 * 10, seed % 3 * 30];
                let faults = Faults { lost, doubled, overtaken, ..Faults::default() };
                survive(link, faults, 1 + lost * 1000 + seed);
                runs += 1;
            }
        }
    }
    println!("datagrams lost, doubled and overtaken: {runs} uploads of {runs}");
}

#[test]
fn any_byte_of_a_serial_line_may_be_damaged() {
    let mut runs = 0;
    // Bare messages have no checksum: what is damaged is found when all of it is there.
    for (link, worst) in [(Link::Console, 60), (Link::RawSerial, 5)] {
        for step in 0..=20 {
            for seed in 0..10 {
                let garbled = worst * step / 20;
                let faults = Faults { garbled, ..Faults::default() };
                survive(link, faults, 1 + step * 1000 + seed);
                runs += 1;
            }
        }
    }
    println!("bytes garbled: {runs} uploads of {runs}");
}

#[test]
fn a_link_may_go_at_any_request() {
    let mut runs = 0;
    for link in LINKS {
        for at in 0..undisturbed(link) {
            for long in [100, 1000, 8000, 25_000] {
                let event = Some((at, Event::Gone(Duration::from_millis(long))));
                let garbled = if link == Link::Console { 20 } else { 0 };
                let faults = Faults { lost: 5, garbled, event, ..Faults::default() };
                survive(link, faults, 1 + at as u64);
                runs += 1;
            }
        }
    }
    println!("links gone at every request: {runs} uploads of {runs}");
}

/// Where the device keeps how far it has come, little more than what came since is sent again.
#[test]
fn a_device_may_be_reset_at_any_request() {
    const KEPT: u32 = 2048;
    let mut runs = 0;
    for link in LINKS {
        let run = |event, keeps| {
            let faults = Faults { event, ..Faults::default() };
            survive_with(40_000, link, faults, 1, keeps)
        };
        let undisturbed = run(None, 0);
        for at in 0..undisturbed.requests {
            let [kept, forgotten] = [KEPT, 0].map(|keeps| run(Some((at, Event::Reset)), keeps));
            let again = kept.sent - undisturbed.sent;
            // What was under way, and what was sent into the void.
            let limit = u64::from(KEPT) + 3 * 600 * 5;
            assert!(again <= limit, "{link:?}, {at}: {again} bytes sent again");
            assert!(kept.requests <= forgotten.requests);
            runs += 2;
        }
    }
    println!("devices reset at every request: {runs} uploads of {runs}");
}

#[test]
fn an_upload_given_up_at_any_request_is_resumed_by_the_next_client() {
    let mut runs = 0;
    for link in LINKS {
        for at in 0..undisturbed(link) {
            for lost in [0, 10] {
                let event = Some((at, Event::Abandoned));
                let faults = Faults { lost, event, ..Faults::default() };
                let world = survive(link, faults, 1 + at as u64);
                let limit = (undisturbed(link) + 10) * if lost > 0 { 3 } else { 1 };
                assert!(world.requests <= limit, "{link:?}, {at}: {} requests", world.requests);
                runs += 1;
            }
        }
    }
    println!("clients given up at every request: {runs} uploads of {runs}");
}

#[test]
fn everything_at_once_is_survived() {
    let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
    let fresh: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(0) >> 8);
    println!("seeds from {fresh} on");
    let mut runs = 0;
    for link in LINKS {
        for seed in (1..50).chain(fresh..fresh + 50) {
            let at = (seed * 7 % 40) as usize;
            let event = match seed % 3 {
                0 => Event::Reset,
                1 => Event::Gone(Duration::from_secs(3)),
                _ => Event::Abandoned,
            };
            let garbled = if link == Link::Console { 30 } else { 1 };
            let event = Some((at, event));
            let faults = Faults { lost: 15, doubled: 10, overtaken: 20, garbled, event };
            survive_with(12_000, link, faults, seed, if seed % 2 == 0 { 1024 } else { 0 });
            runs += 1;
        }
    }
    println!("everything at once: {runs} uploads of {runs}");
}
