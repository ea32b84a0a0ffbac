//! One request and its answer: repeated until one comes, with the same bytes, so that a late
//! answer to an earlier copy counts.

use core::time::Duration;

use super::Answer;
use crate::Header;

/// How long to wait, how often to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Wait for the first answer. Doubles with every repetition.
    pub timeout: Duration,
    /// Longest wait between two repetitions.
    pub longest: Duration,
    /// Repetitions before giving up.
    pub retries: u32,
}

impl Patience {
    /// For commands that are answered at once.
    pub const QUICK: Self = Self {
        timeout: Duration::from_millis(1000),
        longest: Duration::from_millis(2500),
        retries: 4,
    };

    /// For commands that erase flash before they answer.
    pub const ERASING: Self =
        Self { timeout: Duration::from_secs(30), longest: Duration::from_secs(60), retries: 2 };

    /// The wait after the request was sent `sends` times, 1 and up.
    pub fn wait(&self, sends: u32) -> Duration {
        let factor = 1_u32.checked_shl(sends.saturating_sub(1)).unwrap_or(u32::MAX);
        self.timeout.saturating_mul(factor.max(1)).min(self.longest.max(self.timeout))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::QUICK
    }
}

/// What an exchange wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll<'m> {
    /// Send these bytes, then poll again.
    Send(&'m [u8]),
    /// Wait for a packet, until this time at most.
    Wait(Duration),
    /// Nothing came, however often the request was repeated.
    GaveUp {
        /// How often it was sent.
        sends: u32,
    },
    /// The answer has come.
    Answered,
}

/// One request under way.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'m> {
    message: &'m [u8],
    header: Header,
    patience: Patience,
    sends: u32,
    due: Duration,
    answered: bool,
}

impl<'m> Exchange<'m> {
    /// An exchange for a request that [`Requests`](super::Requests) has built. `None` if `message`
    /// is shorter than a header.
    pub fn new(message: &'m [u8], patience: Patience) -> Option<Self> {
        let (header, _) = Header::parse(message).ok()?;
        Some(Self { message, header, patience, sends: 0, due: Duration::ZERO, answered: false })
    }

    /// What to do at the time `now`.
    pub fn poll(&mut self, now: Duration) -> Poll<'m> {
        if self.answered {
            return Poll::Answered;
        }
        if self.sends > 0 && now < self.due {
            return Poll::Wait(self.due);
        }
        if self.sends > self.patience.retries {
            return Poll::GaveUp { sends: self.sends };
        }
        self.sends += 1;
        self.due = now.saturating_add(self.patience.wait(self.sends));
        Poll::Send(self.message)
    }

    /// Takes a packet. Returns the answer if it is the one waited for; strays (answers to earlier
    /// requests, other groups, cut messages) are dropped.
    pub fn handle<'p>(&mut self, packet: &'p [u8]) -> Option<Answer<'p>> {
        let answer = Answer::parse(packet)?;
        let fits = self.sends > 0 && !self.answered && answer.header.answers(&self.header);
        self.answered |= fits;
        fits.then_some(answer)
    }
}
