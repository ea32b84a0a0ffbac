//! Devices by name: how each is reached, in a file of the user's.
//!
//! ```toml
//! [bench-1]
//! udp = "192.0.2.7"
//!
//! [kit]
//! serial = "/dev/ttyACM0"
//! baud = 1000000
//! framing = "raw"
//! timeout = 2.5
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item};

use super::Framed;
use crate::bluetooth::Controller;
use crate::files::{self, Mode};
use crate::report::Hint;

/// The variable that names another file.
const FILE: &str = "UPDRAFT_DEVICES";

/// How a device is reached; what is not said is as usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Host or address, with or without a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp: Option<String>,
    /// A serial port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<PathBuf>,
    /// A Bluetooth name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ble: Option<String>,
    /// The Bluetooth controller that reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<Controller>,
    /// Bits per second on the serial line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// How messages are told from each other on the serial line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framing: Option<Framed>,
    /// Seconds to wait for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// How often a request is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

impl Profile {
    /// Nobody waits longer for one answer.
    const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

    /// How long to wait for an answer.
    pub fn timeout(&self) -> anyhow::Result<Duration> {
        let seconds = self.timeout.unwrap_or(1.0);
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|timeout| !timeout.is_zero() && *timeout <= Self::LONGEST_TIMEOUT)
            .ok_or_else(|| anyhow!("{seconds} seconds is no time-out"))
    }

    /// Where the device is, in a word.
    pub fn place(&self) -> String {
        match (&self.udp, &self.serial, &self.ble) {
            (Some(udp), ..) => format!("udp {udp}"),
            (None, Some(port), _) => format!("serial {}", port.display()),
            (None, None, Some(device)) => format!("ble {device}"),
            (None, None, None) => "nowhere".into(),
        }
    }
}

/// The devices in the user's file.
#[derive(Clone, Debug)]
pub struct Profiles {
    /// The file.
    pub path: PathBuf,
    /// Its devices.
    pub devices: BTreeMap<String, Profile>,
    /// What is written there: people edit it, and have remarks in it.
    text: DocumentMut,
}

impl Profiles {
    /// Reads the file. One that does not exist has no devices.
    pub fn load() -> anyhow::Result<Self> {
        let path = path()?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        let devices: BTreeMap<String, Profile> = toml::from_str(&text)
            .with_context(|| format!("{} lists no devices", path.display()))
            .hint("updraft smp profile --help shows what belongs there")?;
        for (name, profile) in &devices {
            let ways = [profile.udp.is_some(), profile.serial.is_some(), profile.ble.is_some()];
            if ways.iter().filter(|way| **way).count() != 1 {
                return Err(anyhow!("{}: {name} has to have udp, serial or ble", path.display()))
                    .hint("give it one of them");
            }
        }
        let text = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
        Ok(Self { path, devices, text })
    }

    /// The file with this computer's Bluetooth bonds, beside it.
    pub fn bonds() -> anyhow::Result<PathBuf> {
        Ok(path()?.with_file_name("bonds"))
    }

    /// Adds a device, in place of one of the same name, which is returned.
    pub fn insert(&mut self, name: &str, profile: Profile) -> anyhow::Result<Option<Profile>> {
        let fields: DocumentMut = toml::to_string(&profile)?.parse()?;
        match self.text.get_mut(name).and_then(Item::as_table_like_mut) {
            Some(table) => {
                let gone: Vec<String> = table
                    .iter()
                    .map(|(key, _)| key.to_owned())
                    .filter(|key| !fields.contains_key(key))
                    .collect();
                gone.iter().for_each(|key| drop(table.remove(key)));
                for (key, value) in fields.iter() {
                    match table.get_mut(key) {
                        // What is written around the old value stays.
                        Some(old) => *old = value.clone(),
                        None => drop(table.insert(key, value.clone())),
                    }
                }
            }
            None => drop(self.text.insert(name, Item::Table(fields.as_table().clone()))),
        }
        Ok(self.devices.insert(name.to_owned(), profile))
    }

    /// Forgets a device.
    pub fn remove(&mut self, name: &str) {
        self.text.remove(name);
        self.devices.remove(name);
    }

    /// The device called `name`.
    pub fn find(&self, name: &str) -> anyhow::Result<&Profile> {
        let known: Vec<&str> = self.devices.keys().map(String::as_str).collect();
        let path = self.path.display();
        self.devices.get(name).ok_or_else(|| anyhow!("no device is called {name} in {path}")).hint(
            match known.is_empty() {
                true => "updraft smp profile add NAME --udp HOST gives a device a name".into(),
                false => format!("there are: {}", known.join(", ")),
            },
        )
    }

    /// The names that fit `pattern`.
    pub fn matching(&self, pattern: &str) -> Vec<&str> {
        self.devices.keys().map(String::as_str).filter(|name| fits(pattern, name)).collect()
    }

    /// Writes the file.
    pub fn save(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        files::write(&self.path, self.text.to_string().as_bytes(), Mode::Result)
    }
}

/// The user's file.
fn path() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = variable(FILE) {
        return Ok(file.into());
    }
    let folder = variable("XDG_CONFIG_HOME")
        .or_else(|| variable("APPDATA"))
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    folder
        .map(|folder| folder.join("updraft").join("devices.toml"))
        .ok_or_else(|| anyhow!("there is no folder for settings"))
        .hint(format!("name the file in {FILE}"))
}

/// Whether `name` is what `pattern` describes: `*` stands for any characters, `?` for one.
fn fits(pattern: &str, name: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => name.is_empty(),
        Some('*') => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| fits(chars.as_str(), name.get(at..).unwrap_or_default()))
        }
        Some(first) => {
            let mut rest = name.chars();
            let fits_first = rest.next().is_some_and(|found| first == '?' || first == found);
            fits_first && fits(chars.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "bench-1", true),
            ("bench-*", "bench-1", true),
            ("bench-?", "bench-12", false),
            ("*-1*", "bench-12", true),
            ("bench", "bench-1", false),
            ("", "bench", false),
            ("ä?", "äß", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
