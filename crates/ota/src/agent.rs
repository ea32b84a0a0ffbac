//! The agent: what becomes of a job, whichever protocol has brought it.

mod blocks;
mod install;
mod rules;
mod start;

use core::time::Duration;

use updraft_image::{Digest, HashKind, Hasher};

use crate::label::Label;
use crate::platform::{Answer, Platform, Verdict};
use crate::record::{LONGEST_ID, Phase, Record};
use crate::report::{Note, Report, Reports, State};
use crate::timer::Random;
use crate::{Gate, Operation, Reason, Version};

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
