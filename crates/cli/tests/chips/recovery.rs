//! Serial recovery of a real bootloader.

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, MICROBIT_RECOVERY, MPS2, SF2};
use crate::story::{HOST, running};

fn an_empty_chip_is_filled_over_its_serial_line(chip: Chip) {
    let Some(bench) = Bench::new(chip, "empty") else { return };
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

fn an_application_can_be_sent_back_into_recovery(chip: Chip) {
    let Some(bench) = Bench::new(chip, "boot-mode") else { return };
    let (chip, _) = running(&bench);
    chip.smp(&["os", "reset", "--boot-mode", "1"]).ok();
    chip.wait("boot: serial recovery");
    let listed = chip.smp(&["image", "list"]).ok();
    assert!(listed.contains("1.0.0"), "{listed}");
    // The wish counts once.
    chip.smp(&["os", "reset"]).ok();
    chip.wait("app: self-test passed");
}

fn smpmgr_fills_an_empty_chip(chip: Chip) {
    let Some(bench) = Bench::new(chip, "empty-smpmgr") else { return };
    let image = bench.image("1.0.0", HOST);
    let chip = bench.start();
    chip.wait("boot: serial recovery");
    let Some(said) = chip.smpmgr(&["image", "upload", image.path.to_str().unwrap()]) else {
        return;
    };
    said.ok();
    chip.smpmgr(&["os", "reset"]).unwrap().ok();
    chip.wait("boot: starting 1.0.0");
    chip.cut();
    assert!(bench.holds(Role::Primary, &image));
}

macro_rules! on {
    ($chip:ident, $constant:expr) => {
        mod $chip {
            use super::*;

            #[test]
            fn an_empty_chip_is_filled_over_its_serial_line() {
                super::an_empty_chip_is_filled_over_its_serial_line($constant);
            }

            #[test]
            fn an_application_can_be_sent_back_into_recovery() {
                super::an_application_can_be_sent_back_into_recovery($constant);
            }

            #[test]
            fn smpmgr_fills_an_empty_chip() {
                super::smpmgr_fills_an_empty_chip($constant);
            }
        }
    };
}

on!(mps2_an386, MPS2);
on!(microbit_recovery, MICROBIT_RECOVERY);

#[test]
fn an_empty_chip_whose_images_run_from_ram_is_filled_over_its_serial_line() {
    an_empty_chip_is_filled_over_its_serial_line(SF2);
}

#[test]
fn the_button_held_at_a_reset_leads_into_recovery() {
    let Some(bench) = Bench::new(MICROBIT_RECOVERY, "button") else { return };
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let chip = bench.start_paused();
    chip.press(true);
    chip.machine().resume().unwrap();
    chip.wait("boot: serial recovery");
    chip.press(false);
    let new = bench.image("2.0.0", HOST);
    chip.smp(&["image", "upload", new.path.to_str().unwrap()]).ok();
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 2.0.0");
    chip.cut();
    assert!(bench.holds(Role::Primary, &new));
}

/// Half an image is none: a chip that loses its power while it is filled waits in recovery again.
#[test]
fn a_chip_killed_while_it_is_filled_waits_again() {
    let Some(bench) = Bench::new(MICROBIT_RECOVERY, "killed") else { return };
    let mut chance = Chance::new();
    let image = bench.image("1.0.0", HOST);
    let path = image.path.to_str().unwrap();
    for _ in 0..4 {
        let chip = bench.start();
        chip.wait("boot: serial recovery");
        let mut client = chip.smp_begun(&["image", "upload", path]);
        std::thread::sleep(std::time::Duration::from_millis(300 + chance.below(1500)));
        chip.cut();
        let _ = client.kill();
        let _ = client.wait();
        if bench.holds(Role::Primary, &image) {
            // It was faster than the cut.
            bench.provision(&image);
            bench.put(Role::Primary, 0, &[0; 4]);
        }
    }
    let chip = bench.start();
    chip.wait("boot: serial recovery");
    chip.smp(&["image", "upload", path]).ok();
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &image));
}
