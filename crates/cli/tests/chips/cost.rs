//! What a boot costs: instructions from the reset to the application, with nothing to do but to verify.
//!
//! QEMU counts them: with `-icount shift=0` its clock moves by a nanosecond for each. The chip's own
//! timer, which the bootloader starts first, is read when the watchdog is about to be started, which
//! is the last thing that it does.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chip, MICROBIT, MPS2, MPS2_EXTERNAL};
use crate::story::HOST;

/// A timer: what starts the watchdog; where to ask it for a value, if it has to be asked; where
/// that is; nanoseconds of one step; whether it counts down.
struct Timer {
    watchdog: u32,
    capture: Option<u32>,
    value: u32,
    step: u64,
    down: bool,
}

const MPS2_TIMER: Timer =
    Timer { watchdog: 0x4000_8008, capture: None, value: 0x4000_2004, step: 640, down: true };
const MICROBIT_TIMER: Timer = Timer {
    watchdog: 0x4001_0000,
    capture: Some(0x4000_8040),
    value: 0x4000_8540,
    step: 32_000,
    down: false,
};

/// Boots an image of `kib` KiB, which may take so many millions of instructions.
fn a_boot_costs_at_most(chip: Chip, timer: &Timer, kib: usize, millions: u64) {
    let Some(bench) = Bench::new(chip, &format!("cost-{kib}")) else { return };
    let plain = bench.image("1.0.0", HOST).bytes.len();
    let image = bench.image_with_tail("1.0.0", HOST, (kib * 1024).saturating_sub(plain));
    bench.put(Role::Primary, 0, &image.bytes);
    let chip = bench.start_counting();
    let there = chip.machine().run_to_store(&[(timer.watchdog, 4)], Duration::from_secs(120));
    assert!(there.unwrap(), "the bootloader starts the watchdog: {}", chip.printed());
    if let Some(capture) = timer.capture {
        chip.machine().write(capture, &1_u32.to_le_bytes()).unwrap();
    }
    let bytes = chip.machine().read(timer.value, 4).unwrap();
    let value = u32::from_le_bytes(bytes.try_into().unwrap());
    let steps = if timer.down { u32::MAX - value } else { value };
    let instructions = u64::from(steps) * timer.step;
    println!(
        "{}: {} KiB, {}: {:.1} M instructions from the reset to the application",
        chip.board(),
        image.bytes.len() / 1024,
        bench.scheme(),
        instructions as f64 / 1e6
    );
    assert!(instructions > 1_000_000, "{instructions}: too few to have verified anything");
    assert!(instructions < millions * 1_000_000, "{instructions} of {millions} M");
}

#[test]
fn ed25519_on_a_cortex_m4() {
    a_boot_costs_at_most(MPS2, &MPS2_TIMER, 128, 40);
}

#[test]
fn p256_on_a_cortex_m4() {
    a_boot_costs_at_most(MPS2_EXTERNAL, &MPS2_TIMER, 128, 80);
}

#[test]
fn ed25519_on_a_cortex_m0() {
    a_boot_costs_at_most(MICROBIT, &MICROBIT_TIMER, 64, 80);
}
