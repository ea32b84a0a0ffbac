//! What has become of an update since the last boot.

use core::time::Duration;

use super::{Agent, Stage};
use crate::platform::{ImageState, Platform, Verdict};
use crate::record::Phase;
use crate::report::Note;
use crate::{Operation, Reason, State};

impl<P: Platform> Agent<'_, P> {
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
                self.reason = Some(Reason::Torn);
                self.given_back = self.save().is_ok();
                if self.given_back { Stage::Rejected } else { Stage::Waiting }
            }
            (Phase::Accepting, ImageState::Valid) if !ours => self.finish(),
            (Phase::Accepting, ImageState::Torn) if ours => {
                // Nothing was taken back: the others are still to be confirmed.
                let accepted = self.platform.set_image_state(Verdict::Accepted);
                match self.storage(Operation::ImageState, accepted) {
                    Ok(()) => self.accepted(),
                    Err(reason) => {
                        self.reason = Some(reason);
                        Stage::Waiting
                    }
                }
            }
            (phase, ImageState::Trial) => {
                if ours && matches!(phase, Phase::Ready | Phase::Activated) {
                    self.record.set_phase(Phase::Testing);
                    self.keep();
                }
                Stage::Testing { until: now.saturating_add(self.config.self_test) }
            }
            (
                Phase::Ready | Phase::Activated | Phase::Testing | Phase::Accepting,
                ImageState::Valid,
            ) if ours => self.accepted(),
            (Phase::Activated | Phase::Testing, ImageState::Valid) => self.failed(),
            (Phase::Accepted, _) if !self.record.is_told() => Stage::Accepted,
            // Its flag could not be written, and is there nevertheless.
            (Phase::Failed, ImageState::Valid) if ours && !self.record.is_told() => self.accepted(),
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
    fn finish(&mut self) -> Stage {
        self.record.set_installs(self.record.installs().saturating_add(1));
        let tries = self.config.attempts.saturating_add(1);
        if self.record.installs() <= tries && self.save().is_ok() {
            let finished = self.platform.finish();
            if self.storage(Operation::Activate, finished) == Ok(true) {
                return Stage::Activated;
            }
        }
        self.failed()
    }

    fn accepted(&mut self) -> Stage {
        self.record.set_phase(Phase::Accepted);
        // What comes next under the same name has not failed yet.
        self.record.set_installs(0);
        self.keep();
        Stage::Accepted
    }

    fn failed(&mut self) -> Stage {
        self.record.set_phase(Phase::Failed);
        self.keep();
        self.reason = Some(Reason::Reverted);
        Stage::Rejected
    }

    /// What the record says can be found out once more, if it is not kept.
    fn keep(&mut self) {
        if let Err(reason) = self.save() {
            self.note(Note::Failed(reason));
        }
    }
}
