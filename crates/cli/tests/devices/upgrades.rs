//! `updraft smp upgrade`: from a file to a device that runs it, in one command.

use crate::support::{Bench, Device, HOST, Image, SELF};

/// A device that runs 1.0.0, and an update for it.
fn offered(name: &str, app: &str) -> (Bench, Device, Image, Image) {
    let bench = Bench::new(name);
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", app));
    let device = bench.device_with(&old);
    (bench, device, old, new)
}

#[test]
fn an_upgrade_ends_with_the_new_image_confirmed_and_is_not_done_twice() {
    let (bench, device, old, new) = offered("upgrade", HOST);
    let said = device.smp(&format!("upgrade {}", new.file)).ok();
    for part in
        ["runs 1.0.0, is to run 1.1.0", "1.1.0 boots next, on trial", "back after", "for good"]
    {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    assert!(bench.slots().run(&new) && bench.slots().confirmed() && bench.slots().hold(&old));

    let before = bench.area("primary");
    let said = device.smp(&format!("upgrade {}", new.file)).ok();
    assert!(said.contains("nothing to do"), "{said}");
    assert_eq!(bench.area("primary"), before);
    device.smp("os reset").ok();
    device.starts("1.1.0");
    assert!(bench.slots().run(&new));
}

#[test]
fn every_mode_that_swaps_or_overwrites_is_upgraded() {
    for board in
        ["virtual-overwrite", "virtual-offset", "virtual-nor-scratch", "virtual-psoc6-status"]
    {
        let bench = Bench::with_board(&format!("upgrade-{board}"), board);
        let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
        let device = bench.device_with(&old);
        let said = device.smp(&format!("--json upgrade {} --wait 60", new.file)).json();
        assert_eq!(said["ending"], "confirmed", "{board}: {said}");
        assert_eq!(said["images"][0]["hash"], *new.hash, "{board}");
        assert!(bench.slots().run(&new), "{board}");
    }
}

/// Where the highest version runs, there is nothing to ask for; and it runs from where it is.
#[test]
fn slots_of_equal_rank_are_upgraded_in_turns() {
    for board in ["virtual-xip", "virtual-xip-revert"] {
        let bench = Bench::with_board(&format!("upgrade-{board}"), board);
        let device = bench.device_with(&bench.image("1.0.0", SELF));
        for (version, slot) in [("1.1.0", 1), ("1.2.0", 0)] {
            let new = bench.image(version, HOST);
            let said = device.smp(&format!("--json upgrade {} --wait 30", new.file)).json();
            assert_eq!(said["ending"], "confirmed", "{board}: {said}");
            let listed = device.smp("--json image list").json();
            let active = |image: &&serde_json::Value| image["active"] == true;
            let active = listed["images"].as_array().unwrap().iter().find(active).unwrap();
            assert_eq!(
                (&active["hash"], &active["slot"]),
                (&new.hash.into(), &slot.into()),
                "{board}"
            );
        }
    }
}

#[test]
fn an_image_left_on_trial_goes_at_the_next_reset_or_is_confirmed_by_the_next_upgrade() {
    let (bench, device, old, new) = offered("upgrade-trial", HOST);
    let trial = format!("upgrade {} --no-confirm", new.file);
    let said = device.smp(&trial).ok();
    assert!(said.contains("goes back at its next reset"), "{said}");
    assert!(bench.slots().run(&new) && bench.slots().on_trial());
    device.smp("os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&old));

    let said = device.smp(&trial).ok();
    assert!(said.contains("was on the device already"), "{said}");
    assert!(bench.slots().on_trial());
    let said = device.smp(&format!("upgrade {}", new.file)).ok();
    assert!(said.contains("1.1.0 runs on trial") && said.contains("for good"), "{said}");
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
}

#[test]
fn an_upgrade_that_was_broken_off_is_taken_up_where_it_stopped() {
    let (bench, device, _, new) = offered("upgrade-again", HOST);
    device.smp(&format!("image upload {}", new.file)).ok();
    device.smp(&format!("image test {}", new.file)).ok();
    let said = device.smp(&format!("upgrade {}", new.file)).ok();
    assert!(said.contains("1.1.0 boots next") && !said.contains("upload"), "{said}");
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
}

#[test]
fn what_stands_in_the_way_is_told_before_a_byte_is_sent() {
    let (bench, device, old, new) = offered("upgrade-refused", HOST);
    let newer = bench.image("1.2.0", HOST);
    let older = bench.image("0.9.0", HOST);
    let upgrade = |file: &str| device.smp(&format!("upgrade {file}"));
    upgrade(&older.file).complains(&["older than what runs: 0.9.0", "1.0.0", "--downgrade"]);
    upgrade("key.pem").complains(&["no signed image"]);
    device.smp(&format!("upgrade {} {}", new.file, newer.file)).fails(2);
    let cut = bench.file("cut.bin", &new.bytes[..new.bytes.len() - 40]);
    upgrade(&cut).complains(&["cut.bin is not sent", "TLVs"]);
    assert!(bench.area("secondary").iter().all(|byte| *byte == 0xff));

    device.smp(&format!("image upload {}", new.file)).ok();
    device.smp(&format!("image test {}", new.file)).ok();
    upgrade(&newer.file).complains(&["another image is to boot next: 1.1.0", "image erase"]);
    device.smp("os reset").ok();
    device.starts("1.1.0");
    upgrade(&newer.file).complains(&["the device runs 1.1.0 on trial"]);
    device.smp("os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&old));
    device.smp(&format!("upgrade {} --downgrade", older.file)).ok();
    assert!(bench.slots().run(&older) && bench.slots().confirmed());
}

#[test]
fn an_image_that_does_not_stay_is_told_from_one_that_does() {
    let (bench, device, old, new) =
        offered("upgrade-back", "self-test = crash\nself-test-ms = 0\n");
    let said = device.smp(&format!("upgrade {} --wait 30", new.file)).fails(1);
    assert!(said.contains("the device runs 1.0.0: 1.1.0 was refused"), "{said}");
    assert!(bench.slots().run(&old) && bench.slots().confirmed());
}

#[test]
fn a_permanent_upgrade_has_no_trial() {
    let (bench, device, _, new) = offered("upgrade-permanent", HOST);
    let said = device.smp(&format!("upgrade {} --permanent", new.file)).ok();
    assert!(said.contains("1.1.0 boots next, for good"), "{said}");
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
}
