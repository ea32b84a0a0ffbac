//! Where things are.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Names another copy of the repository to work on than the one that this was built in.
pub const ELSEWHERE: &str = "UPDRAFT_WORKSPACE";

/// The root of the repository.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
        let root = std::env::var_os(ELSEWHERE).map(PathBuf::from).or_else(here);
        root.expect("xtask lies in the repository's root")
    });
    &ROOT
}

/// Foreign tools that [`crate::setup`] installs; ignored by git.
pub fn tools() -> PathBuf {
    root().join(".tools")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The oldest version of Rust that builds the workspace, as its manifest has it.
pub fn rust_version() -> Option<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).ok()?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "))?;
    Some(line.trim_matches('"').to_owned())
}

/// Crates that run on the chip, lowest first; each is `no_std`.
pub const CHIP_CRATES: [&str; 11] =
    ["dhcp", "image", "flash", "mqtt", "x509", "tls", "smp", "boot", "dfu", "ota", "recovery"];

/// Crates for chips with a radio. Its stack wants atomic operations that Cortex-M0 lacks.
pub const RADIO_CRATES: [&str; 1] = ["ble"];

/// The package of a crate's folder.
pub fn package(folder: &str) -> String {
    format!("updraft-{folder}")
}
