//! The agent: what becomes of a job, whichever protocol has brought it.

mod install;
mod rules;

use core::ops::Range;
use core::time::Duration;

use updraft_image::{Digest, HashKind, Hasher};

use crate::label::Label;
use crate::platform::{Answer, ImageState, Platform, Verdict, Verified, Written};
use crate::record::{LONGEST_ID, Phase, Record};
use crate::report::{Note, Report, Reports, State};
use crate::timer::Random;
use crate::{Gate, Operation, Reason, Version, archive};

pub use rules::{Config, DeferRule, Deferral, Limit, Offer, Signature};

/// What came of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in flash now.
    Stored,
    /// It was there already.
    Already,
    /// It was the last one.
    Complete,
    /// It tells what the file is. The slots are made ready for that first, and it has to come again.
    Again,
}

/// Bytes that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where they begin.
    pub offset: u32,
    /// How many. As long as the size of the image is unknown, it may have fewer.
    pub len: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Waiting,
    Received,
    Opening,
    Erasing { at: u32 },
    Fetching,
    Hashing { at: u32 },
    Checking,
    Ready,
    Activated,
    Testing { until: Duration },
    Accepted,
    Rejected,
    Aborted,
}

/// What a job says that is needed once the image is there.
#[derive(Clone, Debug, Default)]
struct Promise {
    sha256: Option<[u8; 32]>,
    signature: Label<384>,
    certificate: Label<64>,
}

/// The agent. Its protocol offers it jobs and blocks; it decides, writes, verifies, marks.
///
/// Times count from any moment on, the same for all calls. A call that returns is done with flash:
/// what it has said survives a power cut.
#[derive(Debug)]
pub struct Agent<'b, P: Platform> {
    platform: P,
    config: Config<'b>,
    record: Record<'b>,
    stage: Stage,
    promise: Promise,
    /// Over the image, while it is read back.
    hasher: Hasher,
    /// No block was held when this attempt began.
    fresh: bool,
    /// The job says nothing that tells its update from the next one: the file's beginning has to.
    nameless: bool,
    /// The job says how large the image is.
    measured: bool,
    /// The running image is not to stay.
    given_back: bool,
    /// Blocks stored in this attempt.
    stored: u32,
    /// Blocks stored since the record was kept.
    unsaved: u16,
    /// Messages refused one after the other.
    refused: u8,
    deferral: Option<Deferral>,
    /// Gates that were overruled in this attempt.
    overruled: [bool; Gate::ALL.len()],
    reason: Option<Reason>,
    /// Why the storage failed last.
    fault: Option<P::Error>,
    reports: Reports,
    random: Random,
    now: Duration,
}

impl<'b, P: Platform> Agent<'b, P> {
    /// An agent that keeps account of blocks in `memory`: [`Record::size`] says how much it takes.
    pub fn new(platform: P, config: Config<'b>, memory: &'b mut [u8]) -> Self {
        Self {
            platform,
            config,
            record: Record::new(memory),
            stage: Stage::Waiting,
            promise: Promise::default(),
            hasher: Hasher::new(HashKind::Sha256),
            fresh: true,
            nameless: false,
            measured: false,
            given_back: false,
            stored: 0,
            unsaved: 0,
            refused: 0,
            deferral: None,
            overruled: [false; Gate::ALL.len()],
            reason: None,
            fault: None,
            reports: Reports::default(),
            random: Random::new(config.seed),
            now: Duration::ZERO,
        }
    }

