//! Builds the crates of the chip for the chip: the proof that they need no operating system.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::deps;
use crate::firmware::Toolchain;
use crate::hardening;
use crate::process::{output, program, run as run_command};
use crate::steps::Outcome;
use crate::workspace::{self, CHIP_CRATES, RADIO_CRATES, package};

/// Cortex-M0, Cortex-M4 and Cortex-M4 with its floating-point unit.
pub const TARGETS: [&str; 3] =
    ["thumbv6m-none-eabi", "thumbv7em-none-eabi", "thumbv7em-none-eabihf"];

/// What programs of boards are built for besides: Cortex-M3, whose code is that of Cortex-M4 without
/// its DSP instructions.
pub const BOARDS_TARGETS: [&str; 1] = ["thumbv7m-none-eabi"];

/// The one that can only load and store.
const WITHOUT_ATOMICS: &str = "thumbv6m-none-eabi";

/// Whether the toolchain has a core library for the target.
pub fn has_core(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output(&mut program(rustc, ["--print", "target-libdir", "--target", target])).is_ok_and(|dir| {
        std::fs::read_dir(Path::new(dir.trim())).is_ok_and(|files| {
            files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}

/// Builds with the compact algorithms of the bootloaders that are weighed.
pub fn as_weighed(command: &mut Command) {
    command.arg("--config").arg(workspace::root().join("xtask/size-probe/.cargo/config.toml"));
    command.env_remove("RUSTFLAGS");
}

/// `cargo xtask chip`.
pub fn run(_: &[String]) -> Result<()> {
    match build()? {
        Outcome::Passed(figure) => println!("{figure}"),
        Outcome::LeftOut(why) | Outcome::Failed(why) => bail!("{why}"),
    }
    Ok(())
}

/// A command of cargo's for the crates of the chip.
pub fn compile(toolchain: &Toolchain, subcommand: &str, target: &str) -> Command {
    let mut command = toolchain.cargo(subcommand);
    command.args(["--quiet", "--profile", "chip", "--target", target]);
    command.env("CARGO_TARGET_DIR", toolchain.workspace_target());
    command
}

/// Builds for every target that there is a toolchain for, without and with all algorithms.
pub fn build() -> Result<Outcome> {
    let packages: Vec<String> = CHIP_CRATES.into_iter().map(package).collect();
    let algorithms = deps::algorithm_features()?;
    let (mut built, mut missing) = (0, None);
    let mut places = 0;
    for target in TARGETS {
        let toolchain = match Toolchain::choose(target) {
            Ok(toolchain) => toolchain,
            Err(none) => {
                missing = Some(none.to_string());
                continue;
            }
        };
        built += 1;
        for features in [String::new(), algorithms.join(",")] {
            let mut command = compile(&toolchain, "build", target);
            as_weighed(&mut command);
            for package in &packages {
                command.args(["--package", package]);
            }
            if !features.is_empty() {
                command.args(["--features", &features]);
            }
            run_command(&mut command)?;
        }
        places += hardening::check(target, &toolchain)?;
        if target != WITHOUT_ATOMICS {
            let mut command = compile(&toolchain, "build", target);
            for package in RADIO_CRATES.into_iter().map(package) {
                command.args(["--package", &package]);
            }
            run_command(&mut command)?;
        }
    }
    if let Some(why) = missing {
        return Ok(Outcome::LeftOut(why));
    }
    let packages = packages.join(" ");
    let radio = RADIO_CRATES.map(package).join(" ");
    Ok(Outcome::Passed(format!(
        "{built} × {packages}, {radio} but on Cortex-M0; {places} double tests in place"
    )))
}
