//! Power cuts: the emulator is killed, and started again on the flash that it leaves.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, MICROBIT, MICROBIT_OFFSET, MICROBIT_SCRATCH, MPS2};
use crate::story::{HOST, running};

/// Bytes that are each version's own.
const TAIL: usize = 24 * 1024;

fn a_chip_killed_during_a_swap_always_comes_back(chip: Chip, longest_ms: u64) {
    let Some(bench) = Bench::new(chip, "killed-in-swap") else { return };
    let mut chance = Chance::new();
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, TAIL));
    let (mut lives, mut swaps, mut resumed) = (0, 0, 0);
    while swaps < 8 {
        bench.provision(&old);
        bench.request(&new.bytes, true);
        for _ in 0..4 {
            let chip = bench.start();
            std::thread::sleep(Duration::from_millis(chance.below(longest_ms)));
            chip.cut();
            lives += 1;
        }
        let chip = bench.start();
        chip.wait("boot: starting 2.0.0");
        chip.wait("app: self-test passed");
        resumed += usize::from(chip.printed().contains("interrupted"));
        chip.cut();
        assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old));
        swaps += 1;
    }
    println!("{lives} cuts in {swaps} swaps, {resumed} of which the last boot had to finish");
}

#[test]
fn a_large_chip_killed_during_a_swap_always_comes_back() {
    a_chip_killed_during_a_swap_always_comes_back(MPS2, 150);
}

#[test]
fn a_small_chip_killed_during_a_swap_always_comes_back() {
    a_chip_killed_during_a_swap_always_comes_back(MICROBIT, 600);
}

/// An upgrade over the line, from the upload to the confirmation, on a chip that loses its power at any
/// moment of it: every life begins with an image that runs, and in the end there is the new one.
#[test]
fn a_chip_killed_at_any_moment_of_an_upgrade_always_runs_something() {
    let Some(bench) = Bench::new(MPS2, "killed-in-upgrade") else { return };
    let mut chance = Chance::new();
    let (chip, _) = running(&bench);
    chip.cut();
    let new = bench.image_with_tail("2.0.0", HOST, TAIL);
    let path = new.path.to_str().unwrap();
    let (mut before, mut after) = (0, 0);
    for _ in 0..12 {
        let chip = bench.start();
        chip.wait("app: self-test passed");
        let printed = chip.printed();
        match printed.contains("app: blinky 2.0.0") {
            true => after += 1,
            false => {
                before += 1;
                assert!(printed.contains("app: blinky 1.0.0"), "{printed}");
            }
        }
        let mut client = chip.smp_begun(&["upgrade", path]);
        std::thread::sleep(Duration::from_millis(chance.below(9000)));
        chip.cut();
        let _ = client.kill();
        let _ = client.wait();
    }
    let chip = bench.start();
    chip.wait("app: self-test passed");
    chip.smp(&["upgrade", path]).ok();
    chip.cut();
    let chip = bench.start();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
    println!("12 lives began with the old image {before} times, with the new one {after} times");
}

#[test]
fn a_chip_killed_during_an_upload_goes_on() {
    let Some(bench) = Bench::new(MPS2, "killed-in-upload") else { return };
    let mut chance = Chance::new();
    let (chip, old) = running(&bench);
    chip.cut();
    let new = bench.image("2.0.0", HOST);
    let path = new.path.to_str().unwrap();
    for _ in 0..4 {
        let chip = bench.start();
        chip.wait("boot: starting 1.0.0");
        chip.wait("app: self-test passed");
        let mut client = chip.smp_begun(&["image", "upload", path]);
        std::thread::sleep(Duration::from_millis(300 + chance.below(3000)));
        chip.cut();
        let _ = client.kill();
        let _ = client.wait();
        assert!(bench.holds(Role::Primary, &old));
    }
    let chip = bench.start();
    chip.wait("app: self-test passed");
    chip.smp(&["image", "upload", path]).ok();
    chip.smp(&["image", "test", path]).ok();
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
}

/// The registers and the flash that a swap writes to on `microbit`.
const ERASE: (u32, u32) = (0x4001_e508, 4);
const SLOTS: (u32, u32) = (0xc000, 0x34000);
/// How long the chip may take from one write to the next.
const PATIENCE: Duration = Duration::from_secs(5);

/// Cuts the power before any one erase or store of a swap, wherever chance has it.
fn a_cut_before_any_write_ends_well(chip: Chip) {
    let Some(bench) = Bench::new(chip, "before-any-write") else { return };
    let mut chance = Chance::new();
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, TAIL));
    let mut told = Vec::new();
    for _ in 0..CUTS {
        bench.provision(&old);
        bench.request(&new.bytes, true);
        let chip = bench.start_paused();
        let run = |places: &[(u32, u32)]| chip.machine().run_to_store(places, PATIENCE).unwrap();
        let erases = chance.below(60);
        let begun = (0..=erases).all(|_| run(&[ERASE]));
        // A sector is written by 256 stores.
        let stores = if begun { chance.below(300) } else { 0 };
        for _ in 0..stores {
            run(&[ERASE, SLOTS]);
        }
        chip.cut();
        told.push(format!("{erases}+{stores}"));

        let chip = bench.start();
        chip.wait("boot: starting 2.0.0");
        chip.wait("app: self-test passed");
        chip.cut();
        assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old), "{told:?}");
    }
    println!("{CUTS} cuts, before erase + store: {}", told.join(" "));
}

/// Cuts in each mode.
const CUTS: usize = 8;

#[test]
fn a_swap_by_moving_survives_a_cut_before_any_write() {
    a_cut_before_any_write_ends_well(MICROBIT);
}

#[test]
fn a_swap_by_offset_survives_a_cut_before_any_write() {
    a_cut_before_any_write_ends_well(MICROBIT_OFFSET);
}

#[test]
fn a_swap_through_scratch_survives_a_cut_before_any_write() {
    a_cut_before_any_write_ends_well(MICROBIT_SCRATCH);
}
