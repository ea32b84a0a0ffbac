//! From the first block to the last one.

use core::ops::Range;
use core::time::Duration;

use updraft_image::{Digest, HashKind, Hasher};

use super::{Agent, Stage, Taken};
use crate::platform::{Platform, Verified, Written};
use crate::record::Phase;
use crate::report::Note;
use crate::{Operation, Reason, archive};

impl<P: Platform> Agent<'_, P> {
    /// Whether an image of so many bytes has room in the slot and in the record.
    pub(super) fn fits(&mut self, size: u32, block: u32) -> Result<(), Reason> {
        let max = self.platform.capacity();
        if size > max {
            return Err(Reason::TooLarge { size, max });
        }
        let (blocks, max) = (size.div_ceil(block.max(1)), self.record.capacity());
        if blocks > max { Err(Reason::TooManyBlocks { blocks, max }) } else { Ok(()) }
    }

    /// The protocol has found out how large the image is.
    ///
    /// # Errors
    /// If it does not fit, or is not what was said before.
    pub fn sized(&mut self, size: u32, now: Duration) -> Result<(), Reason> {
        self.now = now;
        let known = self.record.size_of_image();
        if size == known && size > 0 {
            return Ok(());
        }
        if size == 0 {
            return Err(Reason::ChunkTotal { total: size });
        }
        self.fits(size, self.record.block())?;
        if known == 0 {
            self.record.set_size(size);
            return self.save();
        }
        let reason = Reason::ChunkTotal { total: size };
        if self.stored == 0 && !self.fresh && !self.measured && self.is_fetching() {
            // Another image stands there now under the same name.
            self.begin_anew(reason)?;
            self.record.set_size(0);
            self.save()?;
        }
        Err(reason)
    }

    pub(super) fn begin_anew(&mut self, reason: Reason) -> Result<(), Reason> {
        self.record.forget_blocks();
        self.record.set_images(1);
        self.platform.concerns(1);
        self.record.set_phase(Phase::Fetching);
        self.save()?;
        self.fresh = true;
        self.enter(Stage::Erasing { at: 0 });
        self.note(Note::BegunAnew(reason));
        Ok(())
    }

    /// Takes in whole blocks from `offset` on, in any order; the last one is as long as is left.
    ///
    /// # Errors
    /// If they are no blocks of the image, or if they cannot be written; that breaks the update off.
    pub fn block(&mut self, offset: u32, data: &[u8], now: Duration) -> Result<Taken, Reason> {
        self.now = now;
        let size = self.record.size_of_image();
        if !self.is_fetching() || size == 0 {
            return Err(Reason::Unasked);
        }
        let block = self.record.block();
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let end = offset.checked_add(len).filter(|end| *end <= size);
        let end =
            end.filter(|_| offset.is_multiple_of(block)).ok_or(Reason::ChunkOffset { offset })?;
        if len == 0 || (len % block != 0 && end != size) {
            return Err(Reason::ChunkSize { size: len });
        }
        if offset == 0 && !self.record.holds(0) {
            let ready = self.look(data).inspect_err(|reason| self.fail(*reason))?;
            if !ready {
                return Ok(Taken::Again);
            }
        }
        let needed = self.platform.needs();
        if needed == Some(0) && offset > 0 && !self.record.holds(0) {
            // Nobody knows yet what the file is.
            return Ok(Taken::Already);
        }
        let mut new = false;
        for (number, piece) in (offset / block..).zip(data.chunks(block as usize)) {
            if self.record.holds(number) {
                continue;
            }
            match self.store(number, piece) {
                Ok(stored) => new |= stored,
                Err(reason) => {
                    self.unfit(reason);
                    return Err(reason);
                }
            }
        }
        // What tells of the rest of the file is looked at again, if a reset has come in between.
        if let Some(needed) = self.platform.needs().filter(|needed| *needed > 0) {
            self.record.set_held(needed / block, false);
        }
        self.refused = 0;
        if !new {
            return Ok(Taken::Already);
        }
        if self.record.missing_from(0).is_some() {
            self.note_progress();
            self.ask_while_fetching();
            return Ok(Taken::Stored);
        }
        if let Err(reason) = self.close(size) {
            self.fail(reason);
            return Err(reason);
        }
        Ok(Taken::Complete)
    }

    /// What the file's beginning says is a claim, and can only rule it out. Whether the slots are
    /// ready for what it is.
    fn look(&mut self, first: &[u8]) -> Result<bool, Reason> {
        let first = first.get(..self.record.block() as usize).unwrap_or(first);
        let running = self.platform.running();
        let look = self.platform.look(first, self.record.size_of_image())?;
        if let Some(Verified { version, any_version: false }) = look.version
            && version <= running
        {
            return Err(Reason::NotNewer { offered: version, running });
        }
        if self.nameless {
            self.name(first)?;
        }
        if look.images == self.record.images() {
            return Ok(true);
        }
        self.record.forget_blocks();
        self.record.set_images(look.images);
        self.save()?;
        self.fresh = true;
        self.enter(Stage::Opening);
        Ok(false)
    }

    /// A file without a name is told from the next one by how it begins.
    fn name(&mut self, first: &[u8]) -> Result<(), Reason> {
        let digest = Digest::of(HashKind::Sha256, first);
        let seen = digest.as_bytes().first_chunk().copied().map_or(1, u32::from_le_bytes).max(1);
        if self.record.seen() != seen {
            self.record.set_seen(seen);
            self.record.set_installs(0);
        }
        match self.record.installs() >= self.config.attempts {
            true => Err(Reason::FailedBefore),
            false => Ok(()),
        }
    }

    fn note_progress(&mut self) {
        let every = u32::from(self.config.report_every.max(1));
        if self.stored == 1 || self.record.held().is_multiple_of(every) {
            self.note(Note::Progress);
        }
    }

    /// Blocks with a part of these bytes are held no more.
    pub(super) fn let_go(&mut self, bytes: Range<u32>) {
        let block = self.record.block();
        for lost in bytes.start / block..bytes.end.div_ceil(block) {
            self.record.set_held(lost, false);
        }
    }

    /// Whether the block is in flash now; not if it has come before what it depends on.
    fn store(&mut self, number: u32, data: &[u8]) -> Result<bool, Reason> {
        let block = self.record.block();
        let offset = number.saturating_mul(block);
        // Once for each image that a block can have a part of, and once more.
        for _ in 0..=archive::IMAGES {
            let written = self.platform.write(offset, data);
            match self.storage(Operation::Write, written)? {
                Written::Stored => return self.hold(number),
                Written::Ahead => return Ok(false),
                Written::Refused(reason) => return Err(reason),
                Written::InTheWay { start, end } => {
                    // The record must not promise what the erasure takes away.
                    self.let_go(start..end);
                    self.save()?;
                    let mut at = start;
                    while at < end {
                        let erased = self.platform.erase_at(at);
                        at = self.storage(Operation::Erase, erased)?.max(at.saturating_add(1));
                    }
                }
            }
        }
        Err(Reason::Storage(Operation::Write))
    }

    fn hold(&mut self, number: u32) -> Result<bool, Reason> {
        // Only what is in flash is held.
        self.record.set_held(number, true);
        self.stored = self.stored.saturating_add(1);
        self.unsaved = self.unsaved.saturating_add(1);
        if self.unsaved >= self.config.save_every.max(1) {
            self.save()?;
        }
        Ok(true)
    }

    pub(super) fn close(&mut self, size: u32) -> Result<(), Reason> {
        self.save()?;
        let closed = self.platform.close(size);
        self.storage(Operation::Close, closed)?;
        self.deferral = None;
        let hashed = self.promise.sha256.is_some() || !self.promise.signature.is_empty();
        self.hasher = Hasher::new(HashKind::Sha256);
        self.enter(match hashed {
            true => Stage::Hashing { at: 0 },
            false => Stage::Checking,
        });
        Ok(())
    }
}
