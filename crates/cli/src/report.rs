//! Errors as people see them: what happened, why, and what to do next; and the exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::output::{BAD, GOOD, Output, styled};

/// Exit code of a command that was used wrongly.
const USAGE: u8 = 2;

/// An error with advice, or with a fact for programs.
#[derive(Debug)]
struct Hinted {
    hint: Option<String>,
    fact: Option<(&'static str, Value)>,
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
    /// Adds a field to what `--json` prints of the error.
    fn fact(self, name: &'static str, value: Value) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint, false))
    }

    fn usage(self, hint: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint, true))
    }

    fn fact(self, name: &'static str, value: Value) -> anyhow::Result<T> {
        self.map_err(|error| {
            let fact = Some((name, value));
            Hinted { hint: None, fact, usage: false, source: error.into() }.into()
        })
    }
}

fn hinted(error: impl Into<anyhow::Error>, hint: impl fmt::Display, usage: bool) -> anyhow::Error {
    let hint = Some(hint.to_string());
    Hinted { hint, fact: None, usage, source: error.into() }.into()
}

/// The first error of a kind among the causes, under advice too.
pub fn find<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Hinted>() {
        Some(hinted) => find(&hinted.source),
        None => cause.downcast_ref(),
    })
}

/// All advice, the outermost first. What lies under two of them is met twice.
fn advice(error: &anyhow::Error) -> Vec<&Hinted> {
    let hinted = error.chain().filter_map(|cause| cause.downcast_ref::<Hinted>());
    hinted.flat_map(|hinted| [vec![hinted], advice(&hinted.source)].concat()).collect()
}

/// What is to be tried, each once.
fn hints<'a>(advice: &[&'a Hinted]) -> Vec<&'a str> {
    let mut hints = Vec::new();
    for hint in advice.iter().filter_map(|advice| advice.hint.as_deref()) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
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
    let hints = hints(&advice);
    if out.json() {
        let mut object = json!({ "error": error.to_string(), "causes": causes, "hints": hints });
        for (name, value) in advice.iter().filter_map(|advice| advice.fact.as_ref()) {
            object[name] = value.clone();
        }
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

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use serde_json::json;

    use super::{Hint, advice, hints};

    #[test]
    fn advice_under_advice_is_given_once() {
        let error = Err::<(), _>(anyhow!("wrong board"))
            .hint("sign it for this one")
            .context("refused")
            .fact("imgtool", json!(true))
            .hint("or use imgtool")
            .context("verify")
            .unwrap_err();
        assert_eq!(hints(&advice(&error)), ["or use imgtool", "sign it for this one"]);
        assert!(advice(&error).iter().any(|advice| advice.fact.is_some()));
    }
}
