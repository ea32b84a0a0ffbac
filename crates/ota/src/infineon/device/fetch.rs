//! From a job that was taken to the image in flash.

use core::time::Duration;

use super::{Asked, Device, Purpose, Step, Todo};
use crate::agent::Taken;
use crate::infineon::Chunk;
use crate::platform::Platform;
use crate::{Reason, State};

impl<P: Platform> Device<'_, P> {
    pub(super) fn rest(&mut self, until: Option<Duration>, now: Duration) {
        match self.agent.poll(now) {
            State::SelfTest => {}
            State::Rejected if self.agent.is_given_back() => {
                self.agent.reported(now);
                self.step = Step::Reset { at: now };
            }
            // The test is over.
            State::Accepted | State::Rejected => {
                self.agent.reported(now);
                let wait = self.agent.random().jitter(self.settings.timers.first_check);
                self.step = Step::Rest { until: Some(now.saturating_add(wait)) };
            }
            _ if until.is_some_and(|until| now >= until) => self.begin(now),
            _ => {}
        }
    }

    pub(super) fn fetch(&mut self, now: Duration) {
        match self.agent.poll(now) {
            State::Fetching if self.agent.deferral().is_some() => {
                // It may take long, and the server need not wait.
                (self.asked, self.gap, self.end) = (Asked::Nothing, None, None);
                self.disconnect();
            }
            State::Fetching if self.agent.is_fetching() => self.go_on(now),
            State::JobReceived | State::ReadyToActivate if self.agent.deferral().is_some() => {
                self.disconnect();
            }
            State::ReadyToActivate if self.agent.is_activated() => self.ended(true, now),
            State::Verifying => {
                (self.asked, self.gap, self.end) = (Asked::Nothing, None, None);
                if self.is_redirected() {
                    self.disconnect();
                }
            }
            State::Rejected | State::Aborted => self.ended(false, now),
            State::Waiting | State::Accepted | State::SelfTest => self.finish(None, now),
            _ => {}
        }
    }

    fn go_on(&mut self, now: Duration) {
        let timers = self.settings.timers;
        let end = *self.end.get_or_insert(now.saturating_add(timers.download));
        if now >= end {
            return self.agent.abort(Reason::Exhausted, now);
        }
        if !self.serves(Purpose::Data) {
            return self.connect(Purpose::Data, now);
        }
        self.open = Some(Purpose::Data);
        self.purpose = Purpose::Data;
        if self.gap.is_some_and(|gap| now >= gap) {
            self.silences = self.silences.saturating_add(1);
            if self.silences > timers.silences {
                return self.agent.abort(Reason::Silent, now);
            }
            // Some publishers send chunks one by one, some only all of them.
            let some = self.agent.progress().0 > 0;
            self.piecewise = self.settings.piecewise || (some && !self.piecewise);
            // A network that is gone says nothing of it. Questions on its line would wait in it, and
            // be answered all at once when it is back, with much that is held.
            if (some && self.piecewise) || self.server(Purpose::Data).transport.is_http() {
                self.lost(Reason::Silent, now);
                return self.todo.push(Todo::Close);
            }
            self.asked = Asked::Nothing;
        }
        if self.asked != Asked::Nothing {
            return;
        }
        let Some(wanted) = self.agent.wanted(0) else { return };
        let taken_up = self.silences == 0 && self.agent.progress().0 > 0;
        let http = self.server(Purpose::Data).transport.is_http();
        self.piecewise |= taken_up;
        self.asked = match http || self.piecewise {
            true => Asked::Part { offset: wanted.offset, len: wanted.len },
            false => Asked::Image,
        };
        self.gap = Some(now.saturating_add(timers.gap));
        self.ask();
    }

    pub(super) fn fetch_deadline(&self) -> Option<Duration> {
        if self.agent.deferral().is_some() && self.open.is_some() {
            // To hang up: the server need not wait.
            return Some(Duration::ZERO);
        }
        if let Some(at) = self.agent.deadline() {
            return Some(at);
        }
        if !self.agent.is_fetching() || self.asked == Asked::Nothing {
            return Some(Duration::ZERO);
        }
        self.gap.into_iter().chain(self.end).min()
    }

    /// A message while blocks are fetched.
    pub(super) fn chunk(&mut self, payload: &[u8], now: Duration) {
        if payload.first() == Some(&b'{') || !self.agent.is_fetching() {
            // The job once more, or what was said to an earlier question.
            return;
        }
        if let Err(reason) = self.take_chunk(payload, now) {
            match reason {
                Reason::NotNewer { .. }
                | Reason::TooLarge { .. }
                | Reason::TooManyBlocks { .. } => {
                    self.agent.fail(reason);
                }
                _ => self.agent.refuse(reason, now),
            }
        }
    }

    fn take_chunk(&mut self, payload: &[u8], now: Duration) -> Result<(), Reason> {
        let chunk = Chunk::decode(payload)?;
        let (offered, running) = (chunk.version, self.agent.running());
        if offered <= running {
            return Err(Reason::NotNewer { offered, running });
        }
        if self.version.is_some_and(|version| version != offered) {
            return Err(Reason::ChunkVersion(offered));
        }
        self.agent.sized(chunk.total, now)?;
        self.version = Some(offered);
        match self.agent.block(chunk.offset, chunk.data, now)? {
            // Whatever was asked for is still on its way: to ask again would double every answer.
            Taken::Already if matches!(self.asked, Asked::Part { .. }) => {}
            Taken::Again => (self.asked, self.gap) = (Asked::Nothing, None),
            _ => self.came(now),
        }
        Ok(())
    }

    /// Something came that was of use.
    fn came(&mut self, now: Duration) {
        (self.silences, self.failed) = (0, 0);
        self.gap = Some(now.saturating_add(self.settings.timers.gap));
        if matches!(self.asked, Asked::Part { .. }) {
            self.asked = Asked::Nothing;
        }
    }

    pub(super) fn closed(&mut self, reason: Reason, now: Duration) {
        let needed = match self.step {
            Step::Connect { .. } | Step::Job { .. } | Step::Result { .. } => true,
            Step::Fetch => self.agent.is_fetching() && self.open.is_some(),
            Step::Rest { .. } | Step::Again { .. } | Step::Reset { .. } => false,
        };
        if needed {
            self.lost(reason, now);
        } else {
            self.open = None;
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8], now: Duration) {
        match self.http.feed(bytes) {
            Ok(true) => self.answered(now),
            Ok(false) => {}
            Err(reason) => self.broken(reason, now),
        }
    }

    /// What the server sends is not what was asked for.
    fn broken(&mut self, reason: Reason, now: Duration) {
        self.agent.refuse(reason, now);
        match reason {
            // Asked again, it would say the same.
            Reason::Status(400..500) | Reason::NoRange if self.purpose == Purpose::Data => {
                self.disconnect();
                self.agent.abort(reason, now);
            }
            _ => {
                self.lost(reason, now);
                self.todo.push(Todo::Close);
            }
        }
    }

    /// The answer is whole.
    pub(super) fn answered(&mut self, now: Duration) {
        let Some(answer) = self.http.answer() else { return };
        let closes = answer.head.closes;
        let result = match (self.step, self.asked) {
            (Step::Job { .. }, _) => {
                let max = super::LONGEST_DOCUMENT.min(self.job.len());
                let kept = answer.good().and_then(|body| {
                    let len = body.len();
                    let room = self.job.get_mut(..len).filter(|_| len < max);
                    room.ok_or(Reason::DocumentTooLong { len, max })?.copy_from_slice(body);
                    self.job_len = len;
                    Ok(())
                });
                self.forget_closed(closes);
                return match kept {
                    // There is none.
                    Err(Reason::Status(404)) => self.finish(None, now),
                    Err(reason @ Reason::Status(_)) => {
                        self.agent.refuse(reason, now);
                        self.finish(Some(reason), now);
                    }
                    kept => self.take_job(kept, now),
                };
            }
            (Step::Result { .. }, _) => return self.close_session(now),
            (Step::Fetch, Asked::Part { offset, len }) => {
                answer.part(offset, len).and_then(|(data, total)| {
                    self.agent.sized(total, now)?;
                    self.agent.block(offset, data, now)
                })
            }
            _ => return,
        };
        match result {
            Ok(_) => {
                self.forget_closed(closes);
                self.came(now);
            }
            Err(reason @ (Reason::TooLarge { .. } | Reason::TooManyBlocks { .. })) => {
                self.forget_closed(closes);
                self.agent.fail(reason);
            }
            Err(reason) => self.broken(reason, now),
        }
    }

    /// The server wants no more requests on this connection.
    fn forget_closed(&mut self, closes: bool) {
        if closes {
            self.disconnect();
        }
    }
}
