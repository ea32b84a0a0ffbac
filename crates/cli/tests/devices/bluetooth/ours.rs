//! Our client and our device.

use super::Air;
use crate::support::HOST;
#[cfg(unix)]
use crate::top::Screen;

#[test]
fn an_update_goes_over_bluetooth_from_the_first_byte_to_the_confirmation() {
    let Some(air) = Air::new("ble-update") else { return };
    let (device, old) = air.running(&[]);
    let new = air.bench.image("1.1.0", HOST);
    assert_eq!(air.updraft("os echo hello").ok(), "hello\n");
    let listed = air.updraft("--json image list").json();
    assert_eq!(
        (&listed["images"][0]["version"], &listed["images"][0]["hash"]),
        (&"1.0.0".into(), &old.hash.into())
    );

    air.updraft(&format!("image upload {}", new.file)).ok();
    assert!(air.bench.slots().hold(&new));
    air.updraft(&format!("image test {}", new.file)).ok();
    air.updraft("os reset").ok();
    device.starts("1.1.0");
    assert!(air.bench.slots().run(&new) && air.bench.slots().on_trial());
    air.updraft("image confirm").ok();
    assert!(air.bench.slots().confirmed());
}

#[test]
fn one_command_upgrades_and_waits_for_the_radio_to_come_back() {
    let Some(air) = Air::new("ble-upgrade") else { return };
    let (_device, _) = air.running(&[]);
    let new = air.bench.image("1.1.0", HOST);
    let said = air.updraft(&format!("upgrade {}", new.file)).ok();
    assert!(said.contains("1.1.0"), "{said}");
    assert!(air.bench.slots().run(&new) && air.bench.slots().confirmed());
}

#[test]
fn messages_of_many_fragments_pass_both_ways() {
    let Some(air) = Air::new("ble-files") else { return };
    let (_device, _) = air.running(&["--files", "files"]);
    let bytes: Vec<u8> = (0..30_000_u32).map(|at| (at % 251) as u8).collect();
    air.bench.file("data.bin", &bytes);
    air.updraft("fs put data.bin /files/data.bin").ok();
    air.updraft("fs get /files/data.bin back.bin").ok();
    assert_eq!(std::fs::read(air.bench.path("back.bin")).unwrap(), bytes);
}

#[test]
fn a_bond_is_kept_on_both_sides_and_used_again() {
    let Some(air) = Air::new("ble-bond") else { return };
    let (device, _) = air.running(&[]);
    air.updraft("os echo hello").ok();
    let bonds = || ["bonds", "dev.flash.bonds"].map(|name| std::fs::read(air.bench.path(name)));
    let [ours, the_devices] = bonds().map(Result::unwrap);
    assert_eq!((ours.len(), the_devices.len()), (13 + 85, 13 + 85), "an address and a bond each");
    air.updraft("os echo hello").ok();
    device.kill();
    let device = air.device(&[]).start();
    device.wait("app: self-test passed");
    air.updraft("os echo hello").ok();
    assert_eq!(bonds().map(Result::unwrap), [ours, the_devices], "nobody paired anew");
}

#[test]
fn a_device_that_has_lost_its_bond_is_not_paired_with_unasked() {
    let Some(air) = Air::new("ble-lost-bond") else { return };
    let (device, _) = air.running(&[]);
    air.updraft("os echo hello").ok();
    device.kill();
    let file = air.bench.path("dev.flash.bonds");
    let bonds = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &bonds[..13]).unwrap();
    let device = air.device(&[]).start();
    device.wait("app: self-test passed");
    let said = air.updraft("os echo hello").fails(1);
    assert!(said.contains("does not know this computer") && said.contains("bonds"), "{said}");
    std::fs::remove_file(air.bench.path("bonds")).unwrap();
    air.updraft("os echo hello").ok();
}

