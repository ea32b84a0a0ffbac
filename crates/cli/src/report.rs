//! Errors as people see them: what happened, why, and what to do next; and the exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use crate::output::{BAD, GOOD, Output, styled};

/// Exit code of a command that was used wrongly.
const USAGE: u8 = 2;

/// An error with advice.
#[derive(Debug)]
struct Hinted {
    hint: String,
    usage: bool,
    source: anyhow::Error,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// Adds advice to an error.
pub trait Hint<T> {
    /// Says what to do next. The command failed: exit code 1.
    fn hint(self, hint: impl fmt::Display) -> anyhow::Result<T>;
    /// Says how to call the command instead: exit code 2.
    fn usage(self, hint: impl fmt::Display) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint, false))
    }

    fn usage(self, hint: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint, true))
    }
}

fn hinted(error: impl Into<anyhow::Error>, hint: impl fmt::Display, usage: bool) -> anyhow::Error {
    Hinted { hint: hint.to_string(), usage, source: error.into() }.into()
}

/// The first error of a kind among the causes, under advice too.
pub fn find<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Hinted>() {
        Some(hinted) => find(&hinted.source),
        None => cause.downcast_ref(),
    })
}

/// All advice, the outermost first.
fn advice(error: &anyhow::Error) -> Vec<&Hinted> {
    let hinted = error.chain().filter_map(|cause| cause.downcast_ref::<Hinted>());
    hinted.flat_map(|hinted| [vec![hinted], advice(&hinted.source)].concat()).collect()
}

/// Prints the error and chooses the exit code. A closed pipe is the reader's choice, not an error.
pub fn fail(out: &Output, error: &anyhow::Error) -> ExitCode {
    let closed_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe);
    if closed_pipe {
        return ExitCode::SUCCESS;
    }
    let advice = advice(error);
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    let hints: Vec<&str> = advice.iter().map(|advice| advice.hint.as_str()).collect();
    if out.json() {
        let object = json!({ "error": error.to_string(), "causes": causes, "hints": hints });
        // Standard output may be gone; the exit code still tells.
        let _ = writeln!(std::io::stdout(), "{object}");
    } else {
        let mut stderr = anstream::stderr();
        let _ = writeln!(stderr, "{} {error}", styled(BAD, "error:"));
        for cause in causes {
            let _ = writeln!(stderr, "  because: {cause}");
        }
        for hint in hints {
            let _ = writeln!(stderr, "  {} {hint}", styled(GOOD, "try:"));
        }
    }
    match advice.iter().any(|advice| advice.usage) {
        true => ExitCode::from(USAGE),
        false => ExitCode::FAILURE,
    }
}
