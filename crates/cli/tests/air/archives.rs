//! Several images in one archive: built by the publisher, and taken whole or not at all.

use serde_json::Value;

use crate::files::{job, python};
use crate::support::{Cable, Lab, foreign};

const BOARD: &str = "--board virtual-two-images";
const KIT: &str = "-k KIT-1";
const PARTS: &str = "--image NSPE=cm4-1.1.0.bin --image SPE=cm0-1.1.0.bin";

/// With images of both kinds, and a device that runs the first ones.
fn lab(name: &str) -> Lab {
    let lab = Lab::new(name, 50_000);
    let radio: Vec<u8> = (0..30_000u32).map(|i| (i * 11 + i / 4096) as u8 | 1).collect();
    std::fs::write(lab.path("radio.bin"), radio).unwrap();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        for (kind, number, from) in [("cm4", 0, "app.bin"), ("cm0", 1, "radio.bin")] {
            let sign = format!("image sign {BOARD} --image {number} --key key.pem");
            lab.ok(&format!("{sign} --version {version} {from} {kind}-{version}.bin"));
        }
    }
    empty(&lab);
    lab
}

/// Puts the device back to the first images.
fn empty(lab: &Lab) {
    for left in ["dev.flash", "dev.flash.ota"] {
        let _ = std::fs::remove_file(lab.path(left));
    }
    let loads = "--load app-primary=cm4-1.0.0.bin --load radio-primary=cm0-1.0.0.bin";
    assert!(lab.boots(&format!("{BOARD} {loads}")).contains("starting 1.0.0"));
}

