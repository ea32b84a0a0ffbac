//! `updraft smp stat`: counters of a device.

use clap::Subcommand;
use serde_json::{Map, json};
use updraft_smp::client::AnswerError;

use super::Talk;
use crate::output::{HEADING, Output, styled};
use crate::report::find;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 stat list
  updraft smp --udp 192.0.2.7 stat show smp_svr_stats
  updraft smp --udp 192.0.2.7 --json stat show")]
pub enum Command {
    /// The groups of counters.
    List,
    /// The counters of a group, or of all.
    Show {
        /// Name of the group.
        group: Option<String>,
    },
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let groups = session.statistics_groups()?;
            out.result(&json!({ "groups": groups }), |w| {
                groups.iter().try_for_each(|group| writeln!(w, "{group}"))
            })
        }
        Command::Show { group } => {
            let all = group.is_none();
            let groups = match group {
                Some(group) => vec![group],
                None => session.statistics_groups()?,
            };
            let mut found = Vec::new();
            for group in groups {
                match session.counters(&group) {
                    Ok(counters) => found.push((group, counters)),
                    // One group that is too large for an answer does not hide the others.
                    Err(error) if all && find::<AnswerError>(&error).is_some() => {
                        out.note(format!("{group}: {error:#}"));
                    }
                    Err(error) => return Err(error),
                }
            }
            let map: Map<_, _> =
                found.iter().map(|(group, counters)| (group.clone(), json!(counters))).collect();
            out.result(&map, |w| {
                found.iter().try_for_each(|(group, counters)| {
                    writeln!(w, "{}", styled(HEADING, group))?;
                    counters.iter().try_for_each(|(name, value)| writeln!(w, "{name:<24} {value}"))
                })
            })
        }
    }
}
