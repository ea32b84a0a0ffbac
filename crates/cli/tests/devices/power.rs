//! Processes are killed and power is cut, at any moment; what then stands in the flash file has to
//! boot.

use std::time::{Duration, Instant};

use updraft_smp::client::Status;

use crate::support::{Bench, Chance, Device, HOST, Image, SELF, Sending};

/// Firmware large enough for a swap to last.
const LARGE: usize = 200_000;
const ROUNDS: usize = 6;
/// Kills in the middle of a swap.
const HITS: usize = 6;

/// A fixed seed and one never used before.
fn seeds() -> [u64; 2] {
    [1, Chance::seed()]
}

/// 1.0.0 runs, 1.1.0 is pending.
fn pending(bench: &Bench, old: &Image, new: &Image) -> Device {
    let device = bench.device_with(old);
    device.smp(&format!("image upload {}", new.file)).ok();
    device.smp(&format!("image test {}", new.file)).ok();
    device
}

fn nap(micros: usize) {
    std::thread::sleep(Duration::from_micros(micros as u64));
}

#[test]
fn a_device_killed_during_an_upload_runs_on_and_takes_the_upload_again() {
    for seed in seeds() {
        let mut chance = Chance::of(seed);
        let bench = Bench::new("kill-upload");
        let old = bench.image("1.0.0", SELF);
        let new = bench.image_of(LARGE, "1.1.0", HOST);
        let running = old.bytes.len();
        let mut device = bench.device_with(&old);
        let mut torn = 0;
        for round in 0..ROUNDS {
            let context = format!("seed {seed}, round {round}");
            let mut sending = Sending::new(&device.address, &new.bytes, 1 + chance.below(6));
            let until = chance.below(new.bytes.len()) as u32;
            while sending.acked() < until && sending.step() == Status::Running {}
            // Chunks are still on their way.
            device.kill();
            torn += usize::from(!bench.slots().hold(&new));
            assert_eq!(bench.area("primary")[..running], old.bytes, "{context}");
            device = bench.device().start();
            device.starts("1.0.0");
            let listed = device.smp("--json image list").json();
            assert_eq!(listed["images"][0]["confirmed"], true, "{context}");
            assert_ne!(listed["images"][1]["pending"], true, "{context}");
        }
        device.try_out(&new);
        assert!(bench.slots().run(&new) && bench.slots().on_trial());
        println!("killed during uploads, seed {seed}: {ROUNDS} times, {torn} left half an image");
    }
}

#[test]
fn a_device_killed_during_a_swap_finishes_it_when_it_comes_back() {
    for seed in seeds() {
        let mut chance = Chance::of(seed);
        let (mut under_way, mut kills) = (0, 0);
        // Until enough of them have hit.
        for round in 0.. {
            assert!(round < 20 * HITS, "seed {seed}: {under_way} of {kills} kills hit a swap");
            if under_way >= HITS {
                break;
            }
            let context = format!("seed {seed}, round {round}");
            let bench = Bench::new("kill-swap");
            let old = bench.image("1.0.0", SELF);
            let new = bench.image_of(LARGE, "1.1.0", HOST);
            let mut device = pending(&bench, &old, &new);
            device.type_line("reset");
            nap(chance.below(30_000));
            loop {
                device.kill();
                kills += 1;
                let slots = bench.slots();
                let swapping = slots.primary().starts_with("magic") && !slots.on_trial();
                under_way += usize::from(swapping);
                if slots.on_trial() {
                    break;
                }
                device = bench.device().start();
                nap(5_000 + chance.below(40_000));
            }
            // The swap is done, the trial was cut short: the next boot reverts.
            let slots = bench.slots();
            assert!(slots.run(&new) && slots.hold(&old), "{context}: {slots:?}");
            device = bench.device().start();
            device.starts("1.0.0");
            let slots = bench.slots();
            assert!(slots.run(&old) && slots.hold(&new) && slots.confirmed(), "{context}");
        }
        println!("killed during swaps, seed {seed}: {kills} times, {under_way} in the middle");
    }
}

#[test]
fn a_device_killed_during_a_revert_finishes_that_too() {
    let seed = Chance::seed();
    let mut chance = Chance::of(seed);
    let bench = Bench::new("kill-revert");
    let old = bench.image("1.0.0", SELF);
    let new = bench.image_of(LARGE, "1.1.0", HOST);
    let mut device = pending(&bench, &old, &new);
    device.smp("os reset").ok();
    device.starts("1.1.0");
    device.type_line("reset");
    nap(chance.below(15_000));
    let mut kills = 0;
    loop {
        device.kill();
        kills += 1;
        let slots = bench.slots();
        device = bench.device().start();
        if slots.run(&old) && slots.confirmed() {
            break;
        }
        nap(chance.below(20_000));
    }
    device.starts("1.0.0");
    let slots = bench.slots();
    assert!(slots.run(&old) && slots.hold(&new) && slots.confirmed(), "seed {seed}: {slots:?}");
    println!("killed during a revert, seed {seed}: {kills} times");
}

#[test]
fn power_cuts_in_any_flash_operation_of_a_swap_only_delay_it() {
    for seed in seeds() {
        let mut chance = Chance::of(seed);
        let bench = Bench::new("cuts");
        let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
        let mut device = pending(&bench, &old, &new);
        let mut cuts = 0;
        device.type_line(&format!("cut {}", 1 + chance.below(60)));
        device.wait("power cut in flash operation");
        device.smp("os reset").ok();
        let started = Instant::now();
        loop {
            if device.wait_any(&["power lost", "1.1.0+0 started"]).contains("started") {
                break;
            }
            cuts += 1;
            device.type_line(&format!("cut {}", 1 + chance.below(60)));
            device.type_line("on");
            assert!(started.elapsed() < Duration::from_secs(60), "seed {seed}: it never ends");
        }
        assert!(bench.slots().run(&new) && bench.slots().hold(&old), "seed {seed}");
        println!("power cut during a swap, seed {seed}: {cuts} times");
    }
}

#[test]
fn a_device_whose_power_fails_while_it_confirms_is_confirmed_or_reverts() {
    for seed in seeds() {
        let mut chance = Chance::of(seed);
        let mut outcomes = [0; 2];
        for round in 0..3 {
            let bench = Bench::new("cut-confirm");
            let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
            let mut device = pending(&bench, &old, &new);
            device.smp("os reset").ok();
            device.starts("1.1.0");
            device.type_line(&format!("cut {}", 1 + chance.below(2)));
            device.wait("power cut in flash operation");
            let answered = device.raw().try_once(|r, b| r.confirm(b, None));
            device.kill();
            let confirmed = bench.slots().confirmed();
            assert!(confirmed || !answered, "told so, but it is not confirmed");
            device = bench.device().start();
            let expected = if confirmed { &new } else { &old };
            device.wait("started, LED");
            assert!(bench.slots().run(expected), "seed {seed}, round {round}");
            outcomes[usize::from(confirmed)] += 1;
        }
        println!("power cut while confirming, seed {seed}: {outcomes:?} reverted and confirmed");
    }
}
