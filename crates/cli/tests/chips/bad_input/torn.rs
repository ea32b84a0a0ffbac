//! The supply fails slowly: between two lives, flash holds what a write or an erase has left half done.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, Image, MICROBIT, MICROBIT_OFFSET, MICROBIT_SCRATCH};
use crate::story::HOST;

/// Bytes that are each version's own.
const TAIL: usize = 24 * 1024;
/// How long the chip may take from one write to the next.
const PATIENCE: Duration = Duration::from_secs(5);
/// The register that erases, and the slots with what is behind them.
const ERASE: (u32, u32) = (0x4001_e508, 4);
const SLOTS: (u32, u32) = (0xc000, 0x30000);
/// The parts of the board that a swap changes.
const PARTS: [Role; 3] = [Role::Primary, Role::Secondary, Role::Scratch];
/// Brown-outs in each mode, unless `UPDRAFT_LONG` asks for more.
const CUTS: u64 = 9;

/// What a write that changed `before` into `after` leaves if the supply fails meanwhile: each byte that
/// it was to change has changed, or has not, or in some of its bits.
fn torn(before: &[u8], after: &[u8], chance: &mut Chance) -> Vec<u8> {
    let kind = chance.below(3);
    let changed: Vec<_> = (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
    let half = changed.get(changed.len() / 2).copied().unwrap_or(0);
    let mix = |at: usize, mask: u8| before[at] & !mask | after[at] & mask;
    (0..before.len())
        .map(|at| match kind {
            0 => mix(at, if at < half { 0xff } else { 0 }),
            1 => mix(at, if at < half { 0 } else { 0xff }),
            _ => mix(at, chance.below(256) as u8),
        })
        .collect()
}

/// Where a life of a swap ends: at an erase, some stores behind one, or at a store to a trailer.
#[derive(Debug)]
enum Stage {
    Erase(u64),
    Word(u64, u64),
    Trailer(u64),
}

/// Everything that a swap changes, as it is now.
fn snapshot(bench: &Bench, roles: &[Role]) -> Vec<Vec<u8>> {
    roles.iter().map(|role| bench.slot(*role)).collect()
}

/// A swap whose supply fails in the middle of a write or an erase that chance chooses, and again in the
/// boot that goes on with it. In the end one of the two images runs, whole, and the boot behind that
/// starts the same.
fn a_torn_write_ends_with_one_of_the_two_images(chip: Chip) {
    let Some(bench) = Bench::new(chip, "torn") else { return };
    let mut chance = Chance::new();
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, TAIL));
    let roles = &PARTS[..if chip.board == MICROBIT_SCRATCH.board { 3 } else { 2 }];
    let cuts = if std::env::var_os("UPDRAFT_LONG").is_some() { 50 * CUTS } else { CUTS };
    let (mut ends, mut total) = ([0, 0], 0);
    for cut in 0..cuts {
        bench.provision(&old);
        bench.request(&new.bytes, true);
        let mut told = Vec::new();
        for _ in 0..2 {
            let stage = match cut % 3 {
                0 => Stage::Erase(chance.below(60)),
                1 => Stage::Word(chance.below(60), 1 + chance.below(250)),
                _ => Stage::Trailer(chance.below(40)),
            };
            let torn = tear(&bench, roles, &stage, &mut chance);
            total += torn;
            told.push(format!("{stage:?}: {torn} bytes torn"));
        }
        ends[usize::from(ends_well(&bench, &old, &new, &told))] += 1;
    }
    assert!(total > 0, "nothing was torn");
    let [stayed, updated] = ends;
    println!(
        "{cuts} swaps, {total} bytes torn: {stayed} with the old image, {updated} with the new"
    );
}

/// A life that ends in the middle of an operation. Says how many bytes are not what they were to be.
fn tear(bench: &Bench, roles: &[Role], stage: &Stage, chance: &mut Chance) -> usize {
    let chip = bench.start_paused();
    let run = |places: &[(u32, u32)]| {
        // A boot that has no more to write goes on to the application, and this to its end.
        !chip.printed().contains("boot: starting")
            && chip.machine().run_to_store(places, PATIENCE).unwrap()
    };
    let there = match stage {
        Stage::Erase(number) => (0..=*number).all(|_| run(&[ERASE])),
        Stage::Word(number, behind) => {
            (0..=*number).all(|_| run(&[ERASE])) && (0..*behind).all(|_| run(&[ERASE, SLOTS]))
        }
        Stage::Trailer(number) => {
            // Flags, magic, and the progress in front of them.
            let trailers = roles.iter().map(|role| {
                let area = bench.area(*role);
                (area.offset + area.size - 0x400, 0x400)
            });
            let trailers: Vec<_> = trailers.collect();
            (0..=*number).all(|_| run(&trailers))
        }
    };
    chip.save();
    let before = snapshot(bench, roles);
    if there {
        chip.machine().step().unwrap();
    }
    chip.cut();
    let after = snapshot(bench, roles);
    let mut count = 0;
    for ((role, before), after) in roles.iter().zip(&before).zip(&after) {
        let Some(first) = (0..before.len()).find(|at| before[*at] != after[*at]) else { continue };
        let last = (0..before.len()).rfind(|at| before[*at] != after[*at]).unwrap();
        let torn = torn(&before[first..=last], &after[first..=last], chance);
        count += torn.iter().zip(&after[first..=last]).filter(|(now, meant)| now != meant).count();
        bench.put(*role, first, &torn);
    }
    count
}

/// The power comes back, for good. Whether the new image runs.
fn ends_well(bench: &Bench, old: &Image, new: &Image, told: &[String]) -> bool {
    let chip = bench.start();
    chip.wait("boot: starting ");
    chip.wait("app: self-test passed");
    let printed = chip.printed();
    chip.cut();
    let updated = printed.contains("boot: starting 2.0.0");
    let runs = if updated { new } else { old };
    assert!(bench.holds(Role::Primary, runs), "{told:?}\n{printed}");
    let chip = bench.start();
    chip.wait("boot: starting ");
    chip.wait("app: self-test passed");
    assert_eq!(chip.printed().contains("starting 2.0.0"), updated, "{told:?}\n{}", chip.printed());
    updated
}

#[test]
fn a_torn_write_of_a_swap_by_moving_ends_with_one_of_the_two_images() {
    a_torn_write_ends_with_one_of_the_two_images(MICROBIT);
}

#[test]
fn a_torn_write_of_a_swap_by_offset_ends_with_one_of_the_two_images() {
    a_torn_write_ends_with_one_of_the_two_images(MICROBIT_OFFSET);
}

#[test]
fn a_torn_write_of_a_swap_through_scratch_ends_with_one_of_the_two_images() {
    a_torn_write_ends_with_one_of_the_two_images(MICROBIT_SCRATCH);
}
