//! Updates with our own client, on every kind of virtual device.

use updraft_board::Board;

use crate::support::{Bench, HOST, SELF};

/// Tests an update, reverts it, tests it again, confirms it, and resets the device twice.
fn tour(bench: &Bench) {
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device_with(&old);

    device.try_out(&new);
    assert!(bench.slots().run(&new) && bench.slots().on_trial(), "{:?}", bench.slots());
    device.smp("os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&old) && bench.slots().confirmed(), "{:?}", bench.slots());

    device.try_out(&new);
    device.smp("image confirm").ok();
    assert!(bench.slots().run(&new) && bench.slots().confirmed(), "{:?}", bench.slots());
    for _ in 0..2 {
        device.smp("os reset").ok();
        device.starts("1.1.0");
    }
    assert!(bench.slots().run(&new) && bench.slots().confirmed(), "{:?}", bench.slots());
}

#[test]
fn every_virtual_board_is_updated_reverted_and_confirmed() {
    let boards = updraft_board::built_in().filter(|name| name.starts_with("virtual-"));
    let boards: Vec<_> = boards.collect();
    let mut done = 0;
    for name in &boards {
        let bench = Bench::with_board(&format!("tour-{name}"), name);
        if !bench.board().mode().swaps() {
            println!("{name} left out: {} has no trial", bench.board().mode());
            continue;
        }
        // No machine has this address, so that this always ends.
        let line = format!("device run --board {name} --key key.pem --udp 192.0.2.1:1");
        let started = bench.updraft(&line);
        if started.err.contains("cannot do") {
            println!("{name} left out: {}", started.err.lines().next().unwrap_or_default());
            continue;
        }
        tour(&bench);
        done += 1;
    }
    println!("updates on virtual boards: {done} of {}", boards.len());
    assert!(done > 0);
}

/// With a status area: what it tells of the images that were there before is gone.
#[test]
fn a_used_device_that_is_programmed_anew_starts_like_a_new_one() {
    let bench = Bench::with_board("anew", "virtual-psoc6-status");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device_with(&old);
    device.try_out(&new);
    assert!(bench.slots().run(&new) && bench.slots().on_trial(), "{:?}", bench.slots());
    device.kill();

    let newest = bench.image("2.0.0", SELF);
    let device = bench.device_with(&newest);
    for _ in 0..2 {
        assert!(bench.slots().run(&newest) && !bench.slots().on_trial(), "{:?}", bench.slots());
        device.smp("os reset").ok();
        device.starts("2.0.0");
    }
    device.try_out(&new);
    device.smp("os reset").ok();
    device.starts("2.0.0");
    device.try_out(&new);
    device.smp("image confirm").ok();
    device.smp("os reset").ok();
    device.starts("1.1.0");
    assert!(bench.slots().run(&new) && bench.slots().confirmed(), "{:?}", bench.slots());
}

#[test]
fn overwriting_is_for_good() {
    for board in ["virtual-overwrite", "virtual-psoc6", "virtual-factory"] {
        let bench = Bench::with_board(&format!("overwrite-{board}"), board);
        let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
        let device = bench.device_with(&old);
        device.try_out(&new);
        device.smp("os reset").ok();
        device.starts("1.1.0");
        assert!(bench.slots().run(&new), "{board}");
    }
}

/// The image on the wire is a fraction of what runs in the end.
#[test]
fn a_compressed_update_is_decompressed_on_its_way_in() {
    let bench = Bench::with_board("compressed", "virtual-overwrite");
    let old = bench.image("1.0.0", SELF);
    let text = format!("updraft-app 1\nname = blinky\n{HOST}\0");
    let mut body = text.into_bytes();
    body.extend((0..40_000u32).map(|at| (at / 300) as u8));
    let new = bench.signed("1.1.0", &body, "-k key.pem --compression lzma2");
    assert!(new.bytes.len() < body.len() / 10, "{} bytes", new.bytes.len());
    let device = bench.device_with(&old);
    device.try_out(&new);
    let runs = bench.area("primary");
    let start = runs.windows(body.len()).position(|window| window == body);
    assert!(start.is_some(), "decompressed into the primary slot");
}

/// What is on the wire and in the secondary slot nobody can read; what runs is in plaintext.
#[test]
fn an_encrypted_update_is_decrypted_on_its_way_in_and_encrypted_on_its_way_out() {
    let bench = Bench::with_board("encrypted", "virtual-encrypted");
    bench.updraft("key new --type x25519 device.pem").ok();
    bench.updraft("key new --type x25519 other.pem").ok();
    let body = |name: &str, app: &str| {
        let text = format!("updraft-app 1\nname = {name}\n{app}\0");
        [text.into_bytes(), vec![0x5a; 20_000]].concat()
    };
    let signed = |version: &str, app: &str, options: &str| {
        bench.signed(version, &body("secretive", app), &format!("-k key.pem {options}"))
    };
    let old = signed("1.0.0", SELF, "-E device.pem --clear");
    let new = signed("1.1.0", HOST, "-E device.pem");
    let strange = signed("1.2.0", HOST, "-E other.pem");
    let device = bench.device().load("primary", &old).decrypting_with("device.pem").start();
    device.wait("app: self-test passed");
    let readable = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"secretive");

    device.try_out(&new);
    assert!(readable(&bench.area("primary")));
    assert!(!readable(&bench.area("secondary")), "the old image, encrypted again");
    device.smp("os reset").ok();
    device.starts("1.0.0");
    assert!(!readable(&bench.area("secondary")));

    device.smp(&format!("image upload {}", strange.file)).ok();
    let refused = device.smp(&format!("image test {}", strange.file)).fails(1);
    assert!(refused.contains("does not verify"), "{refused}");
}

