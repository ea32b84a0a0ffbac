//! Tools from PyPI, in their own virtual environment; `xtask/python-tools.txt` pins them.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Need;
use crate::process::{program, run};
use crate::workspace;

const PINS: &str = include_str!("../../python-tools.txt");

struct Tools;

pub fn needs() -> Vec<Box<dyn Need>> {
    vec![Box::new(Tools)]
}

/// The virtual environment.
pub fn venv() -> PathBuf {
    workspace::tools().join("venv")
}

/// The pinned packages and their versions.
fn pins() -> impl Iterator<Item = (&'static str, &'static str)> {
    PINS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("=="))
}

/// Whether a package lies in the environment in this version: pip leaves a folder named after
/// both. Looking for it spares the second that asking pip takes.
fn is_installed((name, version): (&str, &str)) -> bool {
    let info = format!("{name}-{version}.dist-info");
    let lib = venv().join("lib");
    std::fs::read_dir(lib).is_ok_and(|versions| {
        versions.flatten().any(|python| python.path().join("site-packages").join(&info).exists())
    })
}

impl Need for Tools {
    fn name(&self) -> String {
        pins().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
    }

    fn purpose(&self) -> &'static str {
        "foreign signing tool, SMP client, Bluetooth stack and update server; libclang for chips with a radio"
    }

    fn is_met(&self) -> bool {
        venv().join("bin/python").exists() && pins().all(is_installed)
    }

    fn install(&self) -> Result<()> {
        let venv = venv();
        run(program("python3", ["-m", "venv"]).arg(&venv))
            .context("python3 cannot make a virtual environment")?;
        run(program(venv.join("bin/pip"), ["install", "--quiet", "--disable-pip-version-check"])
            .args(["--requirement", "xtask/python-tools.txt"]))
    }
}
