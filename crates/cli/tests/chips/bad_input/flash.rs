//! Flash that is not there, takes no change, or dies while it is changed. The emulator's memory does
//! nothing of it: the board's driver has words for that, as it has one for the button.

use std::time::{Duration, Instant};

use updraft_board::Role;

use crate::bench::{Bench, Chance, Image, MICROBIT, MPS2_EXTERNAL, Powered};
use crate::story::HOST;

/// Of the board: which devices do not answer, which take no change, and how many changes succeed before
/// all fail, and one more.
const SILENT: u32 = 0x0100_0004;
const PROTECTED: u32 = 0x0100_0008;
const LAST: u32 = 0x0100_000c;
/// The chip beside the processor, in the first two.
const EXTERNAL: u32 = 1 << 2;

/// Of the swap of these tests: by which change the first sector is surely being moved, and how many
/// there are at the least.
const MOVING: u64 = 40;
const CHANGES: u64 = 100;

fn set(chip: &Powered<'_>, word: u32, value: u32) {
    chip.machine().write(word, &value.to_le_bytes()).unwrap();
}

/// The chip with power and with this trouble.
fn troubled<'b>(bench: &'b Bench, word: u32, value: u32) -> Powered<'b> {
    let chip = bench.start_paused();
    set(&chip, word, value);
    chip.machine().resume().unwrap();
    chip
}

/// A board with updates on a chip of their own: 1.0.0 runs, 2.0.0 is asked for.
fn due(test: &str) -> Option<(Bench, Image, Image)> {
    let bench = Bench::new(MPS2_EXTERNAL, test)?;
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image(version, HOST));
    bench.provision(&old);
    Some((bench, old, new))
}

#[test]
fn a_missing_flash_chip_is_named_and_what_is_there_runs() {
    let Some((bench, old, new)) = due("silent") else { return };
    let chip = troubled(&bench, SILENT, EXTERNAL);
    chip.wait("boot: no answer from the external flash: is it there, and connected?");
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    chip.cut();

    // What is asked there waits until the chip answers again.
    bench.request(&new.bytes, true);
    let chip = troubled(&bench, SILENT, EXTERNAL);
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    set(&chip, SILENT, 0);
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old));
}

#[test]
fn an_update_that_cannot_be_erased_is_named_and_what_is_there_runs() {
    let Some((bench, old, new)) = due("protected") else { return };
    let mut bad = new.bytes.clone();
    bad[0x1000] ^= 1;
    bench.request(&bad, true);
    let chip = troubled(&bench, PROTECTED, EXTERNAL);
    chip.wait("boot: no upgrade: the flash device failed; the next boot tries again");
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
}

/// A good update that a protected chip cannot take part in the exchange of.
#[test]
fn an_update_that_cannot_be_exchanged_is_named_and_what_is_there_runs_until_it_can() {
    let Some((bench, old, new)) = due("unexchanged") else { return };
    bench.request(&new.bytes, true);
    let chip = troubled(&bench, PROTECTED, EXTERNAL);
    chip.wait("boot: no upgrade: the flash device failed; the next boot tries again");
    chip.wait("boot: starting 1.0.0");
    chip.wait("app: self-test passed");
    set(&chip, PROTECTED, 0);
    chip.smp(&["os", "reset"]).ok();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old));
}

/// Flash dies at any change of a swap, and is mended: the console names it, and then the swap ends.
/// What no sector was moved of still runs meanwhile.
#[test]
fn a_swap_that_flash_fails_in_is_named_and_ends_once_it_does_not() {
    let Some((bench, old, new)) = due("dying") else { return };
    let mut chance = Chance::new();
    let mut told = Vec::new();
    for n in 0..6 {
        bench.provision(&old);
        bench.request(&new.bytes, true);
        let moving = MOVING + chance.below(CHANGES - MOVING);
        let last = if n < 2 { n + 1 } else { moving as u32 };
        let chip = troubled(&bench, LAST, last);
        if n < 2 {
            chip.wait("boot: no upgrade: the flash device failed");
            chip.wait("boot: starting 1.0.0");
        } else {
            chip.wait("boot: the flash device failed\r\n");
            chip.wait("boot: serial recovery: upload an image, then reset");
        }
        chip.cut();
        let chip = bench.start();
        chip.wait("boot: starting 2.0.0");
        chip.wait("app: self-test passed");
        chip.cut();
        assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old), "{last}");
        told.push(last);
    }
    println!("it failed at changes {told:?}");
}

