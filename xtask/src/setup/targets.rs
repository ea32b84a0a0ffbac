//! A compiler for Cortex-M: the core library for the one that is there, or Debian's, which builds its own.

use anyhow::{Result, bail};

use super::Need;
use super::debian;
use crate::chip::{BOARDS_TARGETS, TARGETS};
use crate::firmware::{DEBIAN, Toolchain};
use crate::process::{program, run, succeeds};

struct Target(&'static str);

pub fn needs() -> Vec<Box<dyn Need>> {
    TARGETS
        .iter()
        .chain(&BOARDS_TARGETS)
        .map(|target| Box::new(Target(target)) as Box<dyn Need>)
        .collect()
}

fn has_rustup() -> bool {
    succeeds(&mut program("rustup", ["--version"]))
}

impl Need for Target {
    fn name(&self) -> String {
        format!("target {}", self.0)
    }

    fn purpose(&self) -> &'static str {
        "building for the chip"
    }

    fn is_met(&self) -> bool {
        Toolchain::find(self.0).is_ok()
    }

    fn install(&self) -> Result<()> {
        if has_rustup() && run(&mut program("rustup", ["target", "add", self.0])).is_ok() {
            return Ok(());
        }
        if !super::is_debian() {
            bail!("rustup does not bring {}", self.0);
        }
        // A list of packages from before has an older compiler.
        debian::update()?;
        DEBIAN.iter().try_for_each(|package| debian::install(package))
    }

    fn needs_root(&self) -> bool {
        !has_rustup()
    }
}
