//! A processor that is disturbed: what a bootloader does if any one instruction of its boot is
//! skipped. Whatever that is, an image that nobody may start is not started.

mod images;
mod program;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use updraft_board::Role;

use self::images::Tampering;
use self::program::Program;
use self::sweep::{End, Tally, Target, Trace};
use crate::bench::{Bench, Chance, Chip, MPS2};

/// Where the tampered image lies.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the slot that runs, and there is no other.
    Primary,
    /// In the slot for updates, asked for, beside a good one that runs.
    Update,
}

/// Which steps of a boot are skipped.
#[derive(Clone, Copy, Debug)]
enum Extent {
    /// Each instruction of the verification and the decision each time that it is reached, and every
    /// other one up to so many times.
    Every { others: usize },
    /// Each instruction of the verification and the decision up to so many times, and so many steps,
    /// whatever they are.
    Decision { times: usize, more: usize },
    /// So many steps, whatever they are.
    Some(usize),
}

/// In the longer scenes.
const LONG: Extent = Extent::Decision { times: OFTEN, more: 300 };

/// How many times an instruction is skipped that is reached very often.
const OFTEN: usize = 8;

/// Where the time is read, which goes on while other ways are tried.
const CLOCK: &str = "Clock as firmware_cortex_m::chip::Clock>::now";

/// Where it is decided what is started.
const DECISION: [&str; 7] = [
    "updraft_image::validate",
    "updraft_image::hardened",
    "updraft_image::verifier",
    "updraft_image::software",
    "updraft_boot::",
    "firmware_bootloader::",
    "startup::jump",
];

fn target(
    chip: Chip,
    bootloader: &str,
    place: Place,
    tampering: Tampering,
) -> Option<(Bench, Target)> {
    let bench = Bench::new(chip, &format!("glitch-{bootloader}-{place:?}-{tampering:?}"))?;
    let slots = [Role::Primary, Role::Secondary].map(|role| {
        let area = bench.area(role);
        (area.offset as usize, area.size as usize)
    });
    let (start, _) = slots[0];
    let program = images::slide(0x2100_0000 + start as u32 + 0x200);
    let good = bench.seal(&bench.sample_key(), "1.0.0", program.clone()).bytes;
    let update = bench.seal(&bench.sample_key(), "2.0.0", program.clone()).bytes;
    let other = match tampering {
        Tampering::OtherBoard => {
            bench.seal_for_another(&bench.sample_key(), "2.0.0", program).bytes
        }
        _ => {
            let key = format!("vectors/mcuboot/keys/{}-other.pem", bench.scheme());
            bench.seal(&key, "2.0.0", program).bytes
        }
    };
    let bad = tampering.apply(&update, &other);
    match place {
        Place::Primary => bench.put(Role::Primary, 0, &bad),
        Place::Update => {
            bench.put(Role::Primary, 0, &good);
            bench.request(&bad, true);
        }
    }
    let elf = bench.program(bootloader);
    let target = Target {
        program: Program::read(&elf),
        elf,
        machine: "mps2-an386".into(),
        flash: std::fs::read(bench.path("flash.bin")).unwrap(),
        slots,
        good: matches!(place, Place::Update).then_some(good),
        folder: bench.path(""),
        end: start as u32 + 0x200 + images::END,
    };
    Some((bench, target))
}

/// Steps to skip, in rising order.
fn picks(target: &Target, trace: &Trace, extent: Extent, chance: &mut Chance) -> Vec<usize> {
    let mut some = |steps: &[usize], count: usize| -> Vec<usize> {
        match steps.len() <= count {
            true => steps.to_vec(),
            false => {
                let mut any = || steps[chance.below(steps.len() as u64) as usize];
                (0..count).map(|_| any()).collect()
            }
        }
    };
    let mut places: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let name = |place: u32| target.program.function(place).map_or("", |function| &function.name);
    for (step, place) in trace.steps.iter().enumerate() {
        // How often it goes round in a circle there depends on how much time has passed.
        if !name(*place).contains(CLOCK) {
            places.entry(*place).or_default().push(step);
        }
    }
    let mut all: Vec<usize> = places.values().flatten().copied().collect();
    all.sort_unstable();
    let decides = |place: u32| DECISION.iter().any(|part| name(place).contains(part));
    // Of the steps of an instruction, the first ones, the last ones, and some between them.
    let mut thinned = |steps: &[usize], times: usize, picks: &mut BTreeSet<usize>| {
        let ends = times.div_ceil(3).min(times / 2);
        if steps.len() <= times {
            return picks.extend(steps);
        }
        let (first, rest) = steps.split_at(ends);
        let (between, last) = rest.split_at(rest.len() - ends);
        picks.extend(first.iter().chain(last));
        picks.extend(some(between, times - 2 * ends));
    };
    let mut picks = BTreeSet::new();
    let (times, other_times, more) = match extent {
        Extent::Every { others } => (usize::MAX, others, 0),
        Extent::Decision { times, more } => (times, 0, more),
        Extent::Some(more) => (0, 0, more),
    };
    for (place, steps) in &places {
        thinned(steps, if decides(*place) { times } else { other_times }, &mut picks);
    }
    picks.extend(some(&all, more));
    picks.into_iter().collect()
}

