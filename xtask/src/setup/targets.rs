//! The standard library's core for Cortex-M.

use anyhow::{Context, Result};

use super::Need;
use crate::chip::{self, TARGETS};
use crate::process::{program, run};

struct Target(&'static str);

pub fn needs() -> Vec<Box<dyn Need>> {
    TARGETS.iter().map(|target| Box::new(Target(target)) as Box<dyn Need>).collect()
}

impl Need for Target {
    fn name(&self) -> String {
        format!("target {}", self.0)
    }

    fn purpose(&self) -> &'static str {
        "building for the chip"
    }

    fn is_met(&self) -> bool {
        chip::has_core(self.0)
    }

    fn install(&self) -> Result<()> {
        run(&mut program("rustup", ["target", "add", self.0])).with_context(|| {
            format!(
                "rustup does not bring {}; a toolchain with its library's source builds for the \
                 chip as well: `cargo build -Z build-std=core`",
                self.0
            )
        })
    }

    fn is_optional(&self) -> bool {
        true
    }
}
