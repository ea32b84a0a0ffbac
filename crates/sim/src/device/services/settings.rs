//! The device's settings: those in use, and those that were saved and outlive a reset. In a file
//! they are lines of a name and a value in hexadecimal.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use updraft_smp::SettingsError;
use updraft_smp::server::{Failure, Settings};

type Values = BTreeMap<String, Vec<u8>>;

/// The most settings that a device has.
const COUNT: usize = 256;

/// The settings.
#[derive(Debug, Default)]
pub(super) struct Store {
    used: Values,
    saved: Values,
    file: Option<PathBuf>,
}

impl Store {
    pub fn in_file(file: &Path) -> io::Result<Self> {
        let saved = match fs::read_to_string(file) {
            Ok(text) => parse(&text).ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, "the file does not hold settings")
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Values::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { used: saved.clone(), saved, file: Some(file.to_owned()) })
    }

    /// What was saved is in use again.
    pub fn reload(&mut self) {
        self.used = self.saved.clone();
    }

    /// Forgets all of them.
    pub fn erase(&mut self) -> Result<(), Failure> {
        self.store(Values::new())?;
        self.used.clear();
        Ok(())
    }

    /// Keeps other settings. The file is replaced as a whole, so that it is never half of one.
    fn store(&mut self, values: Values) -> Result<(), Failure> {
        if let Some(file) = &self.file {
            let mut beside = file.clone().into_os_string();
            beside.push(".new");
            let written =
                fs::write(&beside, text(&values)).and_then(|()| fs::rename(&beside, file));
            written.map_err(|_| SettingsError::SaveNotSupported)?;
        }
        self.saved = values;
        Ok(())
    }
}

fn text(values: &Values) -> String {
    values.iter().fold(String::new(), |mut text, (name, value)| {
        text.extend([name, " "]);
        text.extend(value.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
        text
    })
}

fn parse(text: &str) -> Option<Values> {
    text.lines()
        .map(|line| {
            let (name, hex) = line.rsplit_once(' ')?;
            let pairs = hex.as_bytes().chunks(2);
            let value = pairs
                .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
                .collect::<Option<Vec<u8>>>()?;
            Some((name.to_owned(), value))
        })
        .collect()
}

impl Settings for Store {
    const MAX_NAME: usize = 64;
    const MAX_VALUE: usize = 256;

    fn read(&mut self, name: &str) -> Result<&[u8], Failure> {
        let value = self.used.get(name).map(Vec::as_slice);
        value.ok_or(SettingsError::KeyNotFound.into())
    }

    fn write(&mut self, name: &str, value: &[u8]) -> Result<(), Failure> {
        if name.contains(char::is_control) {
            return Err(SettingsError::RootKeyNotFound.into());
        }
        if self.used.len() >= COUNT && !self.used.contains_key(name) {
            return Err(SettingsError::WriteNotSupported.into());
        }
        self.used.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Failure> {
        let value = self.used.remove(name);
        value.map(drop).ok_or(SettingsError::KeyNotFound.into())
    }

    fn load(&mut self) -> Result<(), Failure> {
        self.reload();
        Ok(())
    }

    fn save(&mut self, subtree: Option<&str>) -> Result<(), Failure> {
        let Some(subtree) = subtree else { return self.store(self.used.clone()) };
        let below = |name: &String| {
            name.strip_prefix(subtree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !self.used.keys().chain(self.saved.keys()).any(below) {
            return Err(SettingsError::RootKeyNotFound.into());
        }
        let mut values = self.saved.clone();
        values.retain(|name, _| !below(name));
        values.extend(
            self.used
                .iter()
                .filter(|(name, _)| below(name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        self.store(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_saved_is_gone_after_a_reset() {
        let mut store = Store::default();
        store.write("net/name", b"a").expect("it is written");
        store.write("led/rate", b"b").expect("it is written");
        store.save(Some("net")).expect("it is saved");
        store.reload();
        assert_eq!(store.read("net/name"), Ok(&b"a"[..]));
        assert!(store.read("led/rate").is_err());
        store.delete("net/name").expect("it is there");
        store.load().expect("it is loaded");
        assert!(store.read("net/name").is_ok(), "its deletion was not saved");
    }

    #[test]
    fn a_branch_is_saved_by_its_whole_name() {
        let mut store = Store::default();
        store.write("net/name", b"a").expect("it is written");
        let nothing = Err(SettingsError::RootKeyNotFound.into());
        assert_eq!(store.save(Some("ne")), nothing);
        assert_eq!(store.save(Some("net/name/x")), nothing);
        store.save(Some("net")).expect("it is there");
        store.delete("net/name").expect("it is there");
        store.save(Some("net")).expect("it was there");
        store.reload();
        assert!(store.read("net/name").is_err(), "its deletion is saved");
    }

    #[test]
    fn what_cannot_be_saved_leaves_what_was() {
        let mut store = Store::default();
        store.write("net/name", b"a").expect("it is written");
        store.write("led/rate", b"b").expect("it is written");
        store.save(None).expect("it is saved");
        store.file = Some("/nowhere/at/all".into());
        assert!(store.save(Some("net")).is_err() && store.save(None).is_err());
        assert!(store.erase().is_err());
        store.reload();
        assert_eq!(store.read("led/rate"), Ok(&b"b"[..]));
    }

    #[test]
    fn names_with_spaces_and_empty_values_come_back_from_their_text() {
        let values = Values::from([
            ("a b".into(), vec![]),
            ("c".into(), vec![0, 255]),
            ("ü".into(), vec![7]),
        ]);
        assert_eq!(parse(&text(&values)), Some(values));
        assert_eq!(parse("name zz\n"), None);
        assert_eq!(parse("name\n"), None);
    }
}
