//! Serial recovery of a real bootloader.

use updraft_board::Role;

use crate::bench::{Bench, MPS2};
use crate::story::{HOST, running};

#[test]
fn an_empty_chip_is_filled_over_its_serial_line() {
    let Some(bench) = Bench::new(MPS2, "empty") else { return };
    let image = bench.image("1.0.0", HOST);
    let chip = bench.start();
    chip.wait("boot: serial recovery");
    chip.smp(&["image", "upload", image.path.to_str().unwrap()]).ok();
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &image));
}

#[test]
fn an_application_can_be_sent_back_into_recovery() {
    let Some(bench) = Bench::new(MPS2, "boot-mode") else { return };
    let (chip, _) = running(&bench);
    chip.smp(&["os", "reset", "--boot-mode", "1"]).ok();
    chip.wait("boot: serial recovery");
    let listed = chip.smp(&["image", "list"]).ok();
    assert!(listed.contains("1.0.0"), "{listed}");
    // The wish counts once.
    chip.smp(&["os", "reset"]).ok();
    chip.wait("app: self-test passed");
}
