//! An update from the upload to the confirmed application, and every way back.

use std::time::{Duration, Instant};

use updraft_board::Role;

use crate::bench::{
    Bench, Chip, Image, MICROBIT, MICROBIT_OFFSET, MICROBIT_SCRATCH, MPS2, MPS2_EXTERNAL,
    MPS2_UPGRADE, Powered, SF2,
};

/// Waits for the host to confirm it.
pub const HOST: &str = "confirm = host\nself-test-ms = 50\n";

/// A chip that runs 1.0.0, and its image.
pub fn running(bench: &Bench) -> (Powered<'_>, Image) {
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let chip = bench.start();
    chip.wait("app: self-test passed");
    (chip, old)
}

/// Uploads an image and asks for it to be tested.
fn upload_and_test(chip: &Powered<'_>, image: &Image) {
    let path = image.path.to_str().unwrap();
    chip.smp(&["image", "upload", path]).ok();
    chip.smp(&["image", "test", path]).ok();
}

fn reset(chip: &Powered<'_>, version: &str) {
    chip.smp(&["os", "reset"]).ok();
    chip.wait(&format!("boot: starting {version}"));
    chip.wait("app: self-test passed");
}

fn an_update_is_tested_and_confirmed(chip: Chip) {
    let Some(bench) = Bench::new(chip, "confirmed") else { return };
    let (chip, old) = running(&bench);
    let new = bench.image("2.0.0", HOST);
    upload_and_test(&chip, &new);
    reset(&chip, "2.0.0");
    chip.smp(&["image", "confirm"]).ok();
    reset(&chip, "2.0.0");
    let listed = chip.smp(&["image", "list"]).ok();
    assert!(listed.contains("active, confirmed"), "{listed}");
    chip.cut();
    assert!(bench.is_updated(&new, &old));
    bench.start().wait("boot: starting 2.0.0");
}

fn what_nobody_confirms_is_reverted(chip: Chip) {
    let Some(bench) = Bench::new(chip, "reverted") else { return };
    let (chip, old) = running(&bench);
    let new = bench.image("2.0.0", HOST);
    upload_and_test(&chip, &new);
    reset(&chip, "2.0.0");
    chip.smp(&["os", "reset"]).ok();
    chip.wait(bench.chip.reverted());
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &old) && bench.holds(Role::Secondary, &new));
}

/// An update that ends like this comes back without anybody's help.
fn goes_back(chip: Chip, test: &str, says: &str) {
    let Some(bench) = Bench::new(chip, test) else { return };
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let new = bench.image("2.0.0", &format!("self-test = {test}\nself-test-ms = 50\n"));
    bench.request(&new.bytes, false);
    let chip = bench.start();
    chip.wait("boot: starting 2.0.0");
    chip.wait(says);
    chip.wait(bench.chip.reverted());
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
}

fn a_tampered_image_is_refused(chip: Chip) {
    let Some(bench) = Bench::new(chip, "tampered") else { return };
    let (chip, old) = running(&bench);
    let new = bench.image("2.0.0", HOST);
    let mut bad = new.bytes.clone();
    bad[0x1000] ^= 1;
    let path = new.path.with_extension("bad");
    std::fs::write(&path, &bad).unwrap();
    let path = path.to_str().unwrap();

    // Our client does not even send it …
    let said = chip.smp(&["image", "upload", path]).refused();
    assert!(said.contains("damaged") || said.contains("hash"), "{said}");
    // … smpmgr does, and the application says no when it is asked for …
    if let Some(said) = chip.smpmgr(&["image", "upload", path]) {
        said.ok();
        let listed = chip.smp(&["image", "list", "--json"]).ok();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let hash = listed["images"][1]["hash"].as_str().unwrap();
        let said = chip.smp(&["image", "test", hash]).refused();
        assert!(said.contains("damaged"), "{said}");
    }
    chip.cut();

    // … and the bootloader believes nobody.
    let other = format!("vectors/mcuboot/keys/{}-other.pem", bench.scheme());
    let other = bench.signed_with(&other, "3.0.0", HOST);
    for (image, why) in [(&bad, "hash"), (&other.bytes, "key")] {
        bench.request(image, true);
        let chip = bench.start();
        chip.wait(bench.chip.refused());
        chip.wait("boot: starting 1.0.0");
        chip.wait("app: self-test passed");
        let printed = chip.printed();
        assert!(printed.contains(why), "{printed}");
        chip.cut();
        assert!(bench.holds(Role::Primary, &old));
        let slot = bench.slot(Role::Secondary);
        assert!(slot[bench.update_start()..].starts_with(&[0xff; 32]), "its image is gone");
    }
}