/// Both know each other, but one of them has another key: the link is not even there long enough to
/// ask for anything.
#[test]
fn a_wrong_key_is_refused_and_nothing_pairs_anew_behind_ones_back() {
    let Some(air) = Air::new("ble-wrong-key") else { return };
    let (device, _) = air.running(&[]);
    air.updraft("os echo hello").ok();
    let file = air.bench.path("bonds");
    let right = std::fs::read_to_string(&file).unwrap();
    // The long-term key is at byte 8 of the bond, in the second line.
    let at = 13 + 2 * 8;
    let digit = if &right[at..=at] == "0" { "1" } else { "0" };
    let wrong = [&right[..at], digit, &right[at + 1..]].concat();
    std::fs::write(&file, &wrong).unwrap();
    let requests = || device.smp("--json stat show smp").json()["smp"]["requests"].as_u64();
    let before = requests().unwrap();
    let said = air.updraft("os echo hello").fails(1);
    assert!(said.contains("hangs up on the key") && said.contains("bonds"), "{said}");
    assert_eq!(requests().unwrap(), before + 1, "only the question itself was answered");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), wrong);
    std::fs::write(&file, &right).unwrap();
    air.updraft("os echo hello").ok();
}

#[test]
fn who_does_not_know_the_digits_does_not_get_in() {
    let Some(air) = Air::new("ble-passkey") else { return };
    let (_device, _) = air.running(&["--ble-passkey", "012345"]);
    let said = air.updraft("os echo hello").fails(1);
    assert!(said.contains("--passkey"), "{said}");
    let said = air.updraft("--passkey 543210 os echo hello").fails(1);
    assert!(said.contains("pairing with updraft failed"), "{said}");
    air.updraft("--passkey 012345 os echo hello").ok();
    air.updraft("os echo hello").ok();
    for digits in ["12345", "1234567", "12a456", "+12345"] {
        let said = air.updraft(&format!("--passkey {digits} os echo hello")).fails(2);
        assert!(said.contains("six digits"), "{said}");
    }
}

#[test]
fn what_may_be_asked_for_over_bluetooth_is_limited_apart() {
    let Some(air) = Air::new("ble-access") else { return };
    let (device, _) = air.running(&["--allow-ble", "read-only"]);
    air.updraft("image list").ok();
    air.updraft("os reset").fails(1);
    device.smp("image erase").ok();
    air.updraft("image erase").fails(1);
}

#[test]
fn devices_are_heard_without_being_connected_to() {
    let Some(air) = Air::new("ble-scan") else { return };
    let (_device, _) = air.running(&[]);
    let line = air.line("scan --via ble").replace("--ble updraft ", "");
    let said = air.bench.updraft(&line).ok();
    assert!(said.contains("--ble updraft --controller hci-tcp:") && said.contains("1 device"));
    if !cfg!(feature = "btleplug") {
        let said = air.bench.updraft("smp scan --via ble").fails(2);
        assert!(said.contains("no Bluetooth controller is named"), "{said}");
    }
}

#[test]
fn a_device_that_is_not_there_is_told_with_those_that_are() {
    let Some(air) = Air::new("ble-nobody") else { return };
    let (_device, _) = air.running(&[]);
    let line = air.line("os echo hello").replace("--ble updraft", "--ble nobody");
    let said = air.bench.updraft(&line).fails(1);
    assert!(said.contains("no device nobody is heard") && said.contains("updraft"), "{said}");
    if !cfg!(feature = "btleplug") {
        let said = air.bench.updraft("smp --ble updraft os echo hello").fails(2);
        assert!(said.contains("no Bluetooth controller is named"), "{said}");
    }
    let said = air.bench.updraft("smp --ble updraft --controller usb:0 os echo hello").fails(2);
    assert!(said.contains("hci-tcp:HOST:PORT"), "{said}");
    let line = "smp --ble updraft --controller hci-tcp:127.0.0.1:1 os echo hello";
    let said = air.bench.updraft(line).fails(1);
    assert!(said.contains("cannot be reached"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_dashboard_goes_over_bluetooth() {
    let Some(air) = Air::new("ble-top") else { return };
    let (device, _) = air.running(&[]);
    let new = air.bench.image("1.1.0", HOST);
    let mut screen = Screen::new(air.command(&air.line("top --every 0.1")));
    screen.shows(&["updraft", "Slots", "1.0.0", "requests", "self-test"]);
    device.smp(&format!("image upload {}", new.file)).ok();
    screen.shows(&["1.1.0"]);
    // The radio is away while the device starts.
    device.smp("os reset").ok();
    device.starts("1.0.0");
    screen.shows(&["restarted"]);
    screen.press("q");
    screen.ends();
    let looks = air.updraft("--json top --every 0.05 --count 3").ok();
    assert_eq!(looks.lines().filter(|line| line.contains("\"1.1.0\"")).count(), 3);
}
