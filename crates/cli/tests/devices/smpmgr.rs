//! smpmgr 0.19.1, a client that is not ours, against our device, over UDP and a serial line.

use crate::support::{Bench, Device, HOST, Image, Over, SELF, Said, Space, tool};

/// smpmgr and a device. Its UDP port is fixed, so each test has a network of its own.
struct Peer {
    program: String,
    bench: Bench,
    device: Device,
    /// The options that lead to it.
    to: String,
    old: Image,
    new: Image,
}

impl Peer {
    fn new(name: &str, over: Over) -> Option<Self> {
        let program = tool("venv/bin/smpmgr")?.display().to_string();
        let imgtool = tool("venv/bin/imgtool")?.display().to_string();
        let bench = Bench::new(&format!("{name}-{over:?}"));
        let old = bench.signed_by(&imgtool, "1.0.0", SELF);
        let new = bench.signed_by(&imgtool, "1.1.0", HOST);
        bench.file("data.bin", &data());
        let setup = bench.device().with(&["--files", "files"]).load("primary", &old);
        let (device, to) = match over {
            Over::Udp => (setup.within(Space::own()).start(), "--ip 127.0.0.1".to_owned()),
            Over::Serial => {
                let device = setup.serial().start();
                let to = format!("--port {}", device.serial_line());
                (device, to)
            }
        };
        device.wait("app: self-test passed");
        Some(Self { program, bench, device, to, old, new })
    }

    fn run(&self, line: &str) -> Said {
        let line = format!("{} {line}", self.to);
        self.device.client(&self.program, &line.split(' ').collect::<Vec<_>>())
    }

    fn upload_and_test(&self) {
        self.run(&format!("image upload {}", self.new.file)).ok();
        assert!(self.bench.slots().hold(&self.new));
        self.run(&format!("image state-write {}", self.new.hash)).ok();
        assert_eq!(self.bench.slots().secondary(), "magic, test");
    }

    fn reset(&self, version: &str) {
        self.run("os reset").ok();
        self.device.starts(version);
    }
}

/// A file to be sent there and back.
fn data() -> Vec<u8> {
    (0..30_000_u32).map(|at| (at % 251) as u8).collect()
}

#[test]
fn smpmgr_uploads_tests_and_confirms() {
    smpmgr_uploads_tests_and_confirms_by(Over::Udp);
}

#[cfg(unix)]
#[test]
fn smpmgr_uploads_tests_and_confirms_over_a_serial_line() {
    smpmgr_uploads_tests_and_confirms_by(Over::Serial);
}

fn smpmgr_uploads_tests_and_confirms_by(over: Over) {
    let Some(peer) = Peer::new("smpmgr-confirms", over) else { return };
    let said = peer.run("os echo hello").ok();
    assert!(said.contains("hello"), "{said}");
    let listed = peer.run("image state-read").ok();
    assert!(listed.contains("1.0.0") && !listed.contains("1.1.0"), "{listed}");

    peer.upload_and_test();
    let listed = peer.run("image state-read").ok();
    assert!(listed.contains("1.1.0") && listed.contains("pending=True"), "{listed}");
    peer.reset("1.1.0");
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().on_trial());
    let listed = peer.run("image state-read").ok();
    assert!(listed.contains("active=True") && listed.contains("confirmed=True"), "{listed}");

    peer.run("image state-write --confirm").ok();
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().confirmed());
    peer.reset("1.1.0");
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().hold(&peer.old));
}

#[test]
fn what_smpmgr_does_not_confirm_is_reverted() {
    let Some(peer) = Peer::new("smpmgr-reverts", Over::Udp) else { return };
    peer.upload_and_test();
    peer.reset("1.1.0");
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().on_trial());
    peer.reset("1.0.0");
    assert!(peer.bench.slots().run(&peer.old) && peer.bench.slots().confirmed());
    assert!(peer.bench.slots().hold(&peer.new));
}

#[test]
fn smpmgr_upgrades_in_one_go() {
    smpmgr_upgrades_in_one_go_by(Over::Udp);
}

#[cfg(unix)]
#[test]
fn smpmgr_upgrades_in_one_go_over_a_serial_line() {
    smpmgr_upgrades_in_one_go_by(Over::Serial);
}

fn smpmgr_upgrades_in_one_go_by(over: Over) {
    let Some(peer) = Peer::new("smpmgr-upgrade", over) else { return };
    peer.run(&format!("upgrade --slot 1 {}", peer.new.file)).ok();
    peer.device.starts("1.1.0");
    assert!(peer.bench.slots().run(&peer.new), "{:?}", peer.bench.slots());
}

#[test]
fn smpmgr_shows_what_the_device_refuses() {
    let Some(peer) = Peer::new("smpmgr-refused", Over::Udp) else { return };
    let before = peer.bench.area("primary");
    let said = peer.run(&format!("image state-write {}", "55".repeat(32)));
    assert!(said.out.contains("HASH_NOT_FOUND") || said.err.contains("HASH_NOT_FOUND"), "{said:?}");
    assert_eq!(peer.bench.area("primary"), before);
}

#[test]
fn smpmgr_is_answered_in_every_group_that_it_speaks() {
    smpmgr_is_answered_in_every_group_that_it_speaks_by(Over::Udp);
}

#[cfg(unix)]
#[test]
fn smpmgr_is_answered_in_every_group_that_it_speaks_over_a_serial_line() {
    smpmgr_is_answered_in_every_group_that_it_speaks_by(Over::Serial);
}

fn smpmgr_is_answered_in_every_group_that_it_speaks_by(over: Over) {
    let Some(peer) = Peer::new("smpmgr-groups", over) else { return };
    let mut asked = 0;
    for (line, expected) in [
        ("os echo hello", "hello"),
        ("statistics list", "device"),
        ("statistics get device", "boots"),
        ("statistics fetch-all", "bytes_in"),
        ("file upload data.bin /files/data.bin", ""),
        ("file read-size /files/data.bin", "30000"),
        ("file get-supported-hash-types", "sha256"),
        ("file get-hash /files/data.bin", "crc32"),
        ("file download /files/data.bin back.bin", ""),
        ("shell version", "1.0.0+0"),
        ("enum get-supported-groups", "63"),
        ("enum get-group-details 8 63", "fs mgmt"),
    ] {
        let out = peer.run(line).ok();
        assert!(out.contains(expected), "{line}: {out}");
        asked += 1;
    }
    assert_eq!(std::fs::read(peer.bench.path("back.bin")).unwrap(), data());
    println!("smpmgr, {over:?}: {asked} of {asked} commands beside images answered");
}
