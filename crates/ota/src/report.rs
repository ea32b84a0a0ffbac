//! What is told of an update while it goes on.

use core::time::Duration;

use crate::{Gate, Reason, Version};

/// Where an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No job.
    Waiting,
    /// A job is there, and keeps the rules.
    JobReceived,
    /// Its blocks are being fetched, or the slot is made ready for them.
    Fetching,
    /// All blocks are in flash; hash, signature, board and version are looked at.
    Verifying,
    /// The image is good. With the gates open it is marked, and the next reset boots it.
    ReadyToActivate,
    /// The new image runs on trial.
    SelfTest,
    /// The new image stays.
    Accepted,
    /// The update was refused or has failed, and will not be tried again as it is.
    Rejected,
    /// The update was broken off. What is held is used if it comes again.
    Aborted,
}

impl State {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::JobReceived => "job received",
            Self::Fetching => "fetching",
            Self::Verifying => "verifying",
            Self::ReadyToActivate => "ready to activate",
            Self::SelfTest => "self-test",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Aborted => "aborted",
        }
    }
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The state is new.
    Entered,
    /// More blocks are held.
    Progress,
    /// It goes on with blocks that an earlier attempt has fetched.
    TakenUp,
    /// What was held is of no use: it begins anew.
    BegunAnew(Reason),
    /// It has to wait.
    Deferred(Gate),
    /// It goes on after having waited.
    Resumed(Gate),
    /// It goes on though it had to wait: the rule's limit is reached.
    Overruled(Gate),
    /// The image is good, and of another version than its job says.
    Differs {
        /// What the job says.
        promised: Version,
        /// What the image is.
        image: Version,
    },
    /// The slot is marked, a reset is due.
    Activated,
    /// A job or message was refused.
    Refused(Reason),
    /// The update has ended without success.
    Failed(Reason),
}

/// A report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// When.
    pub at: Duration,
    /// In which state.
    pub state: State,
    /// What.
    pub note: Note,
    /// Blocks held.
    pub held: u32,
    /// Blocks of the image; 0 as long as its size is unknown.
    pub blocks: u32,
}

/// Reports that nobody has asked for yet.
pub(crate) const KEPT: usize = 16;

/// The latest reports.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    waiting: [Option<Report>; KEPT],
    lost: u32,
}

impl Reports {
    /// Adds one; the oldest goes if there is no room.
    pub fn push(&mut self, report: Report) {
        if self.waiting.iter().all(Option::is_some) {
            self.pop();
            self.lost = self.lost.saturating_add(1);
        }
        if let Some(room) = self.waiting.iter_mut().find(|room| room.is_none()) {
            *room = Some(report);
        }
    }

    pub fn pop(&mut self) -> Option<Report> {
        self.waiting.rotate_left(1);
        self.waiting.last_mut()?.take()
    }

    pub fn lost(&self) -> u32 {
        self.lost
    }
}
