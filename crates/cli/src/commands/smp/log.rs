//! `updraft smp log`: the logs of a device.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Talk;
use crate::output::{Output, tame};
use crate::smp::LogEntry;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 log show
  updraft smp --udp 192.0.2.7 log show console --from 120
  updraft smp --udp 192.0.2.7 log clear")]
pub enum Command {
    /// The logs that there are.
    List,
    /// The entries of a log, or of all.
    Show {
        /// Name of the log.
        name: Option<String>,
        /// Only from the entry with this number on.
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u32,
        /// Only the last entry.
        #[arg(long)]
        last: bool,
    },
    /// Empty a log, or all.
    Clear {
        /// Name of the log.
        name: Option<String>,
    },
    /// Add a text to a log.
    Append {
        /// Name of the log.
        name: String,
        /// The text.
        text: String,
        /// Its level, as `log levels` numbers them.
        #[arg(long, value_name = "N", default_value_t = 1)]
        level: u8,
    },
    /// The modules that log, with their numbers.
    Modules,
    /// The levels, with their numbers.
    Levels,
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let logs = session.logs()?;
            out.result(&json!({ "logs": logs }), |w| {
                logs.iter().try_for_each(|log| writeln!(w, "{log}"))
            })
        }
        Command::Show { name, from, last } => {
            let entries = session.log_entries(name.as_deref(), from, last)?;
            out.result(&json!({ "entries": entries }), |w| {
                entries.iter().try_for_each(|entry| writeln!(w, "{}", line(entry)))
            })
        }
        Command::Clear { name } => {
            session.clear_log(name.as_deref())?;
            out.result(&json!({ "cleared": true }), |w| writeln!(w, "cleared"))
        }
        Command::Append { name, text, level } => {
            session.append_log(&name, (level, 0), &text)?;
            out.result(&json!({ "appended": true }), |w| writeln!(w, "appended"))
        }
        Command::Modules => numbers(session.log_modules()?, out),
        Command::Levels => numbers(session.log_levels()?, out),
    }
}

/// An entry, for people.
pub(super) fn line(entry: &LogEntry) -> String {
    let LogEntry { log, index, timestamp, module, level, message } = entry;
    let message = match message {
        Value::String(text) => tame(text),
        other => other.to_string(),
    };
    let seconds = *timestamp as f64 / 1e6;
    format!("{log} {index} {seconds:.3} s, module {module}, level {level}: {message}")
}

fn numbers(numbers: crate::smp::Numbers, out: &Output) -> anyhow::Result<()> {
    out.result(&numbers, |w| {
        numbers.iter().try_for_each(|(name, number)| writeln!(w, "{number:>3} {name}"))
    })
}
