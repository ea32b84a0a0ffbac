//! Power cuts: the emulator is killed, and started again on the flash that it leaves.

use std::time::{Duration, Instant};

use updraft_board::Role;

use crate::bench::{
    Bench, Chance, Chip, Image, MICROBIT, MICROBIT_OFFSET, MICROBIT_SCRATCH, MPS2, MPS2_EXTERNAL,
    Powered, SF2,
};
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
fn a_chip_with_two_devices_killed_during_a_swap_always_comes_back() {
    a_chip_killed_during_a_swap_always_comes_back(MPS2_EXTERNAL, 150);
}

#[test]
fn a_small_chip_killed_during_a_swap_always_comes_back() {
    a_chip_killed_during_a_swap_always_comes_back(MICROBIT, 600);
}

/// An upgrade over the line, from the upload to the confirmation, on a chip that loses its power at any
/// moment of it: every life begins with an image that runs, and in the end there is the new one.
fn killed_at_any_moment_of_an_upgrade_it_always_runs_something(chip: Chip) {
    let Some(bench) = Bench::new(chip, "killed-in-upgrade") else { return };
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

fn killed_during_an_upload_it_goes_on(chip: Chip) {
    let Some(bench) = Bench::new(chip, "killed-in-upload") else { return };
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
/// Cuts in each mode, unless `UPDRAFT_LONG` asks for all of them.
const CUTS: usize = 8;

/// Which of so many cuts are made: some at equal distances, that chance begins with, so that the runs of a
/// week are at all of them; or every one.
fn chosen(total: usize, chance: &mut Chance) -> Vec<usize> {
    if std::env::var_os("UPDRAFT_LONG").is_some() {
        return (0..total).collect();
    }
    let first = chance.below(total as u64) as usize;
    (0..CUTS.min(total)).map(|n| (first + n * total / CUTS) % total).collect()
}

/// An old image, a new one that is asked for, and what has to come of it whatever happens.
struct Swap {
    bench: Bench,
    old: Image,
    new: Image,
}

impl Swap {
    fn on(chip: Chip) -> Option<Self> {
        let bench = Bench::new(chip, "before-any-write")?;
        let [old, new] =
            ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, TAIL));
        Some(Self { bench, old, new })
    }

    /// The chip, stopped before the first instruction of the boot that swaps.
    fn due(&self) -> Powered<'_> {
        self.bench.provision(&self.old);
        self.bench.request(&self.new.bytes, true);
        self.bench.start_paused()
    }

    /// The power comes back.
    fn ends_well(&self, after: &str) {
        let chip = self.bench.start();
        chip.wait("boot: starting 2.0.0");
        chip.wait("app: self-test passed");
        chip.cut();
        let slots = [(Role::Primary, &self.new), (Role::Secondary, &self.old)];
        assert!(slots.iter().all(|(role, image)| self.bench.holds(*role, image)), "{after}");
    }
}

/// Cuts the power before any erase of a swap, and before stores behind each: a sector is written by 256.
fn a_cut_before_any_write_ends_well(chip: Chip) {
    const BEHIND: [usize; 4] = [0, 1, 100, 255];
    let Some(swap) = Swap::on(chip) else { return };
    let mut chance = Chance::new();
    let chip = swap.due();
    let mut erases = 0;
    while !chip.printed().contains("boot: starting") {
        let glance = Duration::from_millis(300);
        erases += usize::from(chip.machine().run_to_store(&[ERASE], glance).unwrap());
    }
    chip.cut();
    let cuts = chosen(erases * BEHIND.len(), &mut chance);
    for cut in &cuts {
        let (before, behind) = (cut / BEHIND.len(), BEHIND[cut % BEHIND.len()]);
        let chip = swap.due();
        let run = |places: &[(u32, u32)]| chip.machine().run_to_store(places, PATIENCE).unwrap();
        assert!((0..=before).all(|_| run(&[ERASE])), "erase {before} of {erases}");
        for _ in 0..behind {
            run(&[ERASE, SLOTS]);
        }
        chip.cut();
        swap.ends_well(&format!("cut before erase {before} + {behind} stores"));
    }
    println!("{} cuts, of {} before and behind {erases} erases", cuts.len(), erases * BEHIND.len());
}

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

/// There is no register that erases: the power fails before a word is written that chance or the sweep has
/// chosen, in the slots on both devices, in the scratch area between them, and where the progress is kept.
#[test]
fn a_swap_over_two_devices_survives_a_cut_before_any_word() {
    /// Slots and scratch in memory, and the bytes of each that a swap of these images changes: sectors of
    /// both images, and trailers at the end.
    const PRIMARY: u32 = 0x2100_0000;
    const SCRATCH: u32 = 0x2120_0000;
    const SECONDARY: u32 = 0x2180_0000;
    const SLOT: u32 = 256 << 10;
    const STEP: u32 = 0x1004;
    let Some(swap) = Swap::on(MPS2_EXTERNAL) else { return };
    let mut chance = Chance::new();
    let image = swap.new.bytes.len() as u32;
    let slots = [PRIMARY, SECONDARY].into_iter().flat_map(|slot| {
        let image = (0..image & !3).step_by(STEP as usize);
        // Behind the magic, from the back: flags, then progress.
        let trailer = (1..8).map(|word| SLOT - 8 - word * 8);
        image.chain(trailer).map(move |offset| slot + offset)
    });
    let scratch = (0..64 << 10).step_by(STEP as usize).map(|offset| SCRATCH + offset);
    // Erased, and written.
    let places: Vec<_> = slots.chain(scratch).flat_map(|place| [(place, 1), (place, 2)]).collect();
    let cuts = chosen(places.len(), &mut chance);
    let mut reached = 0;
    for cut in &cuts {
        let (place, times) = places[*cut];
        let chip = swap.due();
        let until = Instant::now() + Duration::from_secs(60);
        let mut stores = 0;
        while stores < times && !chip.printed().contains("boot: starting") {
            assert!(Instant::now() < until, "{place:#x}: {}", chip.printed());
            let glance = Duration::from_millis(300);
            let there = chip.machine().run_to_store(&[(place & !3, 4)], glance).unwrap();
            stores += usize::from(there);
        }
        reached += usize::from(stores == times);
        chip.cut();
        swap.ends_well(&format!("cut before store {times} to {place:#x}"));
    }
    println!("{} cuts, of {}; {reached} within the swap", cuts.len(), places.len());
}

#[test]
fn a_chip_killed_at_any_moment_of_an_upgrade_always_runs_something() {
    killed_at_any_moment_of_an_upgrade_it_always_runs_something(MPS2);
}

#[test]
fn a_chip_with_spi_flash_killed_at_any_moment_of_an_upgrade_always_runs_something() {
    killed_at_any_moment_of_an_upgrade_it_always_runs_something(SF2);
}

#[test]
fn a_chip_killed_during_an_upload_goes_on() {
    killed_during_an_upload_it_goes_on(MPS2);
}

#[test]
fn a_chip_with_spi_flash_killed_during_an_upload_goes_on() {
    killed_during_an_upload_it_goes_on(SF2);
}
