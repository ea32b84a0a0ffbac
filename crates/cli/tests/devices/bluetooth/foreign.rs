//! Stacks and clients that are not ours: bumble, and smpclient over it.

use super::{Air, NAME, Program, script};
use crate::support::HOST;

#[test]
fn smpclient_is_answered_in_every_group_that_it_speaks() {
    let Some(air) = Air::new("ble-smpclient") else { return };
    let (_device, _) = air.running(&["--files", "files"]);
    let said = air.python("client.py", "groups").ok();
    assert!(said.contains("23 requests answered"), "{said}");
    println!("smpclient over Bluetooth: {said}");
}

#[test]
fn smpclient_brings_an_update() {
    let Some(air) = Air::new("ble-smpclient-update") else { return };
    let (device, _) = air.running(&[]);
    let new = air.bench.image("1.1.0", HOST);
    air.python("client.py", &format!("update {} {}", new.file, new.hash)).ok();
    device.starts("1.1.0");
    assert!(air.bench.slots().run(&new) && air.bench.slots().on_trial());
    air.updraft("image confirm").ok();
    assert!(air.bench.slots().confirmed());
}

#[test]
fn a_client_that_does_not_pair_gets_nothing() {
    let Some(air) = Air::new("ble-unpaired") else { return };
    let (_device, _) = air.running(&[]);
    let said = air.python("raw.py", "unpaired").ok();
    assert!(said.contains("refused: 0x05") && said.contains("silent"), "{said}");
}

#[test]
fn a_device_that_is_open_on_purpose_answers_whoever_asks() {
    let Some(air) = Air::new("ble-open") else { return };
    let (device, _) = air.running(&["--ble-unsafe-open"]);
    device.wait("this device answers anybody over Bluetooth");
    air.updraft("os echo hello").ok();
    assert!(!air.bench.path("bonds").exists(), "nobody asked for a bond");
}

#[test]
fn a_foreign_peripheral_is_paired_with_and_updated() {
    let Some(air) = Air::new("ble-foreign-server") else { return };
    let image = air.bench.image_of(40_000, "1.1.0", HOST);
    let received = air.bench.path("received.bin");
    let mut command = script("server.py").unwrap();
    command.arg(&air.ports[0]).arg(&received).arg(&image.hash);
    let mut server = Program::start(command);
    assert_eq!(server.line(), "ready");
    let to_server = |line: &str| air.line(line).replace(NAME, "foreign");
    let long = "long ".repeat(150);
    let said = air.bench.updraft(&to_server(&format!("os echo {}", long.replace(' ', "_")))).ok();
    assert!(said.contains("long_long"), "{said}");
    air.bench.updraft(&to_server(&format!("image upload {}", image.file))).ok();
    assert_eq!(std::fs::read(received).unwrap(), image.bytes);
    assert!(air.bench.path("bonds").exists());
}

#[test]
fn our_client_is_faster_than_smpclient() {
    let Some(air) = Air::new("ble-speed") else { return };
    let (_device, _) = air.running(&[]);
    let image = air.bench.image_of(200 * 1024, "1.1.0", HOST);
    air.updraft("os echo hello").ok();
    let rate = |said: &str| -> f64 {
        let at = said.find(" KiB/s").unwrap_or_else(|| panic!("no rate in {said}"));
        let text = &said[..at];
        let begin = text.rfind(|c: char| c != '.' && !c.is_ascii_digit()).map_or(0, |at| at + 1);
        text[begin..].parse().unwrap()
    };
    let (mut ours, mut theirs) = (0.0_f64, 0.0_f64);
    for _ in 0..3 {
        air.updraft("image erase").ok();
        ours = ours.max(rate(&air.updraft(&format!("image upload {}", image.file)).ok()));
        air.updraft("image erase").ok();
        let said = air.python("client.py", &format!("upload {}", image.file)).ok();
        theirs = theirs.max(rate(&said));
    }
    println!("200 KiB over virtual controllers, best of 3: ours {ours} KiB/s, smpclient {theirs}");
    assert!(ours > theirs, "ours {ours} KiB/s, smpclient {theirs}");
}
