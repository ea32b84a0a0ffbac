//! What may be wrong around a chip: what is in its slots, on its line, in its cells, and the flash itself.
//! Whatever it is: an image that can run is started, and else the console says why not and what next.

mod flash;
mod line;
mod slots;
mod torn;

use crate::bench::{Bench, Chance, Powered};

/// Bytes that mean nothing.
fn garbage(chance: &mut Chance, len: usize) -> Vec<u8> {
    (0..len).map(|_| chance.below(256) as u8).collect()
}

/// The chip starts this version, and says all of `lines` on the way there, in their order.
fn starts<'b>(bench: &'b Bench, version: &str, lines: &[&str]) -> Powered<'b> {
    let chip = bench.start();
    lines.iter().for_each(|line| chip.wait(line));
    chip.wait(&format!("boot: starting {version}"));
    chip.wait("app: self-test passed");
    chip
}