/// Skips instructions in the boot of a tampered image, and tells what came of it.
fn skip(
    chip: Chip,
    bootloader: &str,
    (place, tampering): (Place, Tampering),
    extent: Extent,
) -> Option<Tally> {
    let (_bench, target) = target(chip, bootloader, place, tampering)?;
    let trace = target.trace();
    let picks = picks(&target, &trace, extent, &mut Chance::new());
    let tally = target.sweep(&picks, &trace);
    let instructions: BTreeSet<u32> = trace.steps.iter().copied().collect();
    let skipped: BTreeSet<u32> = picks.iter().map(|step| trace.steps[*step]).collect();
    println!(
        "{} of {}, {} ({}): {} of {} instructions skipped, {} of {} times: {} refused, {} started what \
         may be started, {} hung, {} locked up (after a reset: {}); {} started the tampered image",
        bootloader.trim_end_matches(".elf"),
        chip.board,
        tampering.name(),
        match place {
            Place::Primary => "in the slot that runs",
            Place::Update => "as an update",
        },
        skipped.len(),
        instructions.len(),
        tally.all(),
        trace.steps.len(),
        tally.count(End::Refused),
        tally.count(End::Good),
        tally.count(End::Hung),
        tally.count(End::LockedUp),
        tally.resets,
        tally.count(End::Booted),
    );
    for (step, at) in &tally.broken {
        let name = target.program.function(*at).map_or("", |function| &function.name);
        println!("  started without the instruction at {at:#x}, step {step}, of {name}");
    }
    Some(tally)
}

/// What is told of once: what is run through and not skipped in.
fn tell_of_arithmetic(chip: Chip) {
    let Some(bench) = Bench::new(chip, "glitch-arithmetic") else { return };
    let program = Program::read(&bench.program(HARDENED));
    let (names, size) = program.arithmetic();
    println!("{size} bytes are arithmetic and not skipped in: {}", names.join(", "));
}

fn is_long() -> bool {
    std::env::var_os("UPDRAFT_LONG").is_some()
}

const HARDENED: &str = "bootloader.elf";
/// Takes its decisions once; see `crates/image/src/unhardened.rs`.
const UNHARDENED: &str = "unhardened.elf";

#[test]
fn no_skipped_instruction_starts_an_altered_image() {
    tell_of_arithmetic(MPS2);
    let extent = match is_long() {
        true => Extent::Every { others: OFTEN },
        false => Extent::Decision { times: 2, more: 100 },
    };
    let Some(tally) = skip(MPS2, HARDENED, (Place::Primary, Tampering::Body), extent) else {
        return;
    };
    assert_eq!(tally.broken, []);
    assert!(tally.all() > 500, "{tally:?}");
}

#[test]
fn no_skipped_instruction_starts_what_was_signed_otherwise_or_for_another_board() {
    let (kinds, extent) = match is_long() {
        true => (&Tampering::ALL[1..], LONG),
        false => (&[Tampering::NoSignature, Tampering::OtherBoard][..], Extent::Some(100)),
    };
    for tampering in kinds {
        let scene = (Place::Primary, *tampering);
        let Some(tally) = skip(MPS2, HARDENED, scene, extent) else { return };
        assert_eq!(tally.broken, [], "{}", tampering.name());
    }
}

#[test]
fn no_skipped_instruction_starts_a_tampered_update() {
    if !is_long() {
        return;
    }
    for tampering in [Tampering::Body, Tampering::NoSignature] {
        let scene = (Place::Update, tampering);
        let Some(tally) = skip(MPS2, HARDENED, scene, LONG) else { return };
        assert_eq!(tally.broken, [], "{}", tampering.name());
    }
}

/// Which shows that the skips are such that can be noticed.
#[test]
fn a_bootloader_that_takes_its_decisions_once_is_broken_by_the_same_skips() {
    let extent = if is_long() { LONG } else { Extent::Decision { times: 2, more: 0 } };
    let Some(tally) = skip(MPS2, UNHARDENED, (Place::Primary, Tampering::Body), extent) else {
        return;
    };
    assert!(!tally.broken.is_empty(), "{tally:?}");
}
