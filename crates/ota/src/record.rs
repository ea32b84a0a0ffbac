//! What the agent remembers across resets: which update it is about, how far it has come, and which
//! blocks are in flash.
//!
//! ```text
//!  0  version 1          24  job's version, 3 × u16     44  job id, 72 bytes
//!  1  phase              30  1: the job says a version  116 a bit for each block: held
//!  2  installs           32  size u32, 0: unknown       …   SHA-256 of all before, 4 bytes
//!  3  length of job id   36  bytes of a block, u32
//!  4  fingerprint        40  told, images, 0, 0: a byte each
//! 20  SHA-256 of the first block, 4 bytes, if the job has no name; 0: not seen   (little-endian)
//! ```

use updraft_image::{Digest, HashKind};

use crate::Version;
use crate::label::Label;

/// Bytes before the bits of the blocks.
const HEAD: usize = 116;
const CHECK: usize = 4;
/// Bytes of the longest job id.
pub const LONGEST_ID: usize = 72;

/// How far an update has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// There is none.
    None = 0,
    /// Blocks are being fetched.
    Fetching = 1,
    /// The image is verified; it may be marked, or not.
    Ready = 2,
    /// It is marked for the next boot.
    Activated = 3,
    /// It runs, on trial.
    Testing = 4,
    /// It runs and stays.
    Accepted = 5,
    /// It has failed.
    Failed = 6,
    /// It has passed its test, and not all of its images stay yet.
    Accepting = 7,
}

impl Phase {
    fn new(number: u8) -> Self {
        let all = [
            Self::None,
            Self::Fetching,
            Self::Ready,
            Self::Activated,
            Self::Testing,
            Self::Accepted,
            Self::Failed,
            Self::Accepting,
        ];
        all.get(usize::from(number)).copied().unwrap_or(Self::None)
    }
}

/// A record in the memory that the agent was given.
#[derive(Debug)]
pub struct Record<'b> {
    bytes: &'b mut [u8],
}

impl<'b> Record<'b> {
    /// Bytes that a record of so many blocks takes.
    pub const fn size(blocks: usize) -> usize {
        HEAD + blocks.div_ceil(8) + CHECK
    }

    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        let mut record = Self { bytes };
        record.clear();
        record
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.fill(0);
        self.put(0, &[1]);
    }

    /// The bytes to fill from where they were kept.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// What was filled in counts if it is whole; otherwise there is nothing.
    pub(crate) fn check(&mut self, len: Option<usize>) {
        let whole = len == Some(self.bytes.len()) && self.sum() == self.bytes.last_chunk().copied();
        if !whole || self.bytes.first() != Some(&1) {
            self.clear();
        }
    }

    /// The bytes to keep.
    pub(crate) fn sealed(&mut self) -> &[u8] {
        if let (Some(sum), Some(end)) = (self.sum(), self.bytes.last_chunk_mut::<CHECK>()) {
            *end = sum;
        }
        self.bytes
    }

    fn sum(&self) -> Option<[u8; CHECK]> {
        let body = self.bytes.get(..self.bytes.len().checked_sub(CHECK)?)?;
        Digest::of(HashKind::Sha256, body).as_bytes().first_chunk().copied()
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    fn u16(&self, at: usize) -> u16 {
        let bytes = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().map_or(0, u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> u32 {
        let bytes = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().map_or(0, u32::from_le_bytes)
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::new(self.byte(1))
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.put(1, &[phase as u8]);
    }

    pub(crate) fn installs(&self) -> u8 {
        self.byte(2)
    }

    pub(crate) fn set_installs(&mut self, installs: u8) {
        self.put(2, &[installs]);
    }

    pub(crate) fn fingerprint(&self) -> [u8; 16] {
        self.bytes.get(4..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }

    /// What the first block of a file without a name was; failed installs are counted for it.
    pub(crate) fn seen(&self) -> u32 {
        self.u32(20)
    }

    pub(crate) fn set_seen(&mut self, seen: u32) {
        self.put(20, &seen.to_le_bytes());
    }

    pub(crate) fn version(&self) -> Option<Version> {
        let version = Version::new(self.u16(24), self.u16(26), self.u16(28));
        (self.byte(30) == 1).then_some(version)
    }

    pub(crate) fn set_version(&mut self, version: Option<Version>) {
        self.put(30, &[u8::from(version.is_some())]);
        let Version { major, minor, build } = version.unwrap_or_default();
        for (at, part) in [(24, major), (26, minor), (28, build)] {
            self.put(at, &part.to_le_bytes());
        }
    }

    pub(crate) fn size_of_image(&self) -> u32 {
        self.u32(32)
    }

    pub(crate) fn set_size(&mut self, size: u32) {
        self.put(32, &size.to_le_bytes());
    }

    pub(crate) fn block(&self) -> u32 {
        self.u32(36).max(1)
    }

    pub(crate) fn is_told(&self) -> bool {
        self.byte(40) & 1 != 0
    }

    pub(crate) fn set_told(&mut self) {
        self.put(40, &[1]);
    }

    /// Images that the file has, a bit each; 1 as long as nobody has looked at it.
    pub(crate) fn images(&self) -> u8 {
        self.byte(41).max(1)
    }

    pub(crate) fn set_images(&mut self, images: u8) {
        self.put(41, &[images]);
    }

    pub(crate) fn id(&self) -> &str {
        let len = usize::from(self.byte(3));
        let bytes = self.bytes.get(44..44 + len.min(LONGEST_ID)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Begins a record of an update, with no block held.
    pub(crate) fn begin(&mut self, fingerprint: &[u8; 16], id: &Label<LONGEST_ID>, block: u32) {
        self.clear();
        self.set_phase(Phase::Fetching);
        self.put(3, &[id.bytes().len() as u8]);
        self.put(4, fingerprint);
        self.put(36, &block.to_le_bytes());
        self.put(44, id.bytes());
    }

    fn bits(&self) -> &[u8] {
        let end = self.bytes.len().saturating_sub(CHECK);
        self.bytes.get(HEAD..end).unwrap_or_default()
    }

    /// Blocks that there is room for.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.bits().len().saturating_mul(8)).unwrap_or(u32::MAX)
    }

    /// Blocks of the image.
    pub(crate) fn blocks(&self) -> u32 {
        self.size_of_image().div_ceil(self.block())
    }

    pub(crate) fn holds(&self, block: u32) -> bool {
        let byte = self.bits().get((block / 8) as usize);
        byte.is_some_and(|byte| byte >> (block % 8) & 1 == 1)
    }

    pub(crate) fn set_held(&mut self, block: u32, held: bool) {
        let at = HEAD + (block / 8) as usize;
        if at >= self.bytes.len().saturating_sub(CHECK) {
            return;
        }
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte = *byte & !(1 << (block % 8)) | u8::from(held) << (block % 8);
        }
    }

    pub(crate) fn forget_blocks(&mut self) {
        let end = self.bytes.len().saturating_sub(CHECK);
        self.bytes.get_mut(HEAD..end).unwrap_or_default().fill(0);
    }

    pub(crate) fn held(&self) -> u32 {
        self.bits().iter().map(|byte| byte.count_ones()).sum()
    }

    /// The first block from `from` on that is missing.
    pub(crate) fn missing_from(&self, from: u32) -> Option<u32> {
        (from..self.blocks()).find(|block| !self.holds(*block))
    }
}