/// What is asked of the bootloader, and the versions that lie in the secondary slots.
fn pending(lab: &Lab) -> [(String, String); 2] {
    let shown = lab.ok(&format!("device show {BOARD} --flash dev.flash --json"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    ["app-secondary", "radio-secondary"].map(|name| {
        let slots = shown.as_array().unwrap();
        let slot = slots.iter().find(|slot| slot["slot"] == name).unwrap();
        let text = |key: &str| slot[key].as_str().unwrap_or_default().to_owned();
        (text("trailer"), text("version"))
    })
}

fn assert_both(lab: &Lab, version: &str) {
    for (trailer, found) in pending(lab) {
        assert_eq!((trailer, found), ("magic, test".into(), format!("{version}+0")));
    }
}

fn assert_neither(lab: &Lab) {
    for (trailer, _) in pending(lab) {
        assert_eq!(trailer, "erased");
    }
}

fn fetch(server: &str) -> String {
    format!("fetch {server} {KIT} {BOARD} --key key.pem --flash dev.flash")
}

#[test]
fn both_images_of_an_archive_become_pending_over_a_broker_and_boot() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = lab("archive");
    let _broker = lab.broker();
    for flow in ["", "--piecewise", "--direct"] {
        empty(&lab);
        let mut publisher = lab.publish(lab.tls, &format!("{KIT} {PARTS}"));
        let server = format!("mqtts://127.0.0.1:{}", lab.tls);
        let said = lab.ok(&format!("{} {flow}", fetch(&server)));
        assert_eq!(said, "installed 1.1.0\n", "{flow}");
        assert_both(&lab, "1.1.0");
        publisher.kill();
    }
    let said = lab.boots(BOARD);
    assert!(said.contains("starting 1.1.0"), "{said}");
    let shown = lab.ok(&format!("device show {BOARD} --flash dev.flash --json"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    for name in ["app-primary", "radio-primary"] {
        let slot = shown.as_array().unwrap().iter().find(|slot| slot["slot"] == name).unwrap();
        assert_eq!(slot["version"], "1.1.0+0", "{name}");
    }
}

#[test]
fn an_archive_with_one_bit_wrong_marks_neither_image() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = lab("spoilt");
    let _broker = lab.broker();
    let server = format!("mqtt://127.0.0.1:{}", lab.plain);
    for (kind, parts) in [
        ("cm4", "--image NSPE=spoilt.bin --image SPE=cm0-1.1.0.bin"),
        ("cm0", "--image NSPE=cm4-1.1.0.bin --image SPE=spoilt.bin"),
    ] {
        let mut bytes = std::fs::read(lab.path(&format!("{kind}-1.1.0.bin"))).unwrap();
        bytes[20_000] ^= 1;
        std::fs::write(lab.path("spoilt.bin"), bytes).unwrap();
        let mut publisher = lab.publish(lab.plain, &format!("{KIT} {parts}"));
        let said = lab.fails(&fetch(&server));
        assert!(said.contains("the bootloader would refuse the image"), "{said}");
        assert_neither(&lab);
        publisher.kill();
    }
    // The next one is taken.
    let parts = PARTS.replace("1.1.0", "1.2.0");
    let _publisher = lab.publish(lab.plain, &format!("{KIT} {parts}"));
    assert_eq!(lab.ok(&fetch(&server)), "installed 1.2.0\n");
    assert_both(&lab, "1.2.0");
}

#[test]
fn an_archive_that_the_publisher_keeps_comes_from_a_server_of_files() {
    if !foreign("mosquitto and python3") {
        return;
    }
    let lab = lab("archive-files");
    let _broker = lab.broker();
    let (_server, port) = python(&lab, true);
    job(&lab, "HTTP", "127.0.0.1", port, "/update.tar");
    let line = format!("{KIT} {PARTS} --archive update.tar --job ota_update.json");
    let mut publisher = lab.publish(lab.tls, &line);
    // A broker's job that sends devices to the files, and the files alone.
    for server in [format!("mqtts://127.0.0.1:{}", lab.tls), format!("http://127.0.0.1:{port}")] {
        empty(&lab);
        assert_eq!(lab.ok(&fetch(&server)), "installed 1.1.0\n", "{server}");
        assert_both(&lab, "1.1.0");
    }
    publisher.wait("succeeded");
    publisher.kill();
    let mut bytes = std::fs::read(lab.path("update.tar")).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(lab.path("update.tar"), bytes).unwrap();
    empty(&lab);
    let said = lab.fails(&fetch(&format!("http://127.0.0.1:{port}")));
    assert!(said.contains("the bootloader would refuse the image"), "{said}");
    assert_neither(&lab);
    // An archive is published as it lies there, too; what is wrong with one is told.
    let publish = format!("publish --plain -b 127.0.0.1:1 {KIT} -f cut.tar --version 1.1.0");
    let cut = std::fs::read(lab.path("update.tar")).unwrap()[..4096].to_vec();
    std::fs::write(lab.path("cut.tar"), cut).unwrap();
    let said = lab.run(&format!("{publish} --count 0")).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("the archive ends before its files do"), "{said}");
}

#[test]
fn a_device_that_is_killed_in_an_archive_goes_on_with_what_it_has() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = lab("killed-archive");
    let _broker = lab.broker();
    let _publisher = lab.publish(lab.plain, &format!("{KIT} {PARTS} --pause 60"));
    let cable = Cable::to(lab.plain);
    let fetch = fetch(&format!("mqtt://127.0.0.1:{}", cable.port));
    for blocks in [2, 7, 14, 17] {
        let mut device = lab.start(&fetch);
        crate::broken::until_it_holds(&lab, "dev.flash", blocks);
        device.kill();
        assert_neither(&lab);
    }
    assert_eq!(lab.ok(&fetch), "installed 1.1.0\n");
    assert_both(&lab, "1.1.0");
    let size = ["cm4-1.1.0.bin", "cm0-1.1.0.bin"];
    let size: u64 = size.map(|name| lab.path(name).metadata().unwrap().len()).iter().sum();
    let carried = cable.carried.load(std::sync::atomic::Ordering::SeqCst);
    println!("bytes to the device {carried} / {size} of the images, over four kills");
    // What was on its way at a kill comes again; all from the beginning would be three times the size.
    assert!(5 * carried < 14 * size, "{carried} bytes for images of {size}");
}
