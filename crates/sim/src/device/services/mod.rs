//! What the application of a virtual device serves beside its images: settings, files, counters, a
//! clock, a log, a shell. It outlives resets; settings and files outlive the process too, where
//! they have a place on the host.
//!
//! ```text
//! request ─▶ Access of its transport ─▶ Enumerated((Os, Image, Statistics, …)) ─▶ answer
//!                                                      │
//!                                                      └─▶ Orders for the application: reset, crash
//! ```

mod clock;
mod counters;
mod disk;
mod journal;
mod platform;
mod progress;
mod served;
mod settings;
mod shell;

use std::io;
use std::path::Path;
use std::time::Duration;

use updraft_smp::server::{Access, Fault, FileGroup, LinkSecurity, LogGroup, SettingsGroup};

use clock::RealTime;
use counters::Counters;
use disk::Disk;
use journal::Journal;
pub(super) use platform::Platform;
pub(super) use progress::Progress;
pub(super) use served::Served;
use settings::Store;

/// Which way a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// As a datagram.
    Udp,
    /// Over the serial line.
    Serial,
    /// Over Bluetooth, on a link like this.
    Bluetooth(LinkSecurity),
}

impl Via {
    /// What is known of the link.
    fn link(self) -> LinkSecurity {
        match self {
            Self::Udp | Self::Serial => LinkSecurity::default(),
            Self::Bluetooth(link) => link,
        }
    }
}

/// What a device serves beside its images, and to whom.
#[derive(Debug)]
pub struct Services {
    settings: SettingsGroup<Store>,
    files: FileGroup<Disk>,
    log: LogGroup<Journal>,
    clock: RealTime,
    pub(super) progress: Progress,
    pub(super) counters: Counters,
    udp: Access<'static>,
    serial: Access<'static>,
    bluetooth: Access<'static>,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            settings: SettingsGroup::default(),
            files: FileGroup::default(),
            log: LogGroup::default(),
            clock: RealTime::default(),
            progress: Progress::default(),
            counters: Counters::default(),
            udp: Access::EVERYTHING,
            serial: Access::EVERYTHING,
            bluetooth: Access::BLUETOOTH,
        }
    }
}

impl Services {
    /// The folder in which a device has its files.
    pub const FILES: &'static str = disk::ROOT;

    /// Keeps what is saved of the settings in a file, made when there is something to save.
    pub fn with_settings_in(mut self, file: &Path) -> io::Result<Self> {
        self.settings.0 = Store::in_file(file)?;
        Ok(self)
    }

    /// Keeps how far an upload has come in a file, while one is under way.
    pub fn with_progress_in(mut self, file: &Path) -> io::Result<Self> {
        self.progress = Progress::in_file(file)?;
        Ok(self)
    }

    /// Has the files of a folder on the host as its own.
    pub fn with_files_in(mut self, folder: &Path) -> io::Result<Self> {
        self.files.0 = Disk::in_folder(folder)?;
        Ok(self)
    }

    /// Limits what may be asked for over UDP and over the serial line.
    pub fn allowing(self, udp: Access<'static>, serial: Access<'static>) -> Self {
        Self { udp, serial, ..self }
    }

    /// Limits what may be asked for over Bluetooth, and by whom.
    pub fn allowing_over_bluetooth(self, bluetooth: Access<'static>) -> Self {
        Self { bluetooth, ..self }
    }

    fn access(&self, via: Via) -> Access<'static> {
        match via {
            Via::Udp => self.udp,
            Via::Serial => self.serial,
            Via::Bluetooth(_) => self.bluetooth,
        }
    }

    /// The device was reset: what was not saved is gone.
    pub(super) fn restarted(&mut self) {
        self.counters.boots += 1;
        self.settings.0.reload();
    }

    /// Takes a line of the console into the log.
    pub(super) fn note(&mut self, line: &str, now: Duration) {
        self.log.0.push(line, now);
    }
}

/// What requests ask of the application itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// To be reset.
    pub reboot: bool,
    /// To crash.
    pub crash: Option<Fault>,
    /// To test itself.
    pub self_test: bool,
}
