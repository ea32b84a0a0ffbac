//! Where an image is fetched to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use updraft_certs::{Use, certificates};
use updraft_image::{Digest, Header, PublicKey, Rules, Software, Verifier, validate};
use updraft_ota::dfu::System;
use updraft_ota::{Answer, Gate, ImageState, Platform, Verdict, Verified, Version, Written};
use updraft_sim::device::Keys;

use crate::commands::key::load_public;
use crate::output::Output;
use crate::report::Hint;

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

/// What the agent remembers, and whether it wants to be reset.
#[derive(Debug)]
pub struct Notes {
    place: Place,
    /// The image is marked, and the next boot would try it.
    pub reset: bool,
    /// What updates have to wait for.
    pub gates: Vec<FileGate>,
    signers: Vec<Signer>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Memory(Option<Vec<u8>>),
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
    /// In a file beside `path`.
    pub fn beside(path: &Path) -> Self {
        Self::at(Place::File(with_ending(path, ".ota")))
    }

    /// As long as this process lasts.
    pub fn in_memory() -> Self {
        Self::at(Place::Memory(None))
    }

    fn at(place: Place) -> Self {
        Self { place, reset: false, gates: Vec::new(), signers: Vec::new() }
    }

    /// Jobs have to be signed by one of these, besides what signs images.
    pub fn signed_by(self, signers: Vec<Signer>) -> Self {
        Self { signers, ..self }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

impl System for Notes {
    type Error = TargetError;

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        // The job's name for it chooses among those that are known, and no more.
        let name = certificate.rsplit('/').next().unwrap_or_default();
        let named = |signer: &&Signer| signer.name == name;
        let any = !self.signers.iter().any(|signer| named(&signer));
        let mut signers = self.signers.iter().filter(|signer| any || named(signer));
        signers.any(|signer| {
            let Ok(key) = PublicKey::from_der(&signer.key) else { return false };
            Software::new(&[key]).verify(0, digest, signature).is_yes()
        })
    }

    fn demands_job_signature(&self) -> bool {
        !self.signers.is_empty()
    }

    fn reset(&mut self) {
        self.reset = true;
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

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, TargetError> {
        let kept = match &self.place {
            Place::Memory(kept) => kept.clone(),
            Place::File(path) => match fs::read(path) {
                Ok(kept) => Some(kept),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            },
        };
        let Some(kept) = kept else { return Ok(None) };
        for (to, from) in record.iter_mut().zip(&kept) {
            *to = *from;
        }
        Ok(Some(kept.len()))
    }

    fn save(&mut self, record: &[u8]) -> Result<(), TargetError> {
        match &mut self.place {
            Place::Memory(kept) => *kept = Some(record.to_vec()),
            Place::File(path) => {
                // Whole or not at all, whenever this process is killed.
                let new = with_ending(path, ".new");
                fs::write(&new, record)?;
                fs::rename(&new, path)?;
            }
        }
        Ok(())
    }
}

/// Who signs jobs: the name of the certificate's file, and its key.
#[derive(Clone, Debug)]
pub struct Signer {
    name: String,
    key: Vec<u8>,
}

impl Signer {
    /// From a certificate that may sign firmware, or a public key, as PEM.
    pub fn open(path: &Path, out: &Output) -> anyhow::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read(path);
        let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
        let text = String::from_utf8_lossy(&text);
        let key = match text.contains("-----BEGIN CERTIFICATE-----") {
            true => {
                let all = certificates(&text, SystemTime::now());
                let all = all.with_context(|| format!("{} cannot be used", path.display()))?;
                let first = all.into_iter().next().context("there is no certificate")?;
                if !first.uses.iter().any(|it| matches!(it, Use::Signer | Use::Any)) {
                    let subject = first.subject;
                    return Err(anyhow!(
                        "the certificate of {subject} is not for signing firmware"
                    ))
                    .hint("give the one that the jobs are signed with, or its public key");
                }
                first.public_key
            }
            false => load_public(path, out)?.as_der().to_vec(),
        };
        if PublicKey::from_der(&key).is_err() {
            return Err(anyhow!("{} has a key that jobs are not signed with", path.display()))
                .hint("AWS signs with ECDSA over P-256");
        }
        Ok(Self { name, key })
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
    /// What is in the file has not been tested yet.
    on_trial: bool,
    pub notes: Notes,
}

impl FileSlot {
    /// For images of up to `capacity` bytes that one of `keys` has signed. What is in the file
    /// already is what runs; `running` if there is nothing.
    pub fn open(path: &Path, capacity: u32, running: Version, keys: Keys) -> io::Result<Self> {
        let part = with_ending(path, ".part");
        let mut options = OpenOptions::new();
        let gathered = options.read(true).write(true).create(true).truncate(false).open(part)?;
        let (notes, path) = (Notes::beside(path), path.to_owned());
        let (size, on_trial) = (0, false);
        // What comes to the file later runs once it is opened again.
        let running = version_in(&path).unwrap_or(running);
        Ok(Self { path, gathered, size, capacity, running, keys, on_trial, notes })
    }

    /// The version of what is in the file.
    pub fn version(&self) -> Option<Version> {
        version_in(&self.path)
    }

    /// The same for jobs that one of these has signed.
    pub fn signed_by(self, signers: Vec<Signer>) -> Self {
        Self { notes: self.notes.signed_by(signers), ..self }
    }

    /// The same right after an image has come: it runs on trial.
    pub fn on_trial(self) -> Self {
        Self { on_trial: true, ..self }
    }

    /// Whether the image in the file is whole and signed, as far as a file can be tested.
    pub fn passes(&self) -> bool {
        fs::read(&self.path).is_ok_and(|image| self.good(&image).is_some())
    }

    /// The header of an image that is whole and signed.
    fn good(&self, image: &[u8]) -> Option<Header> {
        let header = header_of(image)?;
        let (mut source, mut keys) = (image, self.keys.clone());
        let validated = validate(&mut source, &header, &Rules::default(), &mut keys).ok()?;
        let whole = validated.stands() && validated.size as usize <= image.len();
        whole.then_some(header)
    }
}

fn version_in(path: &Path) -> Option<Version> {
    let mut header = [0; Header::SIZE];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    Some(Header::parse(&header).ok()?.version.into())
}

impl Platform for FileSlot {
    type Error = TargetError;

    fn running(&mut self) -> Version {
        self.running
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
        let good = self.good(&image);
        Ok(good.map(|header| Verified { version: header.version.into(), any_version: false }))
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

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        self.notes.is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        self.notes.demands_job_signature()
    }

    fn image_state(&mut self) -> Result<ImageState, TargetError> {
        Ok(if self.on_trial { ImageState::Trial } else { ImageState::Valid })
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), TargetError> {
        self.on_trial &= verdict != Verdict::Accepted;
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
