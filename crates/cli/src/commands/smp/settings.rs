//! `updraft smp settings`: the settings of a device.

use clap::Subcommand;
use serde_json::json;

use super::Talk;
use crate::output::Output;
use crate::report::Hint;
use crate::smp::unhex;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 settings read net/name
  updraft smp --udp 192.0.2.7 settings write net/name pump-7
  updraft smp --udp 192.0.2.7 settings write net/key --hex 00ff10
  updraft smp --udp 192.0.2.7 settings save

What is written is in use until the next reset, unless it is saved.")]
pub enum Command {
    /// The value of a setting.
    Read {
        /// Its name.
        name: String,
        /// The most bytes to ask for.
        #[arg(long, value_name = "N")]
        max_size: Option<u32>,
    },
    /// Change a setting, or make it.
    Write {
        /// Its name.
        name: String,
        /// Its value, as text.
        value: String,
        /// The value is given in hexadecimal.
        #[arg(long)]
        hex: bool,
    },
    /// Delete a setting.
    Delete {
        /// Its name.
        name: String,
    },
    /// Let changed settings take effect.
    Commit,
    /// Have the device load its settings from storage again.
    Load,
    /// Have the device save its settings.
    Save {
        /// Only the setting, or the branch of settings, of this name.
        subtree: Option<String>,
    },
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    let done = match command {
        Command::Read { name, max_size } => {
            let setting = session.read_setting(&name, max_size)?;
            return out.result(&setting, |w| match &setting.text {
                Some(text) => writeln!(w, "{text}"),
                None => writeln!(w, "hex {}", setting.hex),
            });
        }
        Command::Write { name, value, hex } => {
            let value = match hex {
                true => unhex(&value).usage("two digits for every byte, such as 00ff")?,
                false => value.into_bytes(),
            };
            session.write_setting(&name, &value)?;
            "written"
        }
        Command::Delete { name } => {
            session.delete_setting(&name)?;
            "deleted"
        }
        Command::Commit => {
            session.commit_settings()?;
            "committed"
        }
        Command::Load => {
            session.load_settings()?;
            "loaded"
        }
        Command::Save { subtree } => {
            session.save_settings(subtree.as_deref())?;
            "saved"
        }
    };
    out.result(&json!({ done: true }), |w| writeln!(w, "{done}"))
}
