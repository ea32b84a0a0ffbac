//! Images on SPI flash that run from RAM: what becomes of the copy of a bad one, the power cut between
//! any two transfers of a boot, a flash chip that nobody knows, and none at all.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Mark, Powered, SF2};
use crate::story::HOST;

/// Where images run, and bytes that a test puts behind one.
const RAM: u32 = 0xa000_0000;
const TAIL: usize = 24 * 1024;
/// Written twice for each transfer: before it, and when it begins.
const CONTROL: (u32, u32) = (0x4000_1000, 4);
/// How long the chip may take from one transfer to the next.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is left in the memory for images behind `image`, and as long as one with a tail.
fn behind(chip: &Powered<'_>, image: usize) -> Vec<u8> {
    chip.machine().read(RAM + image as u32, TAIL / 2).unwrap()
}

#[test]
fn nothing_is_left_in_memory_of_an_image_that_was_refused() {
    let Some(bench) = Bench::new(SF2, "wiped") else { return };
    let old = bench.image("1.0.0", HOST);
    let mut new = bench.image_with_tail("2.0.0", HOST, TAIL);
    bench.provision(&old);
    // One that is good is there as a whole …
    bench.request(&new.bytes, false);
    let chip = bench.start();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
    let len = old.bytes.len().next_multiple_of(4);
    assert_eq!(behind(&chip, len), new.bytes[len..len + TAIL / 2]);
    chip.cut();

    // … and of one that was tampered with, not a byte.
    new.bytes[0x1000] ^= 1;
    bench.provision(&old);
    bench.request(&new.bytes, false);
    let chip = bench.start();
    chip.wait("boot: area 2 left out: ");
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    assert!(behind(&chip, len).iter().all(|byte| *byte == 0));
    assert_eq!(chip.machine().read(RAM, len).unwrap()[..old.bytes.len()], old.bytes);
    chip.cut();
    assert!(bench.slot(Role::Secondary).iter().all(|byte| *byte == 0xff), "it is erased");
}

#[test]
fn with_two_bad_images_memory_is_empty_and_recovery_waits() {
    let Some(bench) = Bench::new(SF2, "two-bad") else { return };
    let [mut old, mut new] = ["1.0.0", "2.0.0"].map(|version| bench.image(version, HOST));
    [&mut old, &mut new].into_iter().for_each(|image| image.bytes[0x1000] ^= 1);
    bench.provision(&old);
    bench.request(&new.bytes, true);
    let chip = bench.start();
    chip.wait("boot: area 2 left out: ");
    chip.wait("boot: area 1 left out: ");
    chip.wait("boot: serial recovery");
    assert!(chip.machine().read(RAM, 0x8000).unwrap().iter().all(|byte| *byte == 0));
}

/// Boots a chip on which 2.0.0 waits for its trial, with the power cut after so many steps of its boot;
/// the next one has to start something, and in the end what was promised.
fn cut_after(bench: &Bench, steps: u32) -> bool {
    let chip = bench.start_paused();
    let step = || chip.machine().run_to_store(&[CONTROL], PATIENCE).unwrap();
    for _ in 0..steps {
        step();
        if chip.printed().contains("boot: starting") {
            chip.cut();
            return false;
        }
    }
    chip.cut();
    true
}

#[test]
fn a_boot_that_begins_a_trial_survives_a_cut_between_any_two_transfers() {
    let Some(bench) = Bench::new(SF2, "between-transfers") else { return };
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image(version, HOST));
    let (mut steps, mut trials, mut reverted) = (0, 0, 0);
    loop {
        bench.provision(&old);
        bench.request(&new.bytes, false);
        let cut = cut_after(&bench, steps);
        let chip = bench.start();
        chip.wait("app: self-test passed");
        // The trial counts from the moment that the trailer says so, and not twice.
        match chip.printed().contains("boot: starting 2.0.0") {
            true => trials += 1,
            false => {
                assert!(chip.printed().contains("boot: starting 1.0.0"), "{}", chip.printed());
                reverted += 1;
            }
        }
        chip.cut();
        assert!(bench.holds(Role::Primary, &old) && bench.holds(Role::Secondary, &new));
        if !cut {
            break;
        }
        steps += 1;
    }
    assert!(trials > 0 && reverted > 0, "{trials} and {reverted}");
    println!("{steps} cuts: {trials} times the trial began anew, {reverted} times it was over");
}

