//! Where an image is fetched to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use updraft_image::{Header, Rules, validate};
use updraft_ota::dfu::System;
use updraft_ota::{Answer, Gate, ImageState, Platform, Verdict, Verified, Version, Written};
use updraft_sim::device::Keys;

/// The header that an image begins with, if it is one.
pub fn header_of(image: &[u8]) -> Option<Header> {
    Header::parse(image.first_chunk::<{ Header::SIZE }>()?).ok()
}

/// Why a file of this device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(ErrorKind);

impl From<io::Error> for TargetError {
    fn from(error: io::Error) -> Self {
        Self(error.kind())
    }
}

/// What the agent remembers, in a file beside the image, and whether it wants to be reset.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    /// The image is marked, and the next boot would try it.
    pub reset: bool,
    /// What updates have to wait for.
    pub gates: Vec<FileGate>,
}

/// A gate that is closed as long as its file says so: `battery=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGate {
    gate: Gate,
    path: PathBuf,
}

impl FileGate {
    fn answer(&self) -> Answer {
        match fs::read_to_string(&self.path).unwrap_or_default().trim() {
            "wait" => Answer::NotNow,
            "never" => Answer::Never,
            _ => Answer::Go,
        }
    }
}

impl std::str::FromStr for FileGate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("GATE=FILE, as in battery=low")?;
        let gate = Gate::ALL.into_iter().find(|gate| gate.name() == name);
        let gate = gate.ok_or("the gates are battery, network, space and user")?;
        if path.is_empty() {
            return Err("it names no file".into());
        }
        Ok(Self { gate, path: path.into() })
    }
}

impl Notes {
    /// Beside `path`.
    pub fn beside(path: &Path) -> Self {
        Self { path: with_ending(path, ".ota"), reset: false, gates: Vec::new() }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

impl System for Notes {
    type Error = TargetError;

    fn reset(&mut self) {
        self.reset = true;
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, TargetError> {
        match fs::read(&self.path) {
            Ok(kept) => {
                for (to, from) in record.iter_mut().zip(&kept) {
                    *to = *from;
                }
                Ok(Some(kept.len()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn save(&mut self, record: &[u8]) -> Result<(), TargetError> {
        // Whole or not at all, whenever this process is killed.
        let new = with_ending(&self.path, ".new");
        fs::write(&new, record)?;
        Ok(fs::rename(&new, &self.path)?)
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        let own = self.gates.iter().filter(|own| own.gate == gate).map(FileGate::answer);
        let worst = |answer: &Answer| match answer {
            Answer::Go => 0,
            Answer::NotNow => 1,
            Answer::Never => 2,
        };
        own.max_by_key(worst).unwrap_or(Answer::Go)
    }
}

/// A slot that is a file: blocks are gathered beside it, and when they are verified they take its
/// place.
#[derive(Debug)]
pub struct FileSlot {
    path: PathBuf,
    gathered: File,
    size: u32,
    capacity: u32,
    running: Version,
    keys: Keys,
    pub notes: Notes,
}

impl FileSlot {
    /// For images of up to `capacity` bytes that one of `keys` has signed. What is in the file
    /// already is what runs; `running` if there is nothing.
    pub fn open(path: &Path, capacity: u32, running: Version, keys: Keys) -> io::Result<Self> {
        let part = with_ending(path, ".part");
        let mut options = OpenOptions::new();
        let gathered = options.read(true).write(true).create(true).truncate(false).open(part)?;
        let notes = Notes::beside(path);
        Ok(Self { path: path.to_owned(), gathered, size: 0, capacity, running, keys, notes })
    }
}

impl Platform for FileSlot {
    type Error = TargetError;

    fn running(&mut self) -> Version {
        let mut header = [0; Header::SIZE];
        let read = File::open(&self.path).and_then(|mut file| file.read_exact(&mut header));
        let header = read.ok().and_then(|()| Header::parse(&header).ok());
        header.map_or(self.running, |header| header.version.into())
    }

    fn capacity(&mut self) -> u32 {
        self.capacity
    }

    fn open(&mut self) -> Result<(), TargetError> {
        Ok(())
    }

    fn erase_at(&mut self, _: u32) -> Result<u32, TargetError> {
        Ok(self.capacity)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, TargetError> {
        self.gathered.seek(SeekFrom::Start(offset.into()))?;
        self.gathered.write_all(data)?;
        Ok(Written::Stored)
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), TargetError> {
        self.gathered.seek(SeekFrom::Start(offset.into()))?;
        Ok(self.gathered.read_exact(buffer)?)
    }

    fn close(&mut self, size: u32) -> Result<(), TargetError> {
        self.size = size;
        self.gathered.set_len(size.into())?;
        Ok(self.gathered.sync_all()?)
    }

    fn verify(&mut self, size: u32) -> Result<Option<Verified>, TargetError> {
        let mut image = vec![0; size as usize];
        self.read(0, &mut image)?;
        let Some(header) = header_of(&image) else { return Ok(None) };
        let mut keys = self.keys.clone();
        let validated = validate(&mut image.as_slice(), &header, &Rules::default(), &mut keys);
        let good = validated.is_ok_and(|validated| validated.stands() && validated.size <= size);
        let version = header.version.into();
        Ok(good.then_some(Verified { version, any_version: false }))
    }

    fn activate(&mut self) -> Result<(), TargetError> {
        let mut image = vec![0; self.size as usize];
        self.read(0, &mut image)?;
        // In one go: what was there stays, or the new image is there.
        let new = with_ending(&self.path, ".new");
        fs::write(&new, &image)?;
        fs::rename(&new, &self.path)?;
        // Whether it goes or stays matters no more.
        let _ = fs::remove_file(with_ending(&self.path, ".part"));
        Ok(())
    }

    fn image_state(&mut self) -> Result<ImageState, TargetError> {
        Ok(ImageState::Valid)
    }

    fn set_image_state(&mut self, _: Verdict) -> Result<(), TargetError> {
        Ok(())
    }

    fn reset(&mut self) {
        self.notes.reset();
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        self.notes.gate(gate)
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, TargetError> {
        self.notes.load(record)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), TargetError> {
        self.notes.save(record)
    }
}
