//! A compiler for Cortex-M: the usual one with its core library, or one that comes with the
//! library's source and builds that, too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::Result;

use crate::chip::has_core;
use crate::process::{cargo, output, program, succeeds};
use crate::workspace;

/// How programs for a target are built.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The toolchain that runs this has the target's core library.
    Usual,
    /// Another one, with its library's source: Debian's `rustc-web`, `cargo-web`, `rust-web-src`.
    /// Compiler and source have to be of one version, so that the usual compiler will not do.
    WithSource {
        /// Its cargo.
        cargo: PathBuf,
        /// Its compiler.
        rustc: PathBuf,
        /// A linker for ARM.
        linker: String,
        /// The variable that names the linker to cargo.
        linker_variable: String,
    },
}

/// There is none for the target.
#[derive(Clone, Debug)]
pub struct NoToolchain {
    target: String,
    /// The version of the one with source, if it is older than what this takes.
    too_old: Option<Version>,
}

/// Major and minor.
type Version = (u32, u32);

impl fmt::Display for NoToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no core library for {0}: `rustup target add {0}` brings one; or, on Debian, `apt-get \
             update && apt-get install {1}` brings a compiler that builds it",
            self.target,
            DEBIAN.join(" ")
        )?;
        if let Some((major, minor)) = self.too_old {
            write!(f, " (the one that is there is {major}.{minor}, which is too old)")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoToolchain {}

/// What Debian has it in: `rustc` itself may be of any age, `rustc-web` is kept up with browsers.
pub const DEBIAN: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
/// Where Debian has compilers beside the usual one.
const DISTRIBUTION: &str = "/usr/bin";
/// Linkers for ARM by preference; the last one is what rustup's toolchains bring.
const LINKERS: [&str; 3] = ["ld.lld", "arm-none-eabi-ld", "rust-lld"];

impl Toolchain {
    /// The usual one if it has the target or can get it; else the distribution's. It is looked for once.
    pub fn choose(target: &str) -> Result<Self, NoToolchain> {
        static CHOSEN: Mutex<BTreeMap<String, Result<Toolchain, NoToolchain>>> =
            Mutex::new(BTreeMap::new());
        let mut chosen = CHOSEN.lock().expect("no panic holds it");
        let choice = chosen.entry(target.to_owned()).or_insert_with(|| {
            if !has_core(target) {
                succeeds(&mut program("rustup", ["target", "add", target]));
            }
            Self::find(target)
        });
        choice.clone()
    }

    /// The same of what is there.
    pub fn find(target: &str) -> Result<Self, NoToolchain> {
        if has_core(target) { Ok(Self::Usual) } else { Self::with_source(target) }
    }

    fn with_source(target: &str) -> Result<Self, NoToolchain> {
        let none = |too_old| NoToolchain { target: target.to_owned(), too_old };
        let (rustc, cargo) =
            (Path::new(DISTRIBUTION).join("rustc"), Path::new(DISTRIBUTION).join("cargo"));
        let said = |what: &[&str]| output(&mut program(&rustc, what)).map_err(|_| none(None));
        let sysroot = said(&["--print", "sysroot"])?;
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
        let exists = |linker: &&&str| succeeds(&mut program(linker, ["--version"]));
        let linker = LINKERS.iter().find(exists).ok_or_else(|| none(None))?;
        if !source.exists() || !cargo.exists() {
            return Err(none(None));
        }
        let found = said(&["--version"])?;
        let found = found.split_whitespace().nth(1).and_then(version).ok_or_else(|| none(None))?;
        if found < workspace::rust_version().and_then(|needed| version(&needed)).unwrap_or((0, 0)) {
            return Err(none(Some(found)));
        }
        let variable = target.to_uppercase().replace('-', "_");
        Ok(Self::WithSource {
            cargo,
            rustc,
            linker: (*linker).to_owned(),
            linker_variable: format!("CARGO_TARGET_{variable}_LINKER"),
        })
    }

    /// Where it builds crates of the repository's own workspace.
    pub fn workspace_target(&self) -> PathBuf {
        match self {
            Self::Usual => workspace::target(),
            Self::WithSource { .. } => workspace::target().join("std"),
        }
    }

    /// The two ways keep their results apart.
    pub fn target_dir(&self, base: &Path) -> PathBuf {
        match self {
            Self::Usual => base.to_owned(),
            Self::WithSource { .. } => base.with_extension("std"),
        }
    }

    /// A command of its cargo's that compiles.
    pub fn cargo(&self, subcommand: &str) -> Command {
        match self {
            Self::Usual => cargo([subcommand]),
            Self::WithSource { cargo, rustc, linker, linker_variable } => {
                let mut command =
                    program(cargo, [subcommand, "-Zbuild-std=core,alloc,compiler_builtins"]);
                command.arg("-Zbuild-std-features=compiler-builtins-mem");
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", rustc);
                command.env(linker_variable, linker);
                command
            }
        }
    }
}

/// Major and minor of `1.89` or `1.89.0`.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("1.85.0").unwrap() < version("1.89").unwrap());
        assert!(version("1.100.0").unwrap() > version("1.89").unwrap());
        assert_eq!(version("nightly"), None);
        assert!(workspace::rust_version().and_then(|needed| version(&needed)).is_some());
    }

    #[test]
    fn who_has_no_compiler_for_the_chip_is_told_what_to_install_in_one_line() {
        let none = NoToolchain { target: "thumbv6m-none-eabi".into(), too_old: Some((1, 85)) };
        let told = none.to_string();
        for what in ["rustup target add thumbv6m-none-eabi", "rustc-web", "1.85, which is too old"]
        {
            assert!(told.contains(what), "{told}");
        }
        assert_eq!(told.lines().count(), 1);
    }
}
