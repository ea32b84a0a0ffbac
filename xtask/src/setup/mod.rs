//! What the tests need from outside, and how to get it. Each thing is looked for first, so that
//! running this where all is there costs a moment.

mod debian;
mod programs;
mod python;
mod targets;
mod zephyr;

use std::path::Path;

use anyhow::{Result, bail};

use crate::process::{output, program};

pub use python::venv;

/// One thing that tests need.
trait Need {
    /// What it is, and its version where one is pinned.
    fn name(&self) -> String;
    /// Which tests need it.
    fn purpose(&self) -> &'static str;
    /// Whether it is there, in the right version.
    fn is_met(&self) -> bool;
    /// Gets it.
    fn install(&self) -> Result<()>;
    /// Whether only the system's administrator can get it.
    fn needs_root(&self) -> bool {
        false
    }
}

/// All needs, in the order in which they can be met.
fn needs() -> Vec<Box<dyn Need>> {
    let mut needs = debian::needs();
    needs.extend(python::needs());
    needs.extend(zephyr::needs());
    needs.extend(programs::needs());
    needs.extend(targets::needs());
    needs
}

/// `cargo xtask setup [--check]`.
pub fn run(args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--check") {
        return check();
    }
    let mut failed = Vec::new();
    for need in needs() {
        if need.is_met() {
            println!("there      {}", need.name());
            continue;
        }
        if need.needs_root() && !(is_root() && is_debian()) {
            failed.push(format!("{} ({})", need.name(), need.purpose()));
            continue;
        }
        println!("installing {} ({})", need.name(), need.purpose());
        match need.install() {
            Ok(()) if need.is_met() => {}
            Ok(()) => failed.push(format!("{}: installed, but still not found", need.name())),
            Err(why) => failed.push(format!("{}: {why:#}", need.name())),
        }
    }
    if !failed.is_empty() {
        bail!("not there:\n  {}\n{}", failed.join("\n  "), advice());
    }
    Ok(())
}

/// Says what is missing; fails if tests cannot go on without it.
fn check() -> Result<()> {
    let missing: Vec<_> = needs().into_iter().filter(|need| !need.is_met()).collect();
    for need in &missing {
        println!("missing: {} ({})", need.name(), need.purpose());
    }
    if !missing.is_empty() {
        bail!("something is missing\n{}", advice());
    }
    println!("all that the tests need is there");
    Ok(())
}

/// Meets every need: installs where that is possible without asking, otherwise says how.
pub fn ensure() -> Result<()> {
    if is_root() && is_debian() { run(&[]) } else { check() }
}

fn advice() -> &'static str {
    if is_debian() {
        "hint: `sudo cargo xtask setup` installs it; `cargo xtask test --core` does without"
    } else {
        "hint: install it with your system's package manager, then `cargo xtask setup` does the \
         rest; `cargo xtask test --core` does without"
    }
}

fn is_root() -> bool {
    output(&mut program("id", ["-u"])).is_ok_and(|id| id.trim() == "0")
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}
