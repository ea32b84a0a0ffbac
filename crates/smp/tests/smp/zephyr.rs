//! The device of the recordings without slots: what a Zephyr sample has behind its groups.

use std::collections::BTreeMap;

use updraft_smp::server::{
    BasicGroup, Enumerated, Failure, FileGroup, Files, OsGroup, Settings, SettingsGroup, Shell,
    ShellGroup, ShellReply, Statistics, StatisticsGroup, Storage,
};
use updraft_smp::{FileError, SettingsError};

use crate::device::Platform;

/// The groups, in the order in which it tells of them.
pub type Groups = Enumerated<(
    FileGroup<Disk>,
    OsGroup<Platform>,
    SettingsGroup<NoSettings>,
    ShellGroup<Commands>,
    StatisticsGroup<Counters>,
    BasicGroup<Partition>,
)>;

/// A device that has counted so many ticks.
pub fn groups(ticks: u64) -> Groups {
    Enumerated((
        FileGroup(Disk::default()),
        OsGroup(Platform::default()),
        SettingsGroup(NoSettings),
        ShellGroup(Commands::default()),
        StatisticsGroup(Counters { ticks }),
        BasicGroup(Partition),
    ))
}

/// Files below `/lfs1`.
#[derive(Default)]
pub struct Disk(pub BTreeMap<String, Vec<u8>>);

impl Files for Disk {
    fn size(&mut self, name: &str) -> Result<Option<u32>, Failure> {
        match name {
            "/" | "/lfs1" => Err(FileError::IsDirectory.into()),
            _ => Ok(self.0.get(name).map(|file| file.len() as u32)),
        }
    }

    fn read(&mut self, name: &str, off: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        let file = self.0.get(name).expect("it was looked at before");
        bytes.copy_from_slice(&file[off as usize..][..bytes.len()]);
        Ok(())
    }

    fn write(&mut self, name: &str, off: u32, bytes: &[u8]) -> Result<(), Failure> {
        if name == "/lfs1" {
            return Err(FileError::Unknown.into());
        }
        if !name.starts_with("/lfs1/") {
            return Err(FileError::MountPointNotFound.into());
        }
        let file = self.0.entry(name.to_owned()).or_default();
        if off == 0 {
            file.clear();
        }
        assert_eq!(file.len(), off as usize, "files grow at their end");
        file.extend_from_slice(bytes);
        Ok(())
    }
}

/// No part of the device has settings.
pub struct NoSettings;

impl Settings for NoSettings {
    fn read(&mut self, _: &str) -> Result<&[u8], Failure> {
        Err(SettingsError::RootKeyNotFound.into())
    }

    fn write(&mut self, _: &str, _: &[u8]) -> Result<(), Failure> {
        Err(SettingsError::RootKeyNotFound.into())
    }

    fn delete(&mut self, _: &str) -> Result<(), Failure> {
        Err(SettingsError::KeyNotFound.into())
    }
}

/// A shell with one command.
#[derive(Default)]
pub struct Commands(String);

impl Shell for Commands {
    fn execute(&mut self, line: &str) -> ShellReply<'_> {
        let ret = match line {
            "kernel version" => {
                self.0 = "\r\nZephyr version 4.4.0\r\n".into();
                0
            }
            _ => {
                self.0 = format!("\r\n\x1b[1;31m{line}: command not found\r\n\x1b[m");
                -8
            }
        };
        ShellReply { output: &self.0, ret }
    }
}

/// What the sample counts, and the two groups that its simulated flash adds.
pub struct Counters {
    ticks: u64,
}

impl Statistics for Counters {
    fn groups(&mut self, each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        ["flash_sim_stats", "flash_sim_thresholds", "smp_svr_stats"].into_iter().try_for_each(each)
    }

    fn counters(
        &mut self,
        group: &str,
        mut each: impl FnMut(&str, u64) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        if group != "smp_svr_stats" {
            return Ok(false);
        }
        each("ticks", self.ticks).map(|()| true)
    }
}

/// Storage of which nothing is kept.
pub struct Partition;

impl Storage for Partition {
    fn erase(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
