//! What people and programs get to see: text with colours that fade when piped, or JSON.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Something that went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something to look at.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Something that failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// A heading.
pub const HEADING: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();

/// How results are shown.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Text unless `json`; no progress and no remarks if `quiet`.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether the result is to be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether standard output is a terminal that takes colours and drawings.
    pub fn is_terminal(&self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Columns of the terminal; 100 where there is none.
    pub fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        columns.unwrap_or(100).clamp(40, 160)
    }

    /// Prints the result: `value` as JSON, or what `text` writes.
    pub fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut stdout = anstream::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut stdout, value)?;
            writeln!(stdout)?;
        } else {
            text(&mut stdout)?;
        }
        stdout.flush()?;
        Ok(())
    }

    /// Prints a line for people; nothing in JSON.
    pub fn line(&self, text: impl Display) -> anyhow::Result<()> {
        if !self.json {
            writeln!(anstream::stdout(), "{text}")?;
        }
        Ok(())
    }

    /// Prints one of many results: `value` as a line of JSON, or `text` as a line.
    pub fn event<T: Serialize>(&self, value: &T, text: impl Display) -> anyhow::Result<()> {
        if !self.json {
            return self.line(text);
        }
        let mut stdout = anstream::stdout().lock();
        serde_json::to_writer(&mut stdout, value)?;
        writeln!(stdout)?;
        Ok(())
    }

    /// Prints a remark on standard error; nothing if quiet.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            // A remark that nobody can read any more is no reason to stop.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// A progress bar over `total` bytes on standard error; hidden when that is no terminal.
    pub fn progress(&self, total: u64, what: &'static str) -> ProgressBar {
        self.bar(total, what, "{bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    /// The same over `total` steps.
    pub fn steps(&self, total: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
        self.bar(total, what, "{pos}/{len} {eta}")
    }

    fn bar(&self, total: u64, what: impl Into<Cow<'static, str>>, figures: &str) -> ProgressBar {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(&format!("{{msg:>10}} {{bar:40.cyan}} {figures}"));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// `text` in `style`; colours are dropped where the stream takes none.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A size in bytes as people read it: exact bytes below 1 KiB, else KiB or MiB.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ if bytes.is_multiple_of(1_048_576) => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// What a device says, for a terminal: colours stay, and whatever else would steer the terminal goes.
pub fn tame(text: &str) -> String {
    let (mut tamed, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let len = match colour(rest) {
            Some(len) => len,
            None if first.is_control() && !matches!(first, '\n' | '\t') => {
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
                continue;
            }
            None => first.len_utf8(),
        };
        let (taken, left) = rest.split_at(len);
        tamed.push_str(taken);
        rest = left;
    }
    tamed
}

/// Bytes of the sequence for a colour that a text begins with.
fn colour(text: &str) -> Option<usize> {
    const BEGINNING: &str = "\x1b[";
    let numbers = text.strip_prefix(BEGINNING)?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    numbers.get(end..)?.starts_with('m').then_some(BEGINNING.len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::tame;

    #[test]
    fn what_a_device_says_has_colours_and_steers_nothing() {
        assert_eq!(tame("a\tb\nc\x1b[1;31mred\x1b[m"), "a\tb\nc\x1b[1;31mred\x1b[m");
        assert_eq!(tame("\x1b[2J\x1b]0;title\x07\r\x08x\x1b["), "[2J]0;titlex[");
        assert_eq!(tame("ä\u{9b}2J\u{fffd}"), "ä2J\u{fffd}");
    }
}
