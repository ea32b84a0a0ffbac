//! `updraft smp enum`: which groups a device has; and `updraft smp custom`: any command of them.

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::{Value, json};
use updraft_smp::Op;

use super::Talk;
use crate::output::{HEADING, Output, styled};
use crate::report::Hint;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 enum details
  updraft smp --udp 192.0.2.7 enum details 0 8
  updraft smp --udp 192.0.2.7 --json enum list")]
pub enum Command {
    /// How many groups there are.
    Count,
    /// The numbers of the groups.
    List,
    /// One group by its place in the list.
    Single {
        /// Its place, counted from 0.
        index: u32,
    },
    /// Names and sizes of the groups.
    Details {
        /// Only these groups.
        groups: Vec<u16>,
    },
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::Count => {
            let count = session.group_count()?;
            out.result(&json!({ "count": count }), |w| writeln!(w, "{count}"))
        }
        Command::List => {
            let groups = session.group_ids()?;
            out.result(&json!({ "groups": groups }), |w| {
                groups.iter().try_for_each(|group| writeln!(w, "{group}"))
            })
        }
        Command::Single { index } => {
            let (group, end) = session.group_at(index)?;
            out.result(&json!({ "group": group, "end": end }), |w| {
                writeln!(w, "{group}{}", if end { ", the last" } else { "" })
            })
        }
        Command::Details { groups } => {
            let groups = session.group_details((!groups.is_empty()).then_some(&groups))?;
            out.result(&json!({ "groups": groups }), |w| {
                writeln!(w, "{}", styled(HEADING, "group commands name"))?;
                groups.iter().try_for_each(|group| {
                    let handlers = group.handlers.map_or("-".into(), |count| count.to_string());
                    let name = group.name.as_deref().unwrap_or("-");
                    writeln!(w, "{:>5} {handlers:>8} {name}", group.group)
                })
            })
        }
    }
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 custom 0 6
  updraft smp --udp 192.0.2.7 custom 64 1 '{\"level\": 3}' --write
  updraft smp --udp 192.0.2.7 custom 100 0 '{\"data\": {\"$hex\": \"00ff\"}}' --write

Byte strings are {\"$hex\": \"…\"}, in the payload and in the answer.")]
pub struct Custom {
    /// Number of the group.
    group: u16,
    /// Number of the command.
    id: u8,
    /// The payload.
    #[arg(default_value = "{}")]
    payload: String,
    /// Write instead of read.
    #[arg(long, short)]
    write: bool,
}

pub fn custom(session: &mut Talk, command: Custom, out: &Output) -> anyhow::Result<()> {
    let payload: Value = serde_json::from_str(&command.payload)
        .map_err(|error| anyhow!("the payload is no JSON: {error}"))
        .usage("an object, in quotes for the shell: '{\"key\": 1}'")?;
    let op = if command.write { Op::Write } else { Op::Read };
    let answer = session.custom(op, (command.group, command.id), &payload)?;
    out.result(&answer, |w| writeln!(w, "{answer:#}"))
}
