//! From a job that was taken to the image in flash.

use core::time::Duration;

use super::{Device, Peer, Step, Todo, Told};
use crate::agent::Taken;
use crate::aws::{Block, Rejected, StreamTopic};
use crate::platform::Platform;
use crate::{Reason, State};

impl<P: Platform> Device<'_, P> {
    pub(super) fn fetch(&mut self, now: Duration) {
        let state = self.agent.poll(now);
        self.tell_waiting(now);
        match state {
            _ if self.agent.deferral().is_some() => {
                (self.due, self.part, self.gap) = (0, None, None);
                if self.open == Some(Peer::Files) {
                    // It may take long: whoever has the job is told, and can take it back meanwhile.
                    self.connect(Peer::Broker, now);
                }
            }
            State::Fetching if self.agent.is_fetching() => self.go_on(now),
            State::Verifying => {
                (self.due, self.part, self.gap) = (0, None, None);
            }
            State::ReadyToActivate if self.agent.is_activated() => self.tell(Told::Ready, now),
            State::Rejected | State::Aborted => {
                let reason = self.agent.reason().unwrap_or(Reason::Aborted);
                self.tell_failure(reason, now);
            }
            State::Waiting | State::Accepted | State::SelfTest => {
                self.step = Step::Online { ask: now };
            }
            _ => {}
        }
    }

    /// Whether the server does not know yet that the update waits, or that it goes on.
    fn waits_untold(&self) -> bool {
        let gate = self.agent.deferral().map(|deferral| deferral.gate);
        self.open == Some(Peer::Broker) && self.agent.is_busy() && gate != self.told_gate
    }

    fn tell_waiting(&mut self, now: Duration) {
        if !self.waits_untold() {
            return;
        }
        self.told_gate = self.agent.deferral().map(|deferral| deferral.gate);
        let (held, _) = self.agent.progress();
        self.tell(self.told_gate.map_or(Told::Receive(held), Told::Waits), now);
    }

    fn go_on(&mut self, now: Duration) {
        let timers = self.settings.timers;
        let peer = if self.over_http() { Peer::Files } else { Peer::Broker };
        if peer == Peer::Files && self.file_server().is_none() {
            return self.agent.fail(Reason::BadValue("update_data_url"));
        }
        if self.open != Some(peer) {
            return self.connect(peer, now);
        }
        if self.gap.is_some_and(|gap| now >= gap) {
            self.silences = self.silences.saturating_add(1);
            if self.silences > timers.silences {
                return self.agent.abort(Reason::Silent, now);
            }
            (self.due, self.part) = (0, None);
            if peer == Peer::Files {
                return self.connect(peer, now);
            }
        }
        if self.due > 0 || self.part.is_some() {
            return;
        }
        let Some(wanted) = self.agent.wanted(0) else { return };
        self.gap = Some(now.saturating_add(timers.gap));
        if peer == Peer::Files {
            self.part = Some((wanted.offset, wanted.len));
            self.http.begin(self.part);
            let (offset, len) = (wanted.offset, wanted.len);
            return self.todo.push(Todo::AskPart { offset, len });
        }
        if !core::mem::replace(&mut self.subscribed, true) {
            self.todo.push(Todo::SubscribeStream(StreamTopic::Data));
            self.todo.push(Todo::SubscribeStream(StreamTopic::Rejected));
        }
        // No more come than the bitmap says.
        let (_, blocks) = self.agent.progress();
        let first = super::write::first_asked(wanted.offset / self.agent.block_size());
        let asked = (first..blocks.min(first.saturating_add(super::write::ASKED)))
            .filter(|block| self.agent.misses(*block));
        let at_once = self.settings.at_once.max(1);
        self.due = u32::try_from(asked.take(at_once as usize).count()).unwrap_or(at_once);
        self.todo.push(Todo::AskBlocks);
    }

    pub(super) fn fetch_deadline(&self) -> Option<Duration> {
        if self.waits_untold() {
            return Some(Duration::ZERO);
        }
        if let Some(at) = self.agent.deadline() {
            return Some(at);
        }
        let asked = self.due > 0 || self.part.is_some();
        if self.agent.is_fetching() && asked { self.gap } else { Some(Duration::ZERO) }
    }

    pub(super) fn block(&mut self, payload: &[u8], now: Duration) {
        if !self.agent.is_fetching() {
            return;
        }
        let taken = self.take_block(payload, now);
        match taken {
            Ok(Taken::Already) => {}
            Ok(Taken::Again) => (self.due, self.gap) = (0, None),
            Ok(_) => self.came(now),
            Err(reason) => self.agent.refuse(reason, now),
        }
    }

    fn take_block(&mut self, payload: &[u8], now: Duration) -> Result<Taken, Reason> {
        let format = self.settings.format;
        let file = self.current().map(|job| job.file.id);
        let memory = if self.is_json() { self.http.memory() } else { &mut [][..] };
        let block = Block::decode(payload, format, memory)?;
        if Some(block.file) != file {
            return Err(Reason::Unasked);
        }
        let out = Reason::ChunkOffset { offset: u32::MAX };
        let offset = block.index.checked_mul(self.agent.block_size()).ok_or(out)?;
        self.agent.block(offset, block.data, now)
    }

    /// A block came that was missing.
    fn came(&mut self, now: Duration) {
        (self.silences, self.failed, self.part) = (0, 0, None);
        self.due = self.due.saturating_sub(1);
        self.gap = Some(now.saturating_add(self.settings.timers.gap));
        let (held, _) = self.agent.progress();
        let every = u32::from(self.agent.config().report_every.max(1));
        let tells = held == 1 || held.is_multiple_of(every);
        if tells && self.open == Some(Peer::Broker) {
            self.tell(Told::Receive(held), now);
        }
    }

    pub(super) fn stream_refused(&mut self, payload: &[u8], now: Duration) {
        let Ok(rejected) = Rejected::decode(payload, self.settings.format) else {
            return self.agent.refuse(Reason::Unasked, now);
        };
        let last = rejected.is_final();
        self.agent.refuse(Reason::ServerRefused, now);
        if last && self.agent.is_fetching() {
            self.agent.abort(Reason::ServerRefused, now);
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8], now: Duration) {
        match self.http.feed(bytes) {
            Ok(true) => self.answered(now),
            Ok(false) => {}
            Err(reason) => self.broken(reason, now),
        }
    }

    pub(super) fn answered(&mut self, now: Duration) {
        let (Some(answer), Some((offset, len))) = (self.http.answer(), self.part) else { return };
        let closes = answer.head.closes;
        let taken = answer.part(offset, len).and_then(|(data, total)| {
            self.agent.sized(total, now)?;
            self.agent.block(offset, data, now)
        });
        match taken {
            Ok(_) => {
                self.came(now);
                if closes {
                    self.disconnect();
                }
            }
            Err(reason) => self.broken(reason, now),
        }
    }

    /// What the server sends is not what was asked for.
    fn broken(&mut self, reason: Reason, now: Duration) {
        self.agent.refuse(reason, now);
        match reason {
            // The address is too old: the job has a new one.
            Reason::Status(400 | 403 | 404) if self.silences < self.settings.timers.silences => {
                self.silences = self.silences.saturating_add(1);
                self.agent.abort(reason, now);
                self.agent.reported(now);
                self.connect(Peer::Broker, now);
            }
            Reason::NoRange | Reason::Status(_) => {
                self.disconnect();
                self.agent.abort(reason, now);
            }
            _ => {
                self.lost(now);
                self.todo.push(Todo::Close);
            }
        }
    }
}
