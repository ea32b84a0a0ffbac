//! What is wrong with a board file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a board could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No board of that name.
    #[error("there is no board \"{name}\"; {hint}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest names, or all of them.
        hint: String,
    },
    /// The file cannot be read.
    #[error("cannot read the board file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a board file, or describes a board that cannot work.
    #[error("{}", list(file, problems))]
    Refused {
        /// The file.
        file: String,
        /// Everything that is wrong, in the order of checking; never empty.
        problems: Vec<Problem>,
    },
}

fn list(file: &str, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{file}:{problem}")).collect();
    lines.join("\n")
}

/// One thing that is wrong with a board file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1 on; 0 if it belongs to none.
    pub line: usize,
    /// The key, e.g. `area[2].size` for the third area; empty if it belongs to none.
    pub key: String,
    /// What is wrong, with the arithmetic.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Finds keys in the text of a board file.
pub(crate) struct Locator<'t> {
    text: &'t str,
    root: Option<Spanned<DeTable<'t>>>,
}

impl<'t> Locator<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, root: DeTable::parse(text).ok() }
    }

    /// The problem with `key`. A key that is not in the file is placed at the nearest table
    /// around it.
    pub(crate) fn at_key(&self, key: &str, message: String) -> Problem {
        let mut span = 0..0;
        if let Some(root) = &self.root {
            let mut table = Some(root.get_ref());
            for step in key.split('.') {
                let (name, index) = match step.split_once('[') {
                    Some((name, rest)) => (name, rest.trim_end_matches(']').parse().ok()),
                    None => (step, None),
                };
                let Some((at, value)) =
                    table.and_then(|table| table.iter().find(|(key, _)| *key.get_ref() == name))
                else {
                    break;
                };
                let element = index
                    .and_then(|index: usize| value.get_ref().as_array().and_then(|a| a.get(index)));
                match element {
                    Some(element) => {
                        span = element.span();
                        table = element.get_ref().as_table();
                    }
                    None => {
                        span = at.span();
                        table = value.get_ref().as_table();
                    }
                }
            }
        }
        Problem { line: self.line(span.start), key: key.into(), message }
    }

    /// The problem that the parser reports.
    pub(crate) fn parser(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let root = self.root.as_ref().filter(|_| !span.is_empty());
        let key = root.and_then(|root| innermost(root.get_ref(), span.start)).unwrap_or_default();
        let line = if error.span().is_some() { self.line(span.start) } else { 0 };
        Problem { line, key, message: error.message().trim().replace('\n', "; ") }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        // What is missing at the end of the file is missing from its last line.
        line.min(self.text.lines().count().max(1))
    }
}

/// The path of the innermost key whose name or value contains `offset`.
///
/// Every table is searched, whatever its own span says: that of a `[header]` table need not cover
/// the keys below it.
fn innermost(table: &DeTable<'_>, offset: usize) -> Option<String> {
    let here = |key: &str, below: String| match below.is_empty() {
        true => key.to_owned(),
        false if below.starts_with('[') => format!("{key}{below}"),
        false => format!("{key}.{below}"),
    };
    let mut around = None;
    for (key, value) in table {
        if let Some(below) = below(value, offset) {
            return Some(here(key.get_ref(), below));
        }
        if key.span().contains(&offset) || value.span().contains(&offset) {
            around = Some(key.get_ref().clone().into_owned());
        }
    }
    around
}

fn below(value: &Spanned<DeValue<'_>>, offset: usize) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => innermost(table, offset),
        DeValue::Array(array) => {
            array.iter().enumerate().find_map(|(index, element)| match below(element, offset) {
                Some(path) if path.starts_with('[') => Some(format!("[{index}]{path}")),
                Some(path) => Some(format!("[{index}].{path}")),
                None => element.span().contains(&offset).then(|| format!("[{index}]")),
            })
        }
        _ => None,
    }
}