#[test]
fn a_permanent_update_skips_the_trial() {
    let bench = Bench::new("permanent");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device_with(&old);
    device.smp(&format!("image upload {}", new.file)).ok();
    let listed = device.smp(&format!("--json image confirm {}", new.file)).json();
    assert_eq!(listed["images"][1]["permanent"], true);
    assert_eq!(bench.slots().secondary(), "magic, permanent, image_ok");
    device.smp("os reset").ok();
    device.starts("1.1.0");
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
    assert!(bench.slots().hold(&old), "the old image is kept");
}

#[test]
fn erasing_the_other_slot_takes_a_pending_test_back() {
    let bench = Bench::new("take-back");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device_with(&old);
    device.smp(&format!("image upload {}", new.file)).ok();
    device.smp(&format!("image test {}", &new.hash[..12])).ok();
    assert_eq!(bench.slots().secondary(), "magic, test");
    device.smp("image erase").ok();
    assert!(bench.area("secondary").iter().all(|byte| *byte == 0xff));
    device.smp("os reset").ok();
    device.starts("1.0.0");
}

#[test]
fn what_is_there_already_is_not_sent_again() {
    let bench = Bench::new("again");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device_with(&old);

    let said = device.smp(&format!("image upload {}", old.file)).ok();
    assert!(said.contains("runs this image already: nothing sent"), "{said}");
    let first = device.smp(&format!("--json image upload {}", new.file)).json();
    assert_eq!((&first["finding"], &first["sent"]), (&"clear".into(), &true.into()));
    assert_eq!(first["verified"], true);
    let second = device.smp(&format!("--json image upload {}", new.file)).json();
    assert_eq!((&second["finding"], &second["sent"]), (&"uploaded".into(), &false.into()));
    let said = device.smp(&format!("image upload {}", new.file)).ok();
    assert!(said.contains("on the device already, whole: nothing sent"), "{said}");

    // Asked to, the client insists; the device finds that it holds every byte, or takes the copy
    // of what it runs, which cannot be tested.
    let third = device.smp(&format!("--json image upload --again {}", new.file)).json();
    assert_eq!((&third["sent"], &third["verified"]), (&false.into(), &true.into()));
    device.smp(&format!("image upload --again {}", old.file)).ok();
    assert!(bench.slots().run(&old) && bench.slots().hold(&old));
    device
        .smp(&format!("image test {}", old.file))
        .complains(&["this image is the running one", "group 1, rc 33"]);
    assert_eq!(bench.slots().secondary(), "erased");
}

#[test]
fn confirming_what_is_confirmed_changes_nothing() {
    let bench = Bench::new("confirmed");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device_with(&image);
    let before = std::fs::read(bench.path("dev.flash")).unwrap();
    device.smp("image confirm").ok();
    device.smp(&format!("image confirm {}", image.hash)).ok();
    assert_eq!(std::fs::read(bench.path("dev.flash")).unwrap(), before);
}

#[test]
fn the_client_shows_what_the_device_is() {
    let bench = Bench::new("shows");
    let device = bench.device_with(&bench.image("1.0.0+7", SELF));
    assert_eq!(device.smp("os echo hëllo").ok(), "hëllo\n");
    assert_eq!(device.smp("os params").ok(), "8 buffers of 2048 bytes\n");
    assert_eq!(device.smp("os info ni").ok(), "blinky virtual-nor-4k\n");
    assert_eq!(device.smp("os bootloader").ok(), "MCUboot, swap-move\n");
    let slots = device.smp("image slots").ok();
    assert!(slots.contains("image 0 slot 1: 256 KiB, images up to 248 KiB"), "{slots}");
    let listed = device.smp("--json image list").json();
    assert_eq!(listed["images"][0]["version"], "1.0.0.7");
    assert_eq!(listed["images"][0]["active"], true);
    assert_eq!(Board::load("virtual-nor-4k").unwrap().capacity(0).max_image, 248 * 1024);
}
