//! Answers, and from an update that was taken to the image in flash.

use core::time::Duration;

use super::{Ask, Device, Step, Told};
use crate::platform::Platform;
use crate::{Reason, State};

impl<P: Platform> Device<'_, P> {
    pub(super) fn fetch(&mut self, now: Duration) {
        match self.agent.poll(now) {
            State::Fetching if self.agent.is_fetching() => {
                if let Some(wanted) = self.agent.wanted(0) {
                    let (offset, len) = (wanted.offset, wanted.len);
                    return self.ask(Ask::Part { offset, len }, now);
                }
                self.disconnect();
            }
            State::ReadyToActivate if self.agent.is_activated() => {
                self.ask(Ask::Tell(Told::Installed), now);
            }
            State::JobReceived | State::ReadyToActivate if self.agent.deferral().is_some() => {
                self.disconnect();
            }
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
        let mut rest = bytes;
        while !rest.is_empty() && self.http.is_awaited() {
            match self.http.take(rest) {
                Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                Err(reason) => return self.broken(reason, now),
            }
            if self.http.answer().is_some() {
                return match rest.is_empty() {
                    true => self.answered(now),
                    false => self.broken(Reason::TooMuch, now),
                };
            }
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
            Ask::Cancelled | Ask::Config => {
                match self.deployment.is_empty() {
                    true => self.rest(now),
                    false => self.ask(Ask::Deployment, now),
                }
                Ok(())
            }
            Ask::Tell(told) => match head.status {
                500..=599 => Err(Reason::Status(head.status)),
                // Whatever it thinks of it, it has heard.
                _ => {
                    self.heard(told, now);
                    Ok(())
                }
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
            _ => self.rest(now),
        }
    }
}
