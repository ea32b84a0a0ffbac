//! `updraft smp profile`: devices by name.

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::json;

use super::connection::Connection;
use crate::output::{HEADING, Output, styled};
use crate::report::Hint;
use crate::smp::Profiles;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 profile add bench-1
  updraft smp --serial /dev/ttyACM0 --framing raw profile add kit
  updraft smp --ble watch --controller hci-uart:/dev/ttyACM1 profile add watch
  updraft smp --profile bench-1 image list
  updraft smp --all-matching 'bench-*' upgrade app-1.1.0.bin

The names are kept in ~/.config/updraft/devices.toml, or in the file that UPDRAFT_DEVICES names:
  [kit]
  serial = \"/dev/ttyACM0\"
  framing = \"raw\"")]
pub enum Command {
    /// The devices that have a name.
    List,
    /// Give the device that the options before describe a name.
    Add {
        /// Its name.
        name: String,
    },
    /// Forget a device.
    Remove {
        /// Its name.
        name: String,
    },
}

pub fn run(connection: &Connection, command: Command, out: &Output) -> anyhow::Result<()> {
    let mut profiles = Profiles::load()?;
    match command {
        Command::List => {
            let Profiles { path, devices, .. } = &profiles;
            out.result(&json!({ "file": path, "devices": devices }), |w| {
                if devices.is_empty() {
                    return writeln!(w, "no devices in {}", path.display());
                }
                writeln!(w, "{}", styled(HEADING, "name             device"))?;
                devices
                    .iter()
                    .try_for_each(|(name, profile)| writeln!(w, "{name:<16} {}", profile.place()))
            })
        }
        Command::Add { name } => {
            if name.is_empty() || name.contains(['*', '?']) {
                return Err(anyhow!("{name:?} is no name for a device"))
                    .usage("choose one without * and ?, which stand for parts of names");
            }
            let profile = connection.profile()?;
            let place = profile.place();
            let before = profiles.insert(&name, profile)?;
            profiles.save()?;
            let replaced = before.map(|before| before.place());
            out.result(&json!({ "name": name, "device": place, "replaced": replaced }), |w| {
                let instead = replaced.as_ref().map(|before| format!(", not {before}"));
                writeln!(w, "{name} is {place}{}", instead.unwrap_or_default())
            })
        }
        Command::Remove { name } => {
            profiles.find(&name)?;
            profiles.remove(&name);
            profiles.save()?;
            out.result(&json!({ "removed": name }), |w| writeln!(w, "{name} is forgotten"))
        }
    }
}
