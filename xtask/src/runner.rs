//! Running tests: the output passes through, and the runner's closing lines are kept to be printed
//! once more where a reader looks first.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result};

use crate::process::{line, succeeds};

/// What a test run came to.
pub struct Ran {
    /// The runner succeeded.
    pub passed: bool,
    /// The runner's own closing lines.
    pub closing: Vec<String>,
}

/// Which program runs the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// `cargo nextest run`.
    Nextest,
    /// `cargo test`, where nextest is not installed.
    Cargo,
}

impl Runner {
    /// nextest if it is there.
    pub fn choose() -> Self {
        if succeeds(&mut crate::process::cargo(["nextest", "--version"])) {
            Self::Nextest
        } else {
            Self::Cargo
        }
    }

    /// The runner's command line with the selection of tests given. Doctests are not part of it.
    pub fn command(self, selection: &[&str]) -> Command {
        match self {
            Self::Nextest => {
                let mut command = crate::process::cargo(["nextest", "run"]);
                command.args(selection).arg("--no-fail-fast");
                command.arg(format!("--test-threads={}", at_once()));
                command
            }
            Self::Cargo => {
                let mut command = crate::process::cargo(["test", "--no-fail-fast"]);
                command.args(selection).args(["--lib", "--bins", "--tests"]);
                command
            }
        }
    }

    /// The same, for whoever wants to know only whether all tests pass, as soon as may be.
    pub fn first_failure(self, selection: &[&str]) -> Command {
        let mut command = match self {
            Self::Nextest => {
                crate::process::cargo(["nextest", "run", "--cargo-quiet", "--fail-fast"])
            }
            Self::Cargo => crate::process::cargo(["test", "--quiet"]),
        };
        command.args(selection);
        if self == Self::Nextest {
            command.arg(format!("--test-threads={}", at_once()));
        }
        command
    }
}

/// How many tests run at once. A good part of them waits for devices, emulators and brokers, so that
/// cores would be idle with one each.
fn at_once() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores + cores.div_ceil(2)
}

/// Runs a test runner and keeps its closing lines.
pub fn run(command: &mut Command) -> Result<Ran> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let out = child.stdout.take().map(|pipe| thread::spawn(|| echo(pipe)));
    let err = child.stderr.take().map(|pipe| thread::spawn(|| echo(pipe)));
    let status = child.wait().with_context(|| format!("lost `{}`", line(command)))?;
    let mut closing = Vec::new();
    for reader in [out, err].into_iter().flatten() {
        closing.extend(reader.join().unwrap_or_default());
    }
    Ok(Ran { passed: status.success(), closing })
}

/// Copies a stream to the terminal and returns its closing lines: nextest's from its summary to
/// the end, and libtest's one for each test binary that ran a test.
fn echo(stream: impl Read) -> Vec<String> {
    let mut closing = Vec::new();
    let mut in_summary = false;
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        in_summary |= line.trim_start().starts_with("Summary [");
        let result = line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed");
        // A reader that went away is no reason to stop draining the pipe.
        let _ = writeln!(std::io::stdout(), "{line}");
        if in_summary || result {
            closing.push(line);
        }
    }
    closing
}
