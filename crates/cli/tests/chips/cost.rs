//! What a boot costs: instructions from the reset to the application's first one, with nothing to do but
//! to verify. QEMU counts them.
//!
//! `cargo xtask long boot-cost` measures everything and writes `docs/evidence/boot-cost.md`; every run of
//! the tests measures what it has bootloaders for, and compares.

use std::path::{Path, PathBuf};
use std::time::Duration;

use updraft_board::Role;
use updraft_qemu::{Machine, Setup};
use updraft_sign::hex;

use crate::bench::{Bench, Chip, MICROBIT, MICROBIT_ZEPHYR, MPS2, MPS2_EXTERNAL};

const PAGE: &str = "docs/evidence/boot-cost.md";
/// By how much a figure may be off the page, in percent: compilers differ a little.
const OFF: f64 = 4.0;
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a program begins, behind the vector table, from the beginning of its image on.
const HEADER: usize = 0x200;
const TABLE: usize = 0x100;
/// A branch to itself.
const HANG: [u8; 2] = [0xfe, 0xe7];

/// Bootloaders for large slots, which `cargo xtask long boot-cost` builds; the first is always there.
const RSA_2048: Chip = Chip::variant("mps2-an386-rsa-2048");
const LARGE: [Chip; 6] = [
    Chip::variant("mps2-an386-none"),
    Chip::variant("mps2-an386-ed25519"),
    Chip::variant("mps2-an386-ecdsa-p256"),
    Chip::variant("mps2-an386-ecdsa-p384"),
    RSA_2048,
    Chip::variant("mps2-an386-rsa-3072"),
];
const MICROBIT_P256: Chip = Chip::variant("microbit-ecdsa-p256");

/// KiB of programs that are booted on the two processors.
const ON_M4: [usize; 2] = [128, 512];
const ON_M0: [usize; 2] = [16, 80];

/// A program of so many KiB, which does nothing, for a slot at `start`. Its other bytes are as different
/// as those of programs are.
fn program(start: u32, kib: usize) -> Vec<u8> {
    let bytes = (0..kib * 256).map(|word| (word as u32).wrapping_mul(0x9e37_79b9).to_le_bytes());
    let mut program: Vec<u8> = bytes.flatten().collect();
    // Any RAM does as its stack.
    program[..4].copy_from_slice(&0x2000_2000_u32.to_le_bytes());
    program[4..8].copy_from_slice(&(entry(start) | 1).to_le_bytes());
    program[TABLE..TABLE + HANG.len()].copy_from_slice(&HANG);
    program
}

/// Where such a program begins.
fn entry(start: u32) -> u32 {
    start + (HEADER + TABLE) as u32
}

/// Lets a machine that stands before its first instruction run to the one at `entry`; how many that
/// takes.
fn instructions_to(entry: u32, machine: &Machine) -> u64 {
    machine.set_breakpoint(entry, true).unwrap();
    let there = machine.run_to_breakpoint(PATIENCE).unwrap();
    assert!(there, "nothing was started: {}", machine.line(0).printed());
    machine.instructions().unwrap()
}

/// A bench with an image of so many KiB that does nothing, in the primary slot; and where it begins.
fn bench(chip: Chip, kib: usize) -> Option<(Bench, u32)> {
    let bench = Bench::new(chip, &format!("cost-{kib}"))?;
    let start = bench.address(Role::Primary);
    let image = bench.seal(&bench.sample_key(), "1.0.0", program(start, kib));
    bench.put(Role::Primary, 0, &image.bytes);
    Some((bench, entry(start)))
}

/// What the boot of such an image takes.
fn measure(chip: Chip, kib: usize) -> Option<u64> {
    let (bench, entry) = bench(chip, kib)?;
    let powered = bench.start_counting();
    Some(instructions_to(entry, powered.machine()))
}

/// A line of the page, without its figure.
fn label(chip: Chip, kib: usize) -> String {
    let signature = Bench::new(chip, "cost").map_or("", |bench| bench.scheme());
    let processor = if chip.board.starts_with("microbit") { "M0" } else { "M4" };
    format!("| Cortex-{processor} | {signature} | {kib} KiB |")
}

/// Millions.
fn millions(instructions: u64) -> f64 {
    instructions as f64 / 1e6
}

/// What the page has in this line.
fn on_page(label: &str) -> Option<f64> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join(PAGE)).ok()?;
    let rest = page.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Compares a figure with the one on the page.
fn is_on_page(label: &str, instructions: u64) {
    let found = millions(instructions);
    let Some(told) = on_page(label) else {
        panic!("{PAGE} has no line `{label}`: `cargo xtask long boot-cost` writes it");
    };
    assert!(
        (found - told).abs() * 100.0 <= told * OFF,
        "{label} {found:.2} M instructions, and {told} in {PAGE}: `cargo xtask long boot-cost`"
    );
}

fn is_long() -> bool {
    std::env::var_os("UPDRAFT_LONG").is_some()
}

