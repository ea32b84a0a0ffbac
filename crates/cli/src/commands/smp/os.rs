//! `updraft smp os`: the operating system of a device.

use std::fmt::Display;
use std::time::SystemTime;

use anyhow::anyhow;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Subcommand};
use serde_json::json;
use updraft_smp::DateTime;

use super::Talk;
use crate::output::{HEADING, Output, styled};
use crate::report::Hint;
use crate::smp::is_busy;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 os echo hello
  updraft smp --udp 192.0.2.7 os info vi
  updraft smp --udp 192.0.2.7 os datetime now
  updraft smp --serial /dev/ttyACM0 os reset --boot-mode 1")]
pub enum Command {
    /// Have the device say a text again.
    Echo {
        /// The text.
        text: String,
    },
    /// Reset the device.
    Reset {
        /// Do it even if the device says that it is busy.
        #[arg(long)]
        force: bool,
        /// Where to: 0 boots normally, 1 stays in the bootloader.
        #[arg(long, value_name = "N")]
        boot_mode: Option<u8>,
    },
    /// The device's message buffers.
    Params,
    /// The tasks: priorities, states, stacks.
    #[command(visible_alias = "tasks")]
    Taskstat,
    /// The memory pools.
    #[command(visible_alias = "pools")]
    Mpstat,
    /// What the device's clock shows; or set it.
    Datetime {
        /// The moment to set it to, such as 2026-11-21T01:02:03, or `now` for this computer's
        /// (UTC).
        moment: Option<String>,
    },
    /// Turn the echo of the device's console on or off.
    ConsoleEcho {
        /// Which.
        #[arg(action = ArgAction::Set, value_parser = BoolishValueParser::new())]
        on: bool,
    },
    /// What the application says of itself.
    Info {
        /// Which parts: s kernel, n node, r release, v version, b build, m machine, p processor,
        /// i board, o system, a all.
        #[arg(default_value = "a")]
        format: String,
    },
    /// What the bootloader says of itself.
    Bootloader,
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::Echo { text } => {
            let answer = session.echo(&text)?;
            out.result(&json!({ "echo": answer }), |w| writeln!(w, "{answer}"))
        }
        Command::Reset { force, boot_mode } => {
            match session.reset(force, boot_mode) {
                Err(error) if is_busy(&error) && !force => {
                    Err(error).hint("try again later, or insist with --force")
                }
                other => other,
            }?;
            out.result(&json!({ "reset": true }), |w| writeln!(w, "the device resets"))
        }
        Command::Params => {
            let params = session.params()?;
            let value = params.map(|p| json!({ "buf_size": p.buf_size, "buf_count": p.buf_count }));
            out.result(&value, |w| match params {
                Some(p) => writeln!(w, "{} buffers of {} bytes", p.buf_count, p.buf_size),
                None => writeln!(w, "the device does not tell"),
            })
        }
        Command::Info { format } => {
            let answer = session.info(&format)?;
            out.result(&json!({ "info": answer }), |w| writeln!(w, "{answer}"))
        }
        Command::Taskstat => {
            let tasks = session.tasks()?;
            out.result(&json!({ "tasks": tasks }), |w| {
                let heading = format!("{:<24} prio  id state  stack used", "task");
                writeln!(w, "{}", styled(HEADING, heading))?;
                tasks.iter().try_for_each(|task| {
                    writeln!(
                        w,
                        "{:<24} {:>4} {:>3} {:>5} {:>6} {:>4}",
                        task.name,
                        known(task.priority),
                        known(task.id),
                        known(task.state),
                        known(task.stack_size),
                        known(task.stack_used)
                    )
                })
            })
        }
        Command::Mpstat => {
            let pools = session.pools()?;
            out.result(&json!({ "pools": pools }), |w| {
                let heading = format!("{:<24}  size blocks  free least", "pool");
                writeln!(w, "{}", styled(HEADING, heading))?;
                pools.iter().try_for_each(|pool| {
                    writeln!(
                        w,
                        "{:<24} {:>5} {:>6} {:>5} {:>5}",
                        pool.name,
                        known(pool.block_size),
                        known(pool.blocks),
                        known(pool.free),
                        known(pool.least_free)
                    )
                })
            })
        }
        Command::Datetime { moment: None } => {
            let moment = session.date_time()?;
            out.result(&json!({ "datetime": moment }), |w| writeln!(w, "{moment}"))
        }
        Command::Datetime { moment: Some(moment) } => {
            let moment = match moment.as_str() {
                "now" => now(),
                text => DateTime::parse(text)
                    .ok_or_else(|| anyhow!("`{text}` is no date and time"))
                    .usage("give one such as 2026-11-21T01:02:03, or `now`")?,
            };
            session.set_date_time(&moment.to_string())?;
            let set = moment.to_string();
            out.result(&json!({ "datetime": set }), |w| writeln!(w, "set to {set}"))
        }
        Command::ConsoleEcho { on } => {
            session.console_echo(on)?;
            out.result(&json!({ "echo": on }), |w| {
                writeln!(w, "the console's echo is {}", if on { "on" } else { "off" })
            })
        }
        Command::Bootloader => {
            let bootloader = session.bootloader()?;
            out.result(&bootloader, |w| {
                let Some(found) = &bootloader else {
                    return writeln!(w, "the device does not tell");
                };
                let name = found.name.as_deref().unwrap_or("unnamed");
                let mode = updraft_image::UpgradeMode::ALL
                    .into_iter()
                    .find(|mode| Some(*mode as i32) == found.mode)
                    .map(|mode| mode.to_string());
                let mode = mode.unwrap_or_else(|| match found.mode {
                    Some(mode) if mode >= 0 => format!("mode {mode}"),
                    _ => "mode unknown".into(),
                });
                let downgrade = if found.no_downgrade { ", refuses older versions" } else { "" };
                writeln!(w, "{name}, {mode}{downgrade}")
            })
        }
    }
}

/// What the device told, or a dash.
fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// The time of this computer, in UTC.
fn now() -> DateTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DateTime::from_unix(i64::try_from(since.as_millis()).unwrap_or(0))
}