    /// To be called once after a boot: finds out whether an update is on trial, has been accepted,
    /// or was reverted.
    ///
    /// # Errors
    /// If the image's state cannot be read. A record that cannot be read is reported, and none.
    pub fn start(&mut self, now: Duration) -> Result<State, Reason> {
        self.now = now;
        let loaded = self.platform.load(self.record.memory());
        match self.storage(Operation::Record, loaded) {
            Ok(len) => self.record.check(len),
            Err(reason) => {
                self.record.clear();
                self.note(Note::Failed(reason));
            }
        }
        self.platform.concerns(self.record.images());
        let image = self.platform.image_state();
        let image = self.storage(Operation::ImageState, image);
        let image = image.inspect_err(|reason| self.note(Note::Failed(*reason)))?;
        let running = self.platform.running();
        let ours = self.record.version() == Some(running);
        self.stage = match (self.record.phase(), image) {
            (Phase::Ready | Phase::Activated, ImageState::Torn) => {
                // Never one image without the other: the bootloader takes back what is not
                // confirmed. What was fetched is still there, so that both can be tried again. Once
                // only: where bootloaders copy, a reset takes nothing back, and the next attempt
                // brings the other one.
                self.record.set_phase(Phase::Fetching);
                self.save()?;
                self.given_back = true;
                self.reason = Some(Reason::Torn);
                Stage::Rejected
            }
            (Phase::Accepting, ImageState::Valid) if !ours => self.finish()?,
            (Phase::Accepting, ImageState::Torn) if ours => {
                // Nothing was taken back: the others are still to be confirmed.
                let accepted = self.platform.set_image_state(Verdict::Accepted);
                self.storage(Operation::ImageState, accepted)?;
                self.record.set_phase(Phase::Accepted);
                self.record.set_installs(0);
                self.save()?;
                Stage::Accepted
            }
            (phase, ImageState::Trial) => {
                if ours && matches!(phase, Phase::Ready | Phase::Activated) {
                    self.record.set_phase(Phase::Testing);
                    self.save()?;
                }
                Stage::Testing { until: now.saturating_add(self.config.self_test) }
            }
            (
                Phase::Ready | Phase::Activated | Phase::Testing | Phase::Accepting,
                ImageState::Valid,
            ) if ours => {
                self.record.set_phase(Phase::Accepted);
                self.record.set_installs(0);
                self.save()?;
                Stage::Accepted
            }
            (Phase::Activated | Phase::Testing, ImageState::Valid) => {
                self.record.set_phase(Phase::Failed);
                self.save()?;
                self.reason = Some(Reason::Reverted);
                Stage::Rejected
            }
            (Phase::Accepted, _) if !self.record.is_told() => Stage::Accepted,
            (Phase::Failed, _) if !self.record.is_told() => {
                self.reason = Some(Reason::Reverted);
                Stage::Rejected
            }
            _ => Stage::Waiting,
        };
        self.note(match self.reason {
            Some(reason) => Note::Failed(reason),
            None => Note::Entered,
        });
        if self.given_back || matches!(self.stage, Stage::Activated) {
            // Whatever was begun goes on behind a reset.
            self.platform.reset();
        }
        Ok(self.state())
    }

    /// A power cut came while the update was accepted, and the bootloader has taken back a part of
    /// it: what has passed its test comes back, as often as updates are tried.
    fn finish(&mut self) -> Result<Stage, Reason> {
        self.record.set_installs(self.record.installs().saturating_add(1));
        if self.record.installs() <= self.config.attempts.saturating_add(1) {
            self.save()?;
            let finished = self.platform.finish();
            if self.storage(Operation::Activate, finished)? {
                return Ok(Stage::Activated);
            }
        }
        self.record.set_phase(Phase::Failed);
        self.save()?;
        self.reason = Some(Reason::Reverted);
        Ok(Stage::Rejected)
    }

    /// Where the update is.
    pub fn state(&self) -> State {
        match self.stage {
            Stage::Waiting => State::Waiting,
            Stage::Received => State::JobReceived,
            Stage::Opening | Stage::Erasing { .. } | Stage::Fetching => State::Fetching,
            Stage::Hashing { .. } | Stage::Checking => State::Verifying,
            Stage::Ready | Stage::Activated => State::ReadyToActivate,
            Stage::Testing { .. } => State::SelfTest,
            Stage::Accepted => State::Accepted,
            Stage::Rejected => State::Rejected,
            Stage::Aborted => State::Aborted,
        }
    }

    /// Why the last update ended, or was refused.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// What the storage said when it failed last.
    pub fn fault(&self) -> Option<P::Error> {
        self.fault
    }

    /// What the update waits for.
    pub fn deferral(&self) -> Option<Deferral> {
        self.deferral
    }