#[test]
fn boots_cost_what_the_page_says() {
    if is_long() {
        return;
    }
    let tested = [(MPS2, 128), (MPS2_EXTERNAL, 128), (RSA_2048, 128), (RSA_2048, 512)];
    for (chip, kib) in tested.into_iter().chain(ON_M0.map(|kib| (MICROBIT, kib))) {
        let Some(instructions) = measure(chip, kib) else { return };
        is_on_page(&label(chip, kib), instructions);
    }
}

/// The page's own table, in lines that begin with a bar.
#[test]
fn every_signature_on_both_processors() {
    if !is_long() {
        println!("left to `cargo xtask long boot-cost`");
        return;
    }
    println!("| processor | signature | image | million instructions | of a hash alone |");
    println!("| --- | --- | --: | --: | --: |");
    let on_m4 = LARGE.into_iter().flat_map(|chip| ON_M4.map(|kib| (chip, kib)));
    let on_m0 = [MICROBIT_ZEPHYR, MICROBIT, MICROBIT_P256].into_iter();
    // What those take that check no signature, by the size of the image.
    let mut hashes = Vec::new();
    for (chip, kib) in on_m4.chain(on_m0.flat_map(|chip| ON_M0.map(|kib| (chip, kib)))) {
        let Some(instructions) = measure(chip, kib) else { return };
        let label = label(chip, kib);
        let found = millions(instructions);
        if label.contains("| none |") {
            hashes.push((kib, found));
        }
        let of_hash = hashes.iter().rfind(|(size, _)| *size == kib);
        let ratio = found / of_hash.map_or(found, |(_, of_hash)| *of_hash);
        println!("{label} {found:.2} | {ratio:.2} × |");
    }
}

/// MCUboot in C as Zephyr builds it for this processor: it takes images by their hash alone, from slots
/// as `microbit-zephyr` has them. Ours boots the same bytes on the same machine.
#[test]
fn a_boot_costs_less_than_mcuboots_of_the_same_image() {
    let Some(mcuboot) = mcuboot() else { return };
    if is_long() {
        println!("| hash alone, Cortex-M0 | MCUboot | Updraft | ratio |");
        println!("| --- | --: | --: | --: |");
    }
    for kib in ON_M0 {
        let Some((bench, entry)) = bench(MICROBIT_ZEPHYR, kib) else { return };
        let powered = bench.start_counting();
        let ours = instructions_to(entry, powered.machine());
        drop(powered);
        let setup = Setup::new("microbit").program(0, mcuboot.clone()).counting();
        let erased = |role| vec![0xff; bench.area(role).size as usize];
        let setup = [Role::Primary, Role::Secondary].into_iter().fold(setup, |setup, role| {
            let start = bench.address(role);
            setup.program(start, erased(role))
        });
        let slot = bench.slot(Role::Primary);
        let machine = setup.program(bench.address(Role::Primary), slot).start_paused().unwrap();
        let theirs = instructions_to(entry, &machine);
        let [ours, theirs] = [ours, theirs].map(millions);
        let ratio = ours / theirs;
        if is_long() {
            println!("| {kib} KiB | {theirs:.2} | {ours:.2} | {ratio:.2} × |");
        }
        assert!(ratio < 1.2, "{kib} KiB: {ours:.2} M instructions, and {theirs:.2} of MCUboot's");
    }
}

/// Zephyr's own build of it. `None`: this run does without foreign tools, and has said so.
fn mcuboot() -> Option<Vec<u8>> {
    if std::env::var_os("UPDRAFT_CORE").is_some() {
        println!("left out: UPDRAFT_CORE is set, and this needs .tools/zephyr");
        return None;
    }
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/zephyr");
    let is_it = |path: &PathBuf| {
        path.to_str().is_some_and(|path| path.ends_with("qemu_cortex_m0_serial.merged.hex"))
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let file = files.map(|file| file.path()).find(is_it);
    let file = file.expect("MCUboot: `cargo xtask setup` puts it into .tools/zephyr");
    let text = std::fs::read_to_string(file).unwrap();
    let mut segments = hex::segments(&text).unwrap().into_iter();
    segments.find(|segment| segment.address == 0).map(|segment| segment.bytes)
}

/// RSA's arithmetic is compiled for a chip here, and what it refuses is not started.
#[test]
fn an_rsa_signature_that_is_not_the_images_starts_nothing() {
    for tampered in ["the signature", "the program"] {
        let Some((bench, entry)) = bench(RSA_2048, 16) else { return };
        let mut slot = bench.slot(Role::Primary);
        let at = match tampered {
            // It is the last of the image.
            "the signature" => slot.iter().rposition(|byte| *byte != 0xff).unwrap(),
            _ => HEADER + TABLE + 64,
        };
        slot[at] ^= 1;
        bench.put(Role::Primary, 0, &slot);
        let powered = bench.start_paused();
        powered.machine().set_breakpoint(entry, true).unwrap();
        powered.machine().resume().unwrap();
        powered.wait("nothing to start");
        assert!(powered.printed().contains("boot: "), "{tampered}: {}", powered.printed());
    }
}
