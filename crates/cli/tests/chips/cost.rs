//! What a boot costs: instructions from the reset to the application, with nothing to do but to verify.
//!
//! QEMU counts them: with `-icount shift=0` its clock moves by a nanosecond for each. The chip's own
//! timer, which the bootloader starts first, is read when the watchdog is about to be started, which
//! is the last thing that it does.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chip, MPS2, MPS2_EXTERNAL};
use crate::story::HOST;

/// Where the watchdog is started, and the timer, which counts down by one in 16 ticks of 25 MHz.
const WATCHDOG: u32 = 0x4000_8008;
const TIMER: u32 = 0x4000_2004;
const NANOSECONDS: u64 = 16 * 40;

/// Boots an image of `kib` KiB, which may take so many millions of instructions.
fn a_boot_costs_at_most(chip: Chip, kib: usize, millions: u64) {
    let Some(bench) = Bench::new(chip, &format!("cost-{kib}")) else { return };
    let plain = bench.image("1.0.0", HOST).bytes.len();
    let image = bench.image_with_tail("1.0.0", HOST, (kib * 1024).saturating_sub(plain));
    bench.put(Role::Primary, 0, &image.bytes);
    let chip = bench.start_counting();
    let there = chip.machine().run_to_store(&[(WATCHDOG, 4)], Duration::from_secs(120));
    assert!(there.unwrap(), "the bootloader starts the watchdog: {}", chip.printed());
    let left = chip.machine().read(TIMER, 4).unwrap();
    let steps = u32::MAX - u32::from_le_bytes(left.try_into().unwrap());
    let instructions = u64::from(steps) * NANOSECONDS;
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
    a_boot_costs_at_most(MPS2, 128, 21);
    a_boot_costs_at_most(MPS2, 224, 29);
}

#[test]
fn p256_on_a_cortex_m4() {
    a_boot_costs_at_most(MPS2_EXTERNAL, 128, 21);
    a_boot_costs_at_most(MPS2_EXTERNAL, 224, 29);
}
