//! Dumps of a whole flash and the price of an update: what is said has to be what happens.

use serde_json::Value;

use crate::support::Desk;

const SIGN: &str = "image sign --board virtual-nor-4k -k key.pem -v 1.2.3";
const DUMP: &str = "image inspect --dump-of virtual-nor-4k";

/// A dump of `size` bytes with files at offsets.
fn dump(desk: &Desk, size: usize, files: &[(&str, usize)]) {
    let mut flash = vec![0xff; size];
    for (name, at) in files {
        let image = std::fs::read(desk.path(name)).unwrap();
        flash[*at..*at + image.len()].copy_from_slice(&image);
    }
    std::fs::write(desk.path("flash.bin"), flash).unwrap();
}

#[test]
fn an_image_that_was_programmed_as_confirmed_is_no_swap_that_was_begun() {
    let desk = Desk::new("dumps-confirmed");
    desk.stdout(&format!("{SIGN} --confirm app.bin app.signed.bin"));
    dump(&desk, 1 << 20, &[("app.signed.bin", 0xc000)]);
    let next = &desk.json(&format!("{DUMP} -k key.pem flash.bin"))["next_boot"];
    assert_eq!(next["reasons"][0], "nothing is asked for, and the running image is confirmed");
    assert_eq!(next["erases"], 0);
    // The same with an image_ok that a power cut has torn: it did ask to be confirmed.
    let mut flash = std::fs::read(desk.path("flash.bin")).unwrap();
    let image_ok = 0xc000 + 0x40000 - 16 - 8;
    assert_eq!(flash[image_ok], 1);
    flash[image_ok] = 0x41;
    std::fs::write(desk.path("flash.bin"), flash).unwrap();
    let next = &desk.json(&format!("{DUMP} -k key.pem flash.bin"))["next_boot"];
    assert_eq!(next["reasons"][0], "nothing is asked for, and the running image is confirmed");
}

#[test]
fn programs_are_told_that_no_signature_was_checked() {
    let desk = Desk::new("dumps-unchecked");
    desk.stdout(&format!("{SIGN} app.bin app.signed.bin"));
    dump(&desk, 1 << 20, &[("app.signed.bin", 0xc000)]);
    assert_eq!(desk.json(&format!("{DUMP} flash.bin"))["signatures_checked"], false);
    assert_eq!(desk.json(&format!("{DUMP} -k key.pem flash.bin"))["signatures_checked"], true);
}

#[test]
fn without_timings_no_time_is_told() {
    let desk = Desk::new("dumps-untimed");
    let board = include_str!("../../../../boards/virtual-nor-4k.toml");
    let timed = |line: &&str| line.starts_with("erase_us") || line.starts_with("write_us");
    let board: String =
        board.lines().filter(|line| !timed(line)).map(|it| format!("{it}\n")).collect();
    std::fs::write(desk.path("board.toml"), board).unwrap();
    let sign = "image sign --board board.toml -k key.pem";
    desk.stdout(&format!("{sign} -v 1 app.bin old.bin"));
    desk.stdout(&format!("{sign} -v 2 --pad app.bin new.bin"));
    dump(&desk, 1 << 20, &[("old.bin", 0xc000), ("new.bin", 0x4c000)]);
    let line = "image inspect --dump-of board.toml -k key.pem flash.bin";
    let next = &desk.json(line)["next_boot"];
    assert_eq!(next["seconds"], Value::Null);
    assert!(next["erases"].as_u64() > Some(0));
    assert!(desk.stdout(line).contains("the board file gives no timings"));
}

#[test]
fn every_device_has_its_own_dump_at_its_own_addresses() {
    let desk = Desk::new("dumps-devices");
    let sign = "image sign --board virtual-factory -k key.pem";
    desk.stdout(&format!("{sign} -v 1 app.bin app.signed.bin"));
    // Behind the factory image: 0x40000 into the device, not at its beginning.
    desk.stdout(&format!("{sign} -v 2 -x 0x18000000 app.bin factory.hex"));
    desk.stdout(&format!("{sign} -v 2 -x 0x18040000 app.bin elsewhere.hex"));
    desk.stdout(&format!("{sign} -v 2 -x 0x10000000 app.bin below.hex"));
    dump(&desk, 1 << 20, &[("app.signed.bin", 0xc000)]);
    let line = "image inspect --dump-of virtual-factory -k key.pem flash.bin --device external=";
    let version = |file: &str| {
        let said = desk.json(&format!("{line}{file}"));
        let slots = said["slots"].as_array().unwrap().clone();
        slots.iter().find(|slot| slot["slot"] == "factory").unwrap()["version"].clone()
    };
    assert_eq!(version("factory.hex"), "2.0.0+0");
    assert_eq!(version("elsewhere.hex"), Value::Null);
    let (code, text) = desk.refused(&format!("{line}below.hex"));
    assert_eq!(code, Some(2));
    assert!(text.contains("external is mapped from 0x18000000 on"), "{text}");
}

