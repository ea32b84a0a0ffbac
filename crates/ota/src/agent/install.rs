//! From a job that was taken to the image that runs: one piece of work at a time.

use core::time::Duration;

use updraft_image::{HashKind, Hasher};

use super::{Agent, Deferral, Limit, Stage};
use crate::platform::{Answer, Platform, Verdict};
use crate::record::Phase;
use crate::report::Note;
use crate::{Gate, Operation, Reason, State};

/// Bytes that are hashed in one call.
const HASHED_AT_ONCE: u32 = 4096;

impl<P: Platform> Agent<'_, P> {
    /// When [`poll`](Self::poll) is to be called. A moment that has passed: there is work to do.
    pub fn deadline(&self) -> Option<Duration> {
        if let Some(deferral) = self.deferral {
            return Some(deferral.again);
        }
        match self.stage {
            Stage::Testing { until } => Some(until),
            Stage::Waiting
            | Stage::Fetching
            | Stage::Activated
            | Stage::Accepted
            | Stage::Rejected
            | Stage::Aborted => None,
            _ => Some(Duration::ZERO),
        }
    }

    /// Does one piece of work: erases a sector, hashes a few kilobytes, checks a signature; looks at
    /// gates and deadlines. Says where the update is then.
    pub fn poll(&mut self, now: Duration) -> State {
        self.now = now;
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return self.state();
        }
        if let Err(reason) = self.work() {
            match self.stage {
                Stage::Hashing { .. } | Stage::Checking => self.unfit(reason),
                _ => self.fail(reason),
            }
        }
        self.state()
    }

    fn work(&mut self) -> Result<(), Reason> {
        match self.stage {
            Stage::Received => {
                let gates = [Gate::Space, Gate::User, Gate::Battery, Gate::Network];
                if self.may_pass_gates(&gates)? {
                    let whole = self.record.blocks() > 0 && self.record.missing_from(0).is_none();
                    match whole {
                        true => return self.close(self.record.size_of_image()),
                        false => self.enter(Stage::Opening),
                    }
                }
            }
            Stage::Opening => {
                let opened = self.platform.open();
                self.storage(Operation::Open, opened)?;
                // With blocks in it, the slot was erased before they came.
                self.stage = if self.fresh { Stage::Erasing { at: 0 } } else { Stage::Fetching };
            }
            Stage::Erasing { at } => {
                let end = match self.record.size_of_image() {
                    0 => self.platform.capacity(),
                    size => size,
                };
                if at >= end {
                    self.stage = Stage::Fetching;
                    return Ok(());
                }
                let erased = self.platform.clear(at, end);
                let next = self.storage(Operation::Erase, erased)?;
                self.stage = Stage::Erasing { at: next.max(at.saturating_add(1)) };
            }
            Stage::Hashing { at } => {
                let size = self.record.size_of_image();
                let end = size.min(at.saturating_add(HASHED_AT_ONCE));
                let mut from = at;
                while from < end {
                    let mut piece = [0; 256];
                    let len = (end - from).min(piece.len() as u32);
                    let piece = piece.get_mut(..len as usize).unwrap_or_default();
                    let read = self.platform.read(from, piece);
                    self.storage(Operation::Read, read)?;
                    self.hasher.update(piece);
                    from += len;
                }
                if end < size {
                    self.stage = Stage::Hashing { at: end };
                    return Ok(());
                }
                let hasher = core::mem::replace(&mut self.hasher, Hasher::new(HashKind::Sha256));
                self.digest_fits(&hasher.finish())?;
                self.stage = Stage::Checking;
            }
            Stage::Checking => self.verify()?,
            Stage::Ready => self.activate_if_allowed()?,
            Stage::Testing { .. } => self.give_back(Reason::SelfTestLate),
            Stage::Fetching => {
                self.may_pass_gates(&[Gate::Battery, Gate::Network])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Everything that is checked before the slot is marked.
    fn verify(&mut self) -> Result<(), Reason> {
        let verified = self.platform.verify(self.record.size_of_image());
        let verified = self.storage(Operation::Read, verified)?.ok_or(Reason::ImageRefused)?;
        let (image, running) = (verified.version, self.platform.running());
        if image <= running && !verified.any_version {
            return Err(Reason::NotNewer { offered: image, running });
        }
        if let Some(promised) = self.record.version().filter(|promised| *promised != image) {
            self.note(Note::Differs { promised, image });
        }
        self.record.set_version(Some(image));
        self.record.set_phase(Phase::Ready);
        self.save()?;
        self.enter(Stage::Ready);
        Ok(())
    }

    /// The image is not as it should be. If a part of it is from earlier, that may be why.
    pub(super) fn unfit(&mut self, reason: Reason) {
        let by_bytes = match reason {
            Reason::HashDiffers | Reason::ImageRefused => true,
            Reason::SignatureDiffers => self.promise.sha256.is_none(),
            _ => false,
        };
        if !self.fresh && by_bytes {
            if let Err(reason) = self.begin_anew(reason) {
                self.fail(reason);
            }
            return;
        }
        // An image that is no update has not failed.
        if !reason.may_pass() && !matches!(reason, Reason::NotNewer { .. }) {
            self.record.set_installs(self.record.installs().saturating_add(1));
        }
        self.fail(reason);
    }

    fn activate_if_allowed(&mut self) -> Result<(), Reason> {
        if !self.may_pass_gates(&[Gate::Battery, Gate::User])? {
            return Ok(());
        }
        // Counted first: an image that falls back before it has told anybody is not tried for ever.
        self.record.set_installs(self.record.installs().saturating_add(1));
        self.save()?;
        let activated = self.platform.activate();
        self.storage(Operation::Activate, activated)?;
        self.record.set_phase(Phase::Activated);
        // The next boot finds out by itself, if this is not kept.
        let _ = self.save();
        self.stage = Stage::Activated;
        self.note(Note::Activated);
        Ok(())
    }

    /// The application has tested the new image.
    pub fn self_test(&mut self, passed: bool, now: Duration) {
        self.now = now;
        if !matches!(self.stage, Stage::Testing { .. }) {
            return;
        }
        if !passed {
            return self.give_back(Reason::SelfTestFailed);
        }
        if self.record.phase() == Phase::Testing && self.record.images() != 1 {
            // Kept first: if the power goes when some of the images stay and others do not, those
            // are brought back.
            self.record.set_phase(Phase::Accepting);
            let _ = self.save();
        }
        let accepted = self.platform.set_image_state(Verdict::Accepted);
        if let Err(reason) = self.storage(Operation::ImageState, accepted) {
            return self.give_back(reason);
        }
        if matches!(self.record.phase(), Phase::Testing | Phase::Accepting) {
            self.record.set_phase(Phase::Accepted);
            // What comes next under the same name has not failed yet.
            self.record.set_installs(0);
            let _ = self.save();
        }
        self.enter(Stage::Accepted);
    }

    /// The running image is not to stay: the reset that follows reverts it.
    pub(crate) fn give_back(&mut self, reason: Reason) {
        let rejected = self.platform.set_image_state(Verdict::Rejected);
        let _ = self.storage(Operation::ImageState, rejected);
        self.given_back = true;
        self.end(Stage::Rejected, reason);
    }

    /// Whether the running image is to be reverted: a reset is due. If its state cannot be read it
    /// counts as on trial, for a reset harms none that stays.
    pub fn is_given_back(&mut self) -> bool {
        self.is_failed_test()
            && !matches!(self.platform.image_state(), Ok(crate::ImageState::Valid))
    }

    /// Whether the running image has failed its test.
    pub(crate) fn is_failed_test(&self) -> bool {
        self.given_back && matches!(self.stage, Stage::Rejected)
    }

    /// Whether the running image's test is over and nobody has been told yet.
    pub(crate) fn is_decided(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::Rejected)
    }

    pub(super) fn is_overruled(&self, gate: Gate) -> bool {
        let [battery, network, space, user] = self.overruled;
        match gate {
            Gate::Battery => battery,
            Gate::Network => network,
            Gate::Space => space,
            Gate::User => user,
        }
    }

    /// Whether all gates are open. The first that is not lets the update wait.
    fn may_pass_gates(&mut self, gates: &[Gate]) -> Result<bool, Reason> {
        for gate in gates {
            let gate = *gate;
            match self.ask(gate) {
                Answer::Go => {}
                Answer::Never => return Err(Reason::Forbidden(gate)),
                Answer::NotNow => return self.defer(gate),
            }
        }
        if let Some(deferral) = self.deferral.take() {
            self.note(Note::Resumed(deferral.gate));
        }
        Ok(true)
    }

    fn defer(&mut self, gate: Gate) -> Result<bool, Reason> {
        let rule = self.config.rule(gate);
        let waiting = self.deferral.filter(|deferral| deferral.gate == gate);
        let since = waiting.map_or(self.now, |deferral| deferral.since);
        if self.now.saturating_sub(since) >= rule.longest {
            match rule.then {
                Limit::GiveUp => return Err(Reason::Waited(gate)),
                Limit::GoOn => {
                    let overruled = Gate::ALL.iter().position(|other| *other == gate);
                    if let Some(flag) = overruled.and_then(|at| self.overruled.get_mut(at)) {
                        *flag = true;
                    }
                    self.deferral = None;
                    self.note(Note::Overruled(gate));
                    // What else there is to wait for is looked at in the next call.
                    return Ok(false);
                }
            }
        }
        let limit = since.saturating_add(rule.longest);
        let again = self.now.saturating_add(self.random.jitter(rule.again)).min(limit);
        self.deferral = Some(Deferral { gate, since, again });
        if waiting.is_none() {
            self.note(Note::Deferred(gate));
        }
        Ok(false)
    }

    /// Between two blocks: whether battery and network still are as they should be.
    pub(super) fn ask_while_fetching(&mut self) {
        if let Err(reason) = self.may_pass_gates(&[Gate::Battery, Gate::Network]) {
            self.fail(reason);
        }
    }
}