#[test]
fn a_confirmation_survives_a_cut_between_any_two_transfers() {
    let Some(bench) = Bench::new(SF2, "cut-confirmation") else { return };
    let old = bench.image("1.0.0", HOST);
    let new = bench.image("2.0.0", "confirm = self\nself-test-ms = 50\n");
    let mut ends = [0, 0];
    for steps in 0.. {
        bench.provision(&old);
        bench.request(&new.bytes, false);
        bench.mark(Role::Secondary, &[]);
        let chip = bench.start();
        chip.wait("app: blinky 2.0.0");
        let step = || chip.machine().run_to_store(&[CONTROL], Duration::from_secs(3)).unwrap();
        let done = !(0..steps).all(|_| step());
        chip.cut();
        let chip = bench.start();
        chip.wait("app: self-test passed");
        let confirmed = chip.printed().contains("boot: starting 2.0.0");
        ends[usize::from(confirmed)] += 1;
        chip.cut();
        if done {
            assert!(confirmed, "nothing was cut, and it is not confirmed");
            break;
        }
    }
    assert!(ends[0] > 0, "no cut came before the confirmation");
    println!("{} cuts before the confirmation counted, {} behind", ends[0], ends[1]);
}

#[test]
fn a_flash_chip_that_nobody_knows_is_used_and_told_of() {
    let Some(bench) = Bench::new(SF2, "unknown-chip") else { return };
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let chip = bench.start();
    chip.wait("app: self-test passed");
    assert!(!chip.printed().contains("unknown"), "{}", chip.printed());
    chip.cut();
    // The emulator has no other chip, so the bootloader gets to know another one.
    let (places, chip) = bench.start_patched(".rodata", &[(KNOWN, OTHER)], 3);
    assert_eq!(places, 1);
    chip.wait("boot: external flash of an unknown kind");
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
}

/// What the bootloader knows chips by, as its driver has it.
const KNOWN: [u8; 4] = [0x01, 0x20, 0x18, 0];
const OTHER: [u8; 4] = [0xef, 0x40, 0x18, 0];

#[test]
fn a_missing_flash_chip_is_told_of_and_does_no_harm() {
    let Some(bench) = Bench::new(SF2, "no-chip") else { return };
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    // At the other controller of the emulator there is nothing, which reads as zeros.
    let registers = (0..0x28).step_by(4);
    let other = |at: u32| [0x4000_1000 + at, 0x4001_1000 + at].map(u32::to_le_bytes).into();
    let other: Vec<([u8; 4], [u8; 4])> = registers.map(other).collect();
    let (places, chip) = bench.start_patched(".text", &other, 4);
    assert!(places > 0);
    chip.wait("boot: no answer from the external flash: is it there, and connected?");
    chip.wait("boot: serial recovery");
    // Somebody who does not know uploads all the same, and is told.
    chip.smp(&["image", "upload", old.path.to_str().unwrap()]).refused();
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
    let chip = bench.start();
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
}

#[test]
fn a_chip_whose_slots_are_garbage_waits_in_recovery() {
    let Some(bench) = Bench::new(SF2, "garbage") else { return };
    for (role, fields) in
        [(Role::Primary, &[][..]), (Role::Secondary, &[Mark::Asked, Mark::Confirmed])]
    {
        let (mut byte, slot) = (7_u8, bench.slot(role).len());
        let mut next = || {
            byte = byte.wrapping_mul(5).wrapping_add(3);
            byte
        };
        let garbage: Vec<_> = (0..slot / 2).map(|_| next()).collect();
        bench.put(role, 0, &garbage);
        bench.mark(role, fields);
    }
    let chip = bench.start();
    chip.wait("boot: serial recovery");
    let image = bench.image("1.0.0", HOST);
    chip.smp(&["image", "upload", image.path.to_str().unwrap()]).ok();
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
}
