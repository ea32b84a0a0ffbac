//! A moment of every fuzz target: by libFuzzer where `cargo fuzz` is installed, otherwise over
//! seeded random input by the targets' own driver.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, run as run_command, succeeds};
use crate::runner;
use crate::seed;
use crate::steps::Outcome;
use crate::workspace;

/// How the targets are driven.
#[derive(Clone, Copy)]
pub enum Driver {
    /// libFuzzer: follows coverage.
    LibFuzzer,
    /// The driver in `fuzz/tests`: follows the seed.
    Seeded,
}

impl Driver {
    /// libFuzzer if it is there.
    pub fn choose() -> Self {
        let there = succeeds(&mut cargo(["fuzz", "--version"]));
        if there { Self::LibFuzzer } else { Self::Seeded }
    }
}

/// `cargo xtask fuzz-smoke [--seed N] [--seconds N]`.
pub fn run(args: &[String]) -> Result<()> {
    let seconds = seed::option(args, "--seconds")?.unwrap_or(10);
    match smoke(Driver::choose(), seed::choose(args)?, seconds)? {
        Outcome::Passed(figure) => println!("{figure}"),
        Outcome::LeftOut(why) | Outcome::Failed(why) => bail!("{why}"),
    }
    Ok(())
}

/// Runs every target for so many seconds.
pub fn smoke(driver: Driver, seed: u64, seconds: u64) -> Result<Outcome> {
    let targets = targets()?;
    let count = targets.len();
    match driver {
        Driver::LibFuzzer => {
            let seeds = ["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml"];
            run_command(cargo(seeds).args(["--bin", "seed-corpus"]))?;
            for target in targets {
                run_command(
                    cargo(["fuzz", "run", "--sanitizer", "none", "--features", "libfuzzer"])
                        .args([&target, "--"])
                        .arg(format!("-max_total_time={seconds}"))
                        .arg(format!("-seed={}", seed % u64::from(u32::MAX)))
                        .args(["-max_len=4096", "-verbosity=0"]),
                )
                .with_context(|| format!("{target}: replay with --seed {seed}"))?;
            }
            Ok(Outcome::Passed(format!("{count} targets × {seconds} s by libFuzzer, seed {seed}")))
        }
        Driver::Seeded => {
            let mut command = cargo(["test", "--manifest-path", "fuzz/Cargo.toml", "--tests"]);
            seed::plant(&mut command, seed).env("UPDRAFT_FUZZ_SECONDS", seconds.to_string());
            command.args(["--", "--nocapture", "--test-threads", "2"]);
            if !runner::run(&mut command)?.passed {
                bail!("a target fell over; replay with --seed {seed}");
            }
            Ok(Outcome::Passed(format!("{count} targets × {seconds} s, seed {seed}")))
        }
    }
}

fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for file in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        names.push(file?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