    /// The next report.
    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop()
    }

    /// Reports that were not fetched in time.
    pub fn lost_reports(&self) -> u32 {
        self.reports.lost()
    }

    /// The id of the job that the agent is about.
    pub fn job_id(&self) -> &str {
        self.record.id()
    }

    /// Whether job `id` is the one that has brought the running image, and the image stays.
    pub fn has_accepted(&self, id: &str) -> bool {
        self.record.phase() == Phase::Accepted && self.record.id() == id
    }

    /// The version that runs.
    pub fn running(&mut self) -> Version {
        self.platform.running()
    }

    /// How the agent was set up.
    pub fn config(&self) -> &Config<'b> {
        &self.config
    }

    /// The device.
    pub fn platform(&mut self) -> &mut P {
        &mut self.platform
    }

    /// Numbers that spread devices over time.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Bytes of the image, once known.
    pub fn size(&self) -> Option<u32> {
        Some(self.record.size_of_image()).filter(|size| *size > 0)
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        self.record.block()
    }

    /// Blocks held, and blocks of the image, 0 as long as its size is unknown.
    pub fn progress(&self) -> (u32, u32) {
        (self.record.held(), self.record.blocks())
    }

    /// Whether block number `block` is missing.
    pub fn misses(&self, block: u32) -> bool {
        block < self.record.blocks() && !self.record.holds(block)
    }

    /// The first bytes from `from` on that are missing, a block or the rest of one; `None` if there
    /// are none, or if nothing is to be fetched now.
    pub fn wanted(&self, from: u32) -> Option<Wanted> {
        if !self.is_fetching() {
            return None;
        }
        let (size, block) = (self.record.size_of_image(), self.record.block());
        if size == 0 {
            return Some(Wanted { offset: 0, len: block });
        }
        let missing = self.record.missing_from(from / block)?;
        let offset = missing.checked_mul(block)?;
        Some(Wanted { offset, len: size.checked_sub(offset)?.min(block) })
    }

    /// Whether blocks are awaited. While the update waits at a gate they are not.
    pub fn is_fetching(&self) -> bool {
        matches!(self.stage, Stage::Fetching) && self.deferral.is_none()
    }

    /// Whether the slot is marked, and only a reset is missing.
    pub fn is_activated(&self) -> bool {
        matches!(self.stage, Stage::Activated)
    }

    /// Whether an update is under way, up to the reset.
    pub fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Waiting | Stage::Accepted | Stage::Rejected | Stage::Aborted)
    }

    /// Resets the device: into the image that was marked, or back out of one that has failed.
    pub fn reset(&mut self) {
        self.platform.reset();
    }

    fn note(&mut self, note: Note) {
        let (held, blocks) = self.progress();
        let report = Report { at: self.now, state: self.state(), note, held, blocks };
        self.reports.push(report);
    }

    fn enter(&mut self, stage: Stage) {
        let before = self.state();
        self.stage = stage;
        if self.state() != before {
            self.note(Note::Entered);
        }
    }

    fn storage<T>(&mut self, doing: Operation, result: Result<T, P::Error>) -> Result<T, Reason> {
        result.map_err(|error| {
            self.fault = Some(error);
            Reason::Storage(doing)
        })
    }

    fn save(&mut self) -> Result<(), Reason> {
        self.unsaved = 0;
        let saved = self.platform.save(self.record.sealed());
        self.storage(Operation::Record, saved)
    }

    /// Breaks the update off; what is held is used if it comes again.
    pub fn abort(&mut self, reason: Reason, now: Duration) {
        self.now = now;
        if self.is_busy() && !matches!(self.stage, Stage::Testing { .. }) {
            self.end(Stage::Aborted, reason);
        }
    }

    fn end(&mut self, stage: Stage, reason: Reason) {
        let mut reason = reason;
        if matches!(self.stage, Stage::Ready | Stage::Activated) {
            // The next boot must not try what was given up.
            let taken_back = self.platform.set_image_state(Verdict::Aborted);
            if let Err(failed) = self.storage(Operation::ImageState, taken_back) {
                reason = failed;
            }
        }
        if matches!(
            self.stage,
            Stage::Hashing { .. } | Stage::Checking | Stage::Ready | Stage::Activated
        ) {
            self.discard();
        }
        if matches!(stage, Stage::Rejected) && self.record.phase() != Phase::Accepting {
            self.record.set_phase(Phase::Failed);
            let _ = self.save();
        } else if self.unsaved > 0 {
            let _ = self.save();
        }
        self.deferral = None;
        self.reason = Some(reason);
        self.stage = stage;
        self.note(Note::Failed(reason));
    }

    /// Where the bootloader takes what it finds, a whole image must not stay that was given up.
    fn discard(&mut self) {
        let discarded = self.platform.discard();
        match self.storage(Operation::Erase, discarded) {
            Ok(0) => {}
            Ok(end) => {
                self.let_go(0..end);
                self.unsaved = self.unsaved.saturating_add(1);
            }
            Err(reason) => self.note(Note::Failed(reason)),
        }
    }

    /// Ends an update for a reason, so that it fits the reason whether it may be tried again.
    pub(crate) fn fail(&mut self, reason: Reason) {
        if !self.is_busy() {
            return;
        }
        if reason.may_pass() || matches!(reason, Reason::Cancelled | Reason::Aborted) {
            self.end(Stage::Aborted, reason);
        } else {
            self.end(Stage::Rejected, reason);
        }
    }

    /// A message was refused. So many are put up with, then the update is broken off.
    pub fn refuse(&mut self, reason: Reason, now: Duration) {
        self.now = now;
        if matches!(self.stage, Stage::Rejected | Stage::Aborted) && self.reason == Some(reason) {
            // It has been told: the update has ended by that message.
            return;
        }
        if !self.is_busy() {
            self.reason = Some(reason);
        }
        self.note(Note::Refused(reason));
        self.refused = self.refused.saturating_add(1);
        if self.is_fetching() && self.refused >= self.config.tolerance {
            self.fail(reason);
        }
    }

    /// The server has been told how the update ended: the agent waits for the next job.
    pub fn reported(&mut self, now: Duration) {
        self.now = now;
        if matches!(self.record.phase(), Phase::Accepted | Phase::Failed) && !self.record.is_told()
        {
            self.record.set_told();
            let _ = self.save();
        }
        if !self.is_busy() {
            self.enter(Stage::Waiting);
        }
    }

    /// Takes a job, if the rules allow it. The same job once more changes nothing.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn offer(&mut self, offer: &Offer<'_>, now: Duration) -> Result<(), Reason> {
        self.now = now;
        let taken = self.consider(offer);
        if let Err(reason) = taken {
            self.reason = Some(reason);
            self.note(Note::Refused(reason));
        }
        taken
    }

    fn consider(&mut self, offer: &Offer<'_>) -> Result<(), Reason> {
        let fingerprint = offer.fingerprint();
        let known = self.record.fingerprint() == fingerprint;
        if self.is_busy() {
            return if known { Ok(()) } else { Err(Reason::Busy) };
        }
        if offer.board.is_some_and(|board| !board.is(self.config.board)) {
            return Err(Reason::WrongBoard);
        }
        if let Some(offered) = offer.version {
            let running = self.platform.running();
            if offered <= running {
                return Err(Reason::NotNewer { offered, running });
            }
        }
        // An empty signature is none: nothing of it would be left to be checked.
        let signed = offer.signature.is_some_and(|signature| !signature.bytes.is_empty());
        if !signed && (offer.signature.is_some() || self.platform.demands_job_signature()) {
            return Err(Reason::NotSigned);
        }
        let id = Label::<LONGEST_ID>::new(offer.id.as_bytes()).ok_or(Reason::TooLong("job id"))?;
        let phase = self.record.phase();
        let failed = if known { self.record.installs() } else { 0 };
        // Of a job without a name the file has to be seen first.
        let nameless = offer.is_nameless();
        if failed >= self.config.attempts && !nameless {
            return Err(Reason::FailedBefore);
        }
        let size = offer.size.unwrap_or(0);
        self.fits(size, self.config.block)?;
        self.promise = Promise::default();
        self.promise.sha256 = offer.sha256;
        if let Some(signature) = offer.signature {
            let too_long = Reason::TooLong("signature");
            self.promise.signature = Label::new(signature.bytes).ok_or(too_long)?;
            let certificate = Label::new(signature.certificate.as_bytes());
            self.promise.certificate = certificate.ok_or(Reason::TooLong("certificate"))?;
        }
        let goes_on = known
            && matches!(phase, Phase::Fetching | Phase::Ready)
            && (size == 0 || size == self.record.size_of_image());
        (self.nameless, self.measured) = (nameless, offer.size.is_some());
        if !goes_on {
            let seen = if known && nameless { self.record.seen() } else { 0 };
            self.record.begin(&fingerprint, &id, self.config.block);
            self.record.set_seen(seen);
            self.record.set_version(offer.version);
            self.record.set_size(size);
            self.record.set_installs(failed);
            self.save()?;
        }
        self.fresh = self.record.held() == 0;
        if self.record.images() != 1 {
            // How the file is made up is not kept: its beginning has to come again.
            self.record.set_held(0, false);
            if self.fresh {
                self.record.set_images(1);
            }
        }
        self.platform.concerns(self.record.images());
        (self.stored, self.refused, self.reason) = (0, 0, None);
        self.overruled = [false; Gate::ALL.len()];
        self.enter(Stage::Received);
        if !self.fresh {
            self.note(Note::TakenUp);
        }
        Ok(())
    }

    /// Whether an image of so many bytes has room in the slot and in the record.
    fn fits(&mut self, size: u32, block: u32) -> Result<(), Reason> {
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

    fn begin_anew(&mut self, reason: Reason) -> Result<(), Reason> {
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
    fn let_go(&mut self, bytes: Range<u32>) {
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

    fn close(&mut self, size: u32) -> Result<(), Reason> {
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

    fn digest_fits(&mut self, digest: &Digest) -> Result<(), Reason> {
        if self.promise.sha256.is_some_and(|promised| promised != digest.as_bytes()) {
            return Err(Reason::HashDiffers);
        }
        let Promise { signature, certificate, .. } = &self.promise;
        if !signature.is_empty()
            && !self.platform.is_signed(digest, signature.bytes(), certificate.text())
        {
            return Err(Reason::SignatureDiffers);
        }
        Ok(())
    }

    fn ask(&mut self, gate: Gate) -> Answer {
        if self.is_overruled(gate) { Answer::Go } else { self.platform.gate(gate) }
    }
}
