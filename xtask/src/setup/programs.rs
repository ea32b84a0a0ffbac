//! Programs from crates.io, built into `.tools/bin`.

use anyhow::Result;

use super::Need;
use crate::process::{cargo, output, program, run};
use crate::workspace;

struct Crate {
    name: &'static str,
    version: &'static str,
    purpose: &'static str,
}

pub fn needs() -> Vec<Box<dyn Need>> {
    vec![Box::new(Crate {
        name: "mcumgrctl",
        version: "0.20.0",
        purpose: "foreign SMP client, the fastest one known",
    })]
}

impl Need for Crate {
    fn name(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn purpose(&self) -> &'static str {
        self.purpose
    }

    fn is_met(&self) -> bool {
        let file = workspace::tools().join("bin").join(self.name);
        output(&mut program(file, ["--version"]))
            .is_ok_and(|said| said.split_whitespace().last() == Some(self.version))
    }

    fn install(&self) -> Result<()> {
        run(cargo(["install", self.name, "--version", self.version, "--quiet"])
            .args(["--locked", "--no-default-features", "--root"])
            .arg(workspace::tools())
            .arg("--target-dir")
            .arg(workspace::target().join("tools")))
    }
}
