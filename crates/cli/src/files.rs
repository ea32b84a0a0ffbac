//! Writing results into files, see [`updraft_sign::files`], with advice where that is refused.

use std::path::Path;

use updraft_sign::files::{self, WriteError};

use crate::report::Hint;

pub use updraft_sign::files::Mode;

/// Writes `bytes` to `path`, whole or not at all.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> anyhow::Result<()> {
    advised(files::write(path, bytes, mode))
}

/// Writes results that belong together: all of them appear, or none.
pub fn write_all(files: &[(&Path, &[u8])]) -> anyhow::Result<()> {
    advised(files::write_all(files))
}

/// The same of secrets and results together.
pub fn write_all_as(files: &[(&Path, &[u8], Mode)]) -> anyhow::Result<()> {
    advised(files::write_all_as(files))
}

/// Refuses outputs that are one file, and outputs that are one of the inputs.
pub fn apart(outputs: &[&Path], inputs: &[&Path]) -> anyhow::Result<()> {
    advised(files::apart(outputs, inputs))
}

fn advised(written: Result<(), WriteError>) -> anyhow::Result<()> {
    written.or_else(|error| {
        let remedy = error.remedy();
        match error {
            WriteError::Exists(_) => Err(error).hint(
                "choose another name; --force overwrites, and what only that key has signed can \
                 then never be updated again",
            ),
            WriteError::Io { .. } => Err(error).hint(remedy),
            _ => Err(error).usage(remedy),
        }
    })
}
