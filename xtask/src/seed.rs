//! The seed of random tests: fresh for each run, printed, and given back to replay one.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Takes `NAME VALUE` out of a command's arguments.
pub fn option(args: &[String], name: &str) -> Result<Option<u64>> {
    let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(None) };
    let value = args.get(at + 1).with_context(|| format!("{name} takes a number"))?;
    value.parse().map(Some).with_context(|| format!("{name} takes a number, not `{value}`"))
}

/// The seed that `--seed N` asks for, or a fresh one.
pub fn choose(args: &[String]) -> Result<u64> {
    let fresh = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20)
    };
    Ok(option(args, "--seed")?.unwrap_or_else(fresh))
}

/// Hands the seed to the tests that a command runs.
pub fn plant(command: &mut Command, seed: u64) -> &mut Command {
    command.env("UPDRAFT_SEED", seed.to_string()).env("PROPTEST_RNG_SEED", seed.to_string())
}
