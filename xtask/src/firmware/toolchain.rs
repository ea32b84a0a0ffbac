//! A compiler for Cortex-M: the usual one with its core library, or one that comes with the
//! library's source and builds that, too.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::chip::has_core;
use crate::process::{cargo, output, program, run_quietly, succeeds};

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

/// There is none.
#[derive(Clone, Debug)]
pub struct NoToolchain(String);

impl fmt::Display for NoToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no core library for {0}: `rustup target add {0}` brings one; or, on Debian, `apt-get \
             install rustc-web cargo-web rust-web-src lld` brings a compiler that builds it",
            self.0
        )
    }
}

impl std::error::Error for NoToolchain {}

/// Where Debian has compilers beside the usual one.
const DISTRIBUTION: &str = "/usr/bin";
/// Linkers for ARM by preference; the last one is what rustup's toolchains bring.
const LINKERS: [&str; 3] = ["ld.lld", "arm-none-eabi-ld", "rust-lld"];

impl Toolchain {
    /// The usual one if it has the target or can get it; else the distribution's.
    pub fn choose(target: &str) -> Result<Self, NoToolchain> {
        let add = || run_quietly(&mut program("rustup", ["target", "add", target])).is_ok();
        if has_core(target) || (add() && has_core(target)) {
            return Ok(Self::Usual);
        }
        Self::with_source(target).ok_or_else(|| NoToolchain(target.to_owned()))
    }

    fn with_source(target: &str) -> Option<Self> {
        let (rustc, cargo) =
            (Path::new(DISTRIBUTION).join("rustc"), Path::new(DISTRIBUTION).join("cargo"));
        let sysroot = output(&mut program(&rustc, ["--print", "sysroot"])).ok()?;
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
        let exists = |linker: &&&str| succeeds(&mut program(linker, ["--version"]));
        let linker = LINKERS.iter().find(exists)?;
        let variable = target.to_uppercase().replace('-', "_");
        (source.exists() && cargo.exists()).then(|| Self::WithSource {
            cargo,
            rustc,
            linker: (*linker).to_owned(),
            linker_variable: format!("CARGO_TARGET_{variable}_LINKER"),
        })
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
                    program(cargo, [subcommand, "-Zbuild-std=core,compiler_builtins"]);
                command.arg("-Zbuild-std-features=compiler-builtins-mem");
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", rustc);
                command.env(linker_variable, linker);
                command
            }
        }
    }
}
