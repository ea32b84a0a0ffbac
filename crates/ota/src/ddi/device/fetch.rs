//! Answers, and from an update that was taken to the image in flash.

use core::time::Duration;

use super::{Ask, Device, Step, Told};
use crate::platform::Platform;
use crate::{Reason, State};

impl<P: Platform> Device<'_, P> {
    pub(super) fn fetch(&mut self, now: Duration) {
        if now >= self.poll_at && !self.agent.is_activated() {
            self.poll_at = Duration::MAX;
            return self.ask(Ask::Poll, now);
        }
        let state = self.agent.poll(now);
        let gate = self.agent.deferral().map(|deferral| deferral.gate);
        if gate != self.told_gate && self.agent.is_busy() && !self.agent.is_activated() {
            self.told_gate = gate;
            return self.ask(Ask::Tell(gate.map_or(Told::GoesOn, Told::Waits)), now);
        }
        match state {
            State::Fetching if self.agent.is_fetching() => {
                if let Some(wanted) = self.agent.wanted(0) {
                    let (offset, len) = (wanted.offset, wanted.len);
                    self.ask(Ask::Part { offset, len }, now);
                }
            }
            State::ReadyToActivate if self.agent.is_activated() => {
                self.ask(Ask::Tell(Told::Installed), now);
            }
            _ if self.agent.deferral().is_some() => self.disconnect(),
            State::Rejected => {
                let reason = self.agent.reason().unwrap_or(Reason::Aborted);
                self.ask(Ask::Tell(Told::Bad(reason)), now);
            }
            // It comes again with the next poll, and goes on with what is held.
            State::Aborted | State::Waiting | State::Accepted | State::SelfTest => {
                self.agent.reported(now);
                self.rest(now);
            }
            _ => {}
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
        let Some(answer) = self.http.answer() else { return };
        let (head, ask) = (answer.head, self.ask);
        if head.closes {
            self.disconnect();
        }
        let taken = match ask {
            Ask::Poll => self.polled(now),
            Ask::Cancel => self.cancelled(now),
            Ask::Deployment => self.deployed(now),
            Ask::Part { offset, len } => self.part(offset, len, now),
            // The update comes with the next poll.
            Ask::Confirm => {
                self.rest(now);
                Ok(())
            }
            Ask::Cancelled { .. } | Ask::Config => {
                match self.deployment.is_empty() {
                    true => self.go_on(now),
                    false => self.ask(Ask::Deployment, now),
                }
                Ok(())
            }
            Ask::Tell(told) => match head.status {
                // Also a server that has forgotten the action, or has closed it, has heard.
                200..=299 | 404 | 409 | 410 => {
                    self.heard(told, now);
                    Ok(())
                }
                status => Err(Reason::Status(status)),
            },
        };
        match taken {
            Ok(()) => self.failed = 0,
            Err(reason) => self.broken(reason, now),
        }
    }

    fn part(&mut self, offset: u32, len: u32, now: Duration) -> Result<(), Reason> {
        let Some(answer) = self.http.answer() else { return Ok(()) };
        let (data, total) = answer.part(offset, len)?;
        self.agent.sized(total, now)?;
        self.agent.block(offset, data, now)?;
        self.step = Step::Fetch;
        Ok(())
    }

    /// What the server says is not what was asked for.
    fn broken(&mut self, reason: Reason, now: Duration) {
        self.agent.refuse(reason, now);
        if matches!(self.ask, Ask::Part { .. }) && !self.agent.is_fetching() {
            // The update is over, or begins anew: to ask again for this part is of no use.
            self.disconnect();
            self.step = Step::Fetch;
            return;
        }
        match (self.ask, reason) {
            (Ask::Part { .. }, Reason::NoRange | Reason::Status(400..500)) => {
                self.disconnect();
                self.agent.abort(reason, now);
                self.step = Step::Fetch;
            }
            (_, reason) if reason.may_pass() => self.lost(reason, now),
            // The update is not as it should be.
            (Ask::Deployment, reason) => {
                self.disconnect();
                self.ask(Ask::Tell(Told::Bad(reason)), now);
            }
            _ => self.go_on(now),
        }
    }
}