fn smpmgr_updates_the_chip(chip: Chip) {
    let Some(bench) = Bench::new(chip, "smpmgr") else { return };
    let (chip, _) = running(&bench);
    let new = bench.image("2.0.0", HOST);
    let path = new.path.to_str().unwrap();
    let Some(said) = chip.smpmgr(&["image", "upload", path]) else { return };
    said.ok();
    let hash = bench.updraft(&["image", "inspect", path, "--json"]).ok();
    let hash: serde_json::Value = serde_json::from_str(&hash).unwrap();
    let hash = hash["hash"]["stored"].as_str().unwrap();
    let smpmgr = |args: &[&str]| chip.smpmgr(args).unwrap().ok();
    smpmgr(&["image", "state-write", hash]);
    smpmgr(&["os", "reset"]);
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
    smpmgr(&["image", "state-write", "--confirm"]);
    let listed = smpmgr(&["image", "state-read"]);
    assert!(listed.contains("2.0.0") && listed.contains("confirmed=True"), "{listed}");
    chip.cut();
    bench.start().wait("boot: starting 2.0.0");
}

/// The LED changes as often as each flavour of the application has it.
fn the_led_blinks(chip: Chip, register: u32, mask: u32) {
    let Some(bench) = Bench::new(chip, "led") else { return };
    for ms in [1000, 250] {
        let app = bench.image("1.0.0", &format!("blink-ms = {ms}\n"));
        the_led_of(&bench, &app, ms, (register, mask));
    }
}

/// The LED changes every `ms` milliseconds while this application runs.
fn the_led_of(bench: &Bench, app: &Image, ms: u64, (register, mask): (u32, u32)) {
    bench.provision(app);
    let chip = bench.start();
    chip.wait("app: self-test passed");
    let lit = || {
        let bytes = chip.machine().read(register, 4).unwrap();
        u32::from_le_bytes(bytes.try_into().unwrap()) & mask != 0
    };
    let changed = || {
        let was = lit();
        let begun = Instant::now();
        while lit() == was {
            assert!(begun.elapsed() < Duration::from_secs(30), "the LED does not change");
            // The chip stands still while it is looked at.
            std::thread::sleep(Duration::from_millis(20));
        }
        Instant::now()
    };
    // A busy host delays what is seen, now and then; most of it is in time.
    let mut moments = vec![changed()];
    (0..5).for_each(|_| moments.push(changed()));
    let mut gaps: Vec<_> =
        moments.windows(2).map(|two| (two[1] - two[0]).as_millis() as u64).collect();
    gaps.sort_unstable();
    let middle = gaps[gaps.len() / 2];
    assert!((ms * 3 / 4..ms * 3 / 2).contains(&middle), "{ms} ms, seen {gaps:?}");
}

