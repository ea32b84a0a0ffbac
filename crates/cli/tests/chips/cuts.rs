//! Power cuts: the emulator is killed, and started again on the flash that it leaves.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chance, MPS2};
use crate::story::{HOST, running};

#[test]
fn a_chip_killed_during_a_swap_always_comes_back() {
    let Some(bench) = Bench::new(MPS2, "killed-in-swap") else { return };
    let mut chance = Chance::new();
    let (old, new) = (bench.image("1.0.0", HOST), bench.image("2.0.0", HOST));
    let (mut lives, mut swaps, mut resumed) = (0, 0, 0);
    while swaps < 8 {
        bench.provision(&old);
        bench.request(&new.bytes, true);
        for _ in 0..4 {
            let chip = bench.start();
            std::thread::sleep(Duration::from_millis(chance.below(150)));
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
