//! Everything that has to pass before a change lands.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::fuzz::Driver;
use crate::process::{cargo, run as run_command, run_quietly, succeeds};
use crate::runner::{self, Runner};
use crate::seed;
use crate::steps::{Outcome, Steps};
use crate::{chip, deps, firmware, fuzz, mutants, qemu, reports, setup, size};

/// How long faults are planted.
const MUTANTS_TIME: Duration = Duration::from_secs(3 * 60);
/// How long each fuzz target runs.
const FUZZ_SECONDS: u64 = 5;

/// `cargo xtask test [--core] [--seed N]`.
pub fn run(args: &[String]) -> Result<()> {
    let core = args.iter().any(|arg| arg == "--core");
    let seed = seed::choose(args)?;
    println!("seed {seed}; `--seed {seed}` replays the random tests");

    let mut steps = Steps::default();
    if core {
        let why = "--core: foreign tools are not asked for";
        steps.step("setup", || Ok(Outcome::LeftOut(why.to_owned())));
    } else {
        // Without the foreign tools half of the tests would fail one by one, and say less.
        println!("\n── setup ──");
        setup::ensure()?;
    }
    steps.step("format", || {
        cargo_step(&["fmt", "--all", "--check"])?;
        cargo_step(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
        cargo_step(&["fmt", "--manifest-path", "firmware/Cargo.toml", "--all", "--check"])?;
        cargo_step(&["fmt", "--manifest-path", "xtask/size-probe/Cargo.toml", "--check"])
    });
    steps.step("deps", || deps::run(&[]).map(|()| Outcome::passed()));
    steps.step("clippy", || {
        let what = ["clippy", "--quiet", "--workspace", "--all-targets", "--all-features"];
        cargo_step(&[&what[..], &["--", "-D", "warnings"]].concat())
    });
    steps.step("doc", doc);
    steps.step("build", || {
        let package = ["--manifest-path", "firmware/Cargo.toml", "--package", "firmware-build"];
        let lint = ["clippy", "--quiet", "--all-targets"];
        cargo_step(&[&lint[..], &package, &["--", "-D", "warnings"]].concat())?;
        run_quietly(&mut cargo([&["test", "--quiet"], &package[..]].concat()))
            .map(|()| Outcome::Passed("which keys a bootloader is given".to_owned()))
    });
    // A compiler for the chip is one of the things that setup brings: without it, half of the tests
    // would pass because there is nothing to run.
    let needed = |outcome| match outcome {
        Outcome::LeftOut(why) if !core => Outcome::Failed(why),
        outcome => outcome,
    };
    steps.step("firmware", || firmware::build_all().map(needed));
    let (mut closing, mut said) = (Vec::new(), Vec::new());
    steps.step("tests", || tests(core, seed, &mut closing, &mut said));
    steps.step("qemu", || match core {
        true => Ok(Outcome::LeftOut("--core: QEMU is not asked for".to_owned())),
        false => qemu::smoke(),
    });
    steps.step("doctests", || {
        let args = ["test", "--quiet", "--workspace", "--all-features", "--doc"];
        run_quietly(&mut cargo(args)).map(|()| Outcome::passed())
    });
    steps.step("chip", || chip::build().map(needed));
    steps.step("size", || size::check().map(needed));
    steps.step("mutants", || match core {
        true => Ok(Outcome::LeftOut("--core: foreign tools notice some faults".to_owned())),
        false => mutants::rotate(MUTANTS_TIME),
    });
    steps.step("fuzz", || fuzz::smoke(Driver::Seeded, seed, FUZZ_SECONDS));
    steps.step("deny", deny);

    println!("\n── reports ──\nseed {seed}");
    for line in &said {
        println!("{line}");
    }
    // Last what most people look for.
    steps.print();
    println!("\n── the test runner's closing lines ──");
    for line in &closing {
        println!("{line}");
    }
    steps.verdict()
}

fn cargo_step(args: &[&str]) -> Result<Outcome> {
    run_command(&mut cargo(args)).map(|()| Outcome::passed())
}

fn doc() -> Result<Outcome> {
    let mut command = cargo(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"]);
    run_command(command.env("RUSTDOCFLAGS", "-D warnings")).map(|()| Outcome::passed())
}

fn tests(
    core: bool,
    seed: u64,
    closing: &mut Vec<String>,
    said: &mut Vec<String>,
) -> Result<Outcome> {
    let runner = Runner::choose();
    let mut command = runner.command(&["--workspace", "--all-features"]);
    seed::plant(&mut command, seed);
    if core {
        command.env("UPDRAFT_CORE", "1");
    } else {
        qemu::with_programs(&mut command);
    }
    reports::forget("default")?;
    let ran = runner::run(&mut command)?;
    *said = reports::of_last_run(runner, "default");
    *closing = ran.closing;
    if !ran.passed {
        bail!("replay the random ones with --seed {seed}");
    }
    Ok(Outcome::Passed(closing.first().map(|line| line.trim().to_owned()).unwrap_or_default()))
}

fn deny() -> Result<Outcome> {
    if !succeeds(&mut cargo(["deny", "--version"])) {
        let why = "cargo-deny is not installed; `deps` has checked the licences";
        return Ok(Outcome::LeftOut(why.to_owned()));
    }
    cargo_step(&[
        "deny",
        "--all-features",
        "check",
        "--disable-fetch",
        "licenses",
        "bans",
        "sources",
    ])
}