/// The same story on every chip.
macro_rules! on {
    // The light is something that a debugger can see, but on boards without one.
    ($chip:ident, $constant:expr $(, $led:expr)?) => {
        mod $chip {
            use super::*;

            #[test]
            fn an_update_is_tested_and_confirmed() {
                super::an_update_is_tested_and_confirmed($constant);
            }

            #[test]
            fn what_nobody_confirms_is_reverted() {
                super::what_nobody_confirms_is_reverted($constant);
            }

            #[test]
            fn an_update_that_crashes_is_reverted() {
                goes_back($constant, "crash", "app: blinky 2.0.0");
            }

            #[test]
            fn an_update_that_fails_its_self_test_is_reverted() {
                goes_back($constant, "fail", "app: self-test failed");
            }

            #[test]
            fn a_tampered_image_is_refused() {
                super::a_tampered_image_is_refused($constant);
            }

            #[test]
            fn smpmgr_updates_the_chip() {
                super::smpmgr_updates_the_chip($constant);
            }

            $(
                #[test]
                fn the_led_blinks_as_the_flavours_have_it() {
                    let (register, mask) = $led;
                    the_led_blinks($constant, register, mask);
                }
            )?
        }
    };
}

on!(mps2_an386, MPS2, (0x4002_f004, 1));
on!(mps2_an386_external, MPS2_EXTERNAL, (0x4002_f004, 1));
on!(microbit, MICROBIT, (0x5000_0504, 1 << 13));
on!(microbit_offset, MICROBIT_OFFSET, (0x5000_0504, 1 << 13));
on!(microbit_scratch, MICROBIT_SCRATCH, (0x5000_0504, 1 << 13));
on!(emcraft_sf2, SF2);

/// What `UPDRAFT_APP` asks the build for, and nothing: the two flavours of the application, as they come.
#[test]
fn the_two_flavours_blink_as_they_are_built() {
    for (chip, ms) in [(MPS2, 1000), (MPS2_UPGRADE, 250)] {
        let Some(bench) = Bench::new(chip, &format!("flavour-{ms}")) else { return };
        let app = bench.as_built("1.0.0");
        the_led_of(&bench, &app, ms, (0x4002_f004, 1));
    }
}

#[test]
fn an_update_that_hangs_is_reverted_by_the_watchdog() {
    goes_back(MPS2, "hang", "app: hangs");
}

/// QEMU has no watchdog there: that the bootloader starts it is seen by what it writes, and the reset
/// comes from outside.
#[test]
fn a_microbit_starts_its_watchdog_and_an_update_that_hangs_is_reverted() {
    // Start, and the time in ticks of 32768 Hz.
    const START: u32 = 0x4001_0000;
    const RELOAD_VALUE: u32 = 0x4001_0504;
    let Some(bench) = Bench::new(MICROBIT, "hang") else { return };
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let new = bench.image("2.0.0", "self-test = hang\nself-test-ms = 50\n");
    bench.request(&new.bytes, false);
    let chip = bench.start_paused();
    for register in [RELOAD_VALUE, START] {
        let written = chip.machine().run_to_store(&[(register, 4)], Duration::from_secs(60));
        assert!(written.unwrap(), "nobody writes to {register:#x}");
    }
    chip.machine().resume().unwrap();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: hangs");
    chip.machine().reset().unwrap();
    chip.wait("boot: image under test not confirmed: reverted");
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
}

/// Nor has it one there; the image, which is in RAM, is simply not started again.
#[test]
fn an_sf2_starts_its_watchdog_and_an_update_that_hangs_is_reverted() {
    // Start, and the first feed.
    const START: u32 = 0x4003_806c;
    const FEED: u32 = 0x4000_500c;
    let Some(bench) = Bench::new(SF2, "hang") else { return };
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let new = bench.image("2.0.0", "self-test = hang\nself-test-ms = 50\n");
    bench.request(&new.bytes, false);
    let chip = bench.start_paused();
    for register in [START, FEED] {
        let written = chip.machine().run_to_store(&[(register, 4)], Duration::from_secs(60));
        assert!(written.unwrap(), "nobody writes to {register:#x}");
    }
    chip.machine().resume().unwrap();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: hangs");
    chip.machine().reset().unwrap();
    chip.wait(bench.chip.reverted());
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
}
