//! imgtool's recorded inputs and outputs: `vectors/mcuboot`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name)
}

pub fn file(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

pub fn manifest() -> Value {
    serde_json::from_slice(&file("manifest.json")).unwrap()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Counts what was left out, by reason, and prints it.
#[derive(Default)]
pub struct Tally {
    run: usize,
    excluded: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn run(&mut self) {
        self.run += 1;
    }

    pub fn exclude(&mut self, reason: &'static str) {
        *self.excluded.entry(reason).or_default() += 1;
    }

    /// Prints and returns run and total.
    pub fn report(&self, what: &str) -> (usize, usize) {
        let total = self.run + self.excluded.values().sum::<usize>();
        println!("{what}: {} run / {total} total", self.run);
        for (reason, count) in &self.excluded {
            println!("  {count} not run: {reason}");
        }
        (self.run, total)
    }
}