#[test]
fn what_a_device_s_file_leaves_out_is_erased() {
    let desk = Desk::new("dumps-gaps");
    // Erased bytes are 0 here, and padding goes into Intel HEX as a gap before the trailer.
    let sign = "image sign --board virtual-erased0 -k key.pem";
    desk.stdout(&format!("{sign} -v 1 --confirm app.bin old.bin"));
    desk.stdout(&format!("{sign} -v 1 --confirm -x 0x1000c000 app.bin old.hex"));
    desk.stdout(&format!("{sign} -v 2 --pad app.bin new.bin"));
    desk.stdout(&format!("{sign} -v 2 --pad -x 0x1004c000 app.bin new.hex"));
    let mut flash = vec![0; 1 << 20];
    std::fs::write(desk.path("erased.bin"), &flash).unwrap();
    for (name, at) in [("old.bin", 0xc000), ("new.bin", 0x4c000)] {
        let image = std::fs::read(desk.path(name)).unwrap();
        flash[at..at + image.len()].copy_from_slice(&image);
    }
    std::fs::write(desk.path("flash.bin"), flash).unwrap();
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    let both = read("old.hex").replace(":00000001FF", "") + &read("new.hex");
    std::fs::write(desk.path("both.hex"), both).unwrap();

    let dump = "image inspect --dump-of virtual-erased0 -k key.pem";
    let whole = desk.json(&format!("{dump} flash.bin"));
    assert_eq!(whole["next_boot"]["outcome"]["starts"]["version"], "2.0.0+0");
    assert_eq!(desk.json(&format!("{dump} erased.bin --device internal=both.hex")), whole);
    assert_eq!(desk.json(&format!("{dump} both.hex")), whole);
}

#[test]
fn one_file_fills_every_device_that_is_mapped() {
    let desk = Desk::new("dumps-merged");
    let sign = "image sign --board virtual-factory -k key.pem";
    desk.stdout(&format!("{sign} -v 1 -x 0xc000 app.bin app.hex"));
    desk.stdout(&format!("{sign} -v 2 -x 0x18000000 app.bin factory.hex"));
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    let both = read("app.hex").replace(":00000001FF", "") + &read("factory.hex");
    std::fs::write(desk.path("all.hex"), both).unwrap();
    let said = desk.json("image inspect --dump-of virtual-factory -k key.pem all.hex");
    let version = |name: &str| {
        let mut slots = said["slots"].as_array().unwrap().iter();
        slots.find(|slot| slot["slot"] == name).unwrap()["version"].clone()
    };
    assert_eq!((version("primary"), version("factory")), ("1.0.0+0".into(), "2.0.0+0".into()));
    assert_eq!(said["next_boot"]["outcome"]["starts"]["version"], "1.0.0+0");
}

#[test]
fn what_cannot_be_priced_is_told() {
    let desk = Desk::new("dumps-unpriced");
    desk.stdout(&format!("{SIGN} app.bin old.bin"));
    desk.stdout(&format!("{SIGN} -s 1 app.bin new.bin"));
    let image = std::fs::read(desk.path("new.bin")).unwrap();
    std::fs::write(desk.path("cut.bin"), &image[..10_000]).unwrap();
    let line = "image diff --board virtual-nor-4k old.bin cut.bin";
    let said = desk.json(line);
    assert_eq!((&said["update"], &said["unpriced"]), (&Value::Null, &"cut.bin is damaged".into()));
    assert!(desk.stdout(line).contains("the update has no price: cut.bin is damaged"));
    std::fs::write(desk.path("big.bin"), vec![1; 255_000]).unwrap();
    desk.stdout("image sign -k key.pem -v 2 -H 0x200 -S 0x80000 --pad-header big.bin big.s.bin");
    let said = desk.json("image diff --board virtual-nor-4k old.bin big.s.bin");
    assert_eq!(said["update"], Value::Null);
    assert!(said["unpriced"].as_str().unwrap().contains("and the largest image is"), "{said:#}");
    let said = desk.json("image diff --board virtual-nor-4k old.bin new.bin");
    assert_eq!(said["unpriced"], Value::Null);
    assert!(said["update"]["erases"].as_u64() > Some(0));
}

/// Sectors are counted as far as the images go, not over the whole address space.
#[test]
fn sectors_may_be_small() {
    let desk = Desk::new("dumps-sectors");
    std::fs::write(desk.path("small.bin"), [1; 64]).unwrap();
    desk.stdout(&format!("{SIGN} small.bin small.s.bin"));
    let size = std::fs::metadata(desk.path("small.s.bin")).unwrap().len() as usize;
    let said = desk.json("image diff --sector-size 1 small.s.bin small.s.bin");
    assert_eq!(said["diff"]["sectors"].as_array().unwrap().len(), size);
}