/// The changes between those: what a swap begins with, and the first sector on its way. Some of them in
/// each run, all with `UPDRAFT_LONG`. Until the swap has begun, by the primary slot's trailer, the old image
/// runs; from then on nothing does before it has ended: an application might write to a slot that it goes on with.
#[test]
fn a_swap_that_flash_fails_in_early_leaves_what_is_whole_running() {
    let Some((bench, old, new)) = due("dying-early") else { return };
    let changes = 3..MOVING;
    let some = std::env::var_os("UPDRAFT_LONG").is_none().then_some(6);
    let first = Chance::new().below(some.unwrap_or(1));
    let (mut ran, mut waited) = (Vec::new(), Vec::new());
    for last in changes.skip(first as usize).step_by(some.unwrap_or(1) as usize) {
        bench.provision(&old);
        bench.request(&new.bytes, true);
        // Of the slots what no trailer is in.
        let images = || {
            [Role::Primary, Role::Secondary].map(|role| {
                let mut slot = bench.slot(role);
                slot.truncate(slot.len() / 2);
                slot
            })
        };
        let before = images();
        let chip = troubled(&bench, LAST, last as u32);
        chip.wait("the flash device failed");
        let starts = || chip.printed().contains("app: self-test passed");
        let waits = || chip.printed().contains("boot: serial recovery: upload an image");
        let until = Instant::now() + Duration::from_secs(60);
        while !starts() && !waits() {
            assert!(Instant::now() < until, "{last}: {}", chip.printed());
            std::thread::sleep(Duration::from_millis(10));
        }
        let printed = chip.printed();
        let started = starts();
        chip.cut();
        let trailer = bench.slot(Role::Primary).split_off(before[0].len());
        let begun = trailer.iter().any(|byte| *byte != 0xff);
        assert!(started || begun, "{last}: {printed}");
        assert!(!started || images() == before, "{last}: {printed}");
        assert!(!started || printed.contains("boot: starting 1.0.0"), "{last}: {printed}");
        if started { &mut ran } else { &mut waited }.push(last);

        let chip = bench.start();
        chip.wait("boot: starting 2.0.0");
        chip.wait("app: self-test passed");
        chip.cut();
        assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old), "{last}");
    }
    println!("1.0.0 ran at changes {ran:?}, and waited at {waited:?}");
}

/// A word that does not hold what was written to it, as of a cell that is worn out: the driver reads back
/// what it writes, says so, and the swap ends once the cell is well.
#[test]
fn a_word_that_reads_back_otherwise_stops_a_swap_until_it_does_not() {
    let Some(bench) = Bench::new(MICROBIT, "worn") else { return };
    let [old, new] =
        ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, 8 * 1024));
    bench.provision(&old);
    bench.request(&new.bytes, true);
    // In the tail, which no version has in common with another.
    let at = (new.bytes.len() - 4 * 1024) & !0x3ff;
    let word = bench.address(Role::Primary) + at as u32;
    let chip = bench.start_paused();
    assert!(chip.machine().run_to_store(&[(word, 4)], Duration::from_secs(60)).unwrap());
    // Programming takes bits away from what is there, and there are none left.
    chip.machine().write(word, &[0; 4]).unwrap();
    chip.machine().resume().unwrap();
    chip.wait("boot: the flash device failed\r\n");
    chip.wait(bench.chip.without_image());
    chip.cut();
    assert_eq!(bench.slot(Role::Primary)[at..][..4], [0; 4], "nobody goes on behind it");

    let chip = bench.start();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed");
    chip.cut();
    assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old));
}
