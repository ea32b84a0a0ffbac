//! mcumgrctl 0.20.0, a client that is not ours, against our device, over UDP and a serial line.

use serde_json::Value;

use crate::support::{Bench, Device, HOST, Image, Over, SELF, Said, tool};

/// mcumgrctl and a device.
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
        let program = tool("bin/mcumgrctl")?.display().to_string();
        let imgtool = tool("venv/bin/imgtool")?.display().to_string();
        let bench = Bench::new(&format!("{name}-{over:?}"));
        let old = bench.signed_by(&imgtool, "1.0.0", SELF);
        let new = bench.signed_by(&imgtool, "1.1.0", HOST);
        bench.file("data.bin", &data());
        let setup = bench.device().with(&["--files", "files"]).load("primary", &old);
        let (device, to) = match over {
            Over::Udp => {
                let device = setup.start();
                let to = format!("--udp {}", device.address);
                (device, to)
            }
            Over::Serial => {
                let device = setup.serial().start();
                let to = format!("-s {}", device.serial_line());
                (device, to)
            }
        };
        device.wait("app: self-test passed");
        Some(Self { program, bench, device, to, old, new })
    }

    fn run(&self, line: &str) -> Said {
        let line = format!("{} -q {line}", self.to);
        self.device.client(&self.program, &line.split(' ').collect::<Vec<_>>())
    }

    fn images(&self) -> Value {
        self.run("image get-state --json").json()
    }

    fn upload_and_test(&self) {
        self.run(&format!("image upload {}", self.new.file)).ok();
        assert!(self.bench.slots().hold(&self.new));
        self.run(&format!("image set-state --hash {}", self.new.hash)).ok();
        assert_eq!(self.bench.slots().secondary(), "magic, test");
    }

    fn reset(&self, version: &str) {
        self.run("os system-reset").ok();
        self.device.starts(version);
    }
}

/// A file to be sent there and back.
fn data() -> Vec<u8> {
    (0..30_000_u32).map(|at| (at % 251) as u8).collect()
}

#[test]
fn mcumgrctl_uploads_tests_and_confirms() {
    mcumgrctl_uploads_tests_and_confirms_by(Over::Udp);
}

#[cfg(unix)]
#[test]
fn mcumgrctl_uploads_tests_and_confirms_over_a_serial_line() {
    mcumgrctl_uploads_tests_and_confirms_by(Over::Serial);
}

fn mcumgrctl_uploads_tests_and_confirms_by(over: Over) {
    let Some(peer) = Peer::new("mcumgrctl-confirms", over) else { return };
    assert!(peer.run("os echo hello").ok().contains("hello"));
    assert_eq!(peer.images().as_array().map(Vec::len), Some(1));

    peer.upload_and_test();
    assert_eq!(peer.images()[1]["pending"], true);
    peer.reset("1.1.0");
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().on_trial());
    let listed = peer.images();
    assert_eq!(listed[0]["version"], "1.1.0");
    assert_eq!((&listed[0]["active"], &listed[0]["confirmed"]), (&true.into(), &false.into()));

    peer.run("image set-state --confirm").ok();
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().confirmed());
    peer.reset("1.1.0");
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().hold(&peer.old));
}

#[test]
fn what_mcumgrctl_does_not_confirm_is_reverted() {
    let Some(peer) = Peer::new("mcumgrctl-reverts", Over::Udp) else { return };
    peer.upload_and_test();
    peer.reset("1.1.0");
    assert!(peer.bench.slots().run(&peer.new) && peer.bench.slots().on_trial());
    peer.reset("1.0.0");
    assert!(peer.bench.slots().run(&peer.old) && peer.bench.slots().confirmed());
    assert!(peer.bench.slots().hold(&peer.new));
}

#[test]
fn mcumgrctl_updates_in_one_go() {
    mcumgrctl_updates_in_one_go_by(Over::Udp);
}

#[cfg(unix)]
#[test]
fn mcumgrctl_updates_in_one_go_over_a_serial_line() {
    mcumgrctl_updates_in_one_go_by(Over::Serial);
}

fn mcumgrctl_updates_in_one_go_by(over: Over) {
    let Some(peer) = Peer::new("mcumgrctl-update", over) else { return };
    peer.run(&format!("firmware update {}", peer.new.file)).ok();
    peer.device.starts("1.1.0");
    assert!(peer.bench.slots().run(&peer.new), "{:?}", peer.bench.slots());
}

#[test]
fn mcumgrctl_shows_what_the_device_refuses() {
    let Some(peer) = Peer::new("mcumgrctl-refused", Over::Udp) else { return };
    let before = peer.bench.area("primary");
    let said = peer.run(&format!("image set-state --hash {}", "55".repeat(32)));
    assert_ne!(said.code, Some(0));
    assert!(said.err.contains("HASH_NOT_FOUND"), "{said:?}");
    assert_eq!(peer.bench.area("primary"), before);
}

#[test]
fn mcumgrctl_is_answered_in_every_group_that_it_speaks() {
    mcumgrctl_is_answered_in_every_group_that_it_speaks_by(Over::Udp);
}

#[cfg(unix)]
#[test]
fn mcumgrctl_is_answered_in_every_group_that_it_speaks_over_a_serial_line() {
    mcumgrctl_is_answered_in_every_group_that_it_speaks_by(Over::Serial);
}

fn mcumgrctl_is_answered_in_every_group_that_it_speaks_by(over: Over) {
    let Some(peer) = Peer::new("mcumgrctl-groups", over) else { return };
    let mut asked = 0;
    for (line, expected) in [
        ("os echo hello", "hello"),
        ("os task-statistics", "blink"),
        ("os memory-pool-statistics", "smp_buffers"),
        ("os set-datetime 2026-11-21T01:02:03", ""),
        ("os get-datetime", "2026-11-21T01:02:0"),
        ("os mcumgr-parameters", "2048"),
        ("os application-info", "Updraft"),
        ("os bootloader-info", "MCUboot"),
        ("stats list-groups", "image"),
        ("stats get device", "boots"),
        ("stats get", "bytes_in"),
        ("settings write a/b 0102", ""),
        ("settings read a/b", "0102"),
        ("settings commit", ""),
        ("settings save", ""),
        ("settings load", ""),
        ("settings delete a/b", ""),
        ("fs upload data.bin /files/data.bin", ""),
        ("fs status /files/data.bin", "30000"),
        ("fs checksum /files/data.bin", "data.bin"),
        ("fs supported-checksums", "crc32,sha256"),
        ("fs download /files/data.bin back.bin", ""),
        ("fs close", ""),
        ("shell version", "1.0.0+0"),
        ("enum list-groups", "MGMT_GROUP_ID_FS"),
        ("enum show-group-details", "zephyr basic mgmt"),
        ("zephyr erase-storage", ""),
        ("raw read 0 6", "buf_count"),
    ] {
        let out = peer.run(line).ok();
        assert!(out.contains(expected), "{line}: {out}");
        asked += 1;
    }
    assert_eq!(std::fs::read(peer.bench.path("back.bin")).unwrap(), data());
    println!("mcumgrctl, {over:?}: {asked} of {asked} commands beside images answered");
}
