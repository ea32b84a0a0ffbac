//! Evidence: what a long proof found, and all that is needed to find it again.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{output, program};
use crate::workspace;

/// What goes into `docs/evidence/NAME.md`.
pub struct Evidence<'a> {
    /// The proof.
    pub name: &'a str,
    /// What it proves, in a sentence.
    pub about: &'a str,
    /// The command line that was run.
    pub command: &'a str,
    /// The seed of its random parts.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// What came out, line by line.
    pub figures: &'a [String],
    /// What came out, as Markdown.
    pub tables: &'a str,
}

impl Evidence<'_> {
    /// Writes the page.
    pub fn write(&self) -> Result<()> {
        let Self { name, about, command, seed, took, figures, tables } = self;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let figures = match figures {
            [] => String::new(),
            lines => format!("\n```text\n{}\n```\n", lines.join("\n")),
        };
        let tables = match *tables {
            "" => String::new(),
            tables => format!("\n{}\n", tables.trim_end()),
        };
        let page = format!(
            "# {name}\n\n{about}\n\n| | |\n|---|---|\n| commit | {} |\n| command | `cargo xtask \
             long --seed {seed} {name}` |\n| which runs | `{command}` |\n| cores | {cores} |\n| \
             seed | {seed} |\n| took | {:.0} s |\n{figures}{tables}",
            commit()?,
            took.as_secs_f64(),
        );
        let path = workspace::root().join("docs/evidence").join(format!("{name}.md"));
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The commit, and whether files differ from it.
pub fn commit() -> Result<String> {
    let commit = output(&mut program("git", ["rev-parse", "--short=12", "HEAD"]))?;
    let changes = output(&mut program(
        "git",
        ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/evidence"],
    ))?;
    let state = if changes.is_empty() { "" } else { " and changes on top" };
    Ok(format!("{}{state}", commit.trim()))
}
