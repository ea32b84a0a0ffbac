//! Tasks, memory pools and the clock, as far as a platform has them.

use crate::server::{Answer, Failure};
use crate::{DateTime, OsError};

/// A task of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its priority; what is smaller runs first.
    pub priority: i32,
    /// Its number.
    pub id: u32,
    /// Its state, as bits that the kernel defines.
    pub state: u32,
    /// Size and highest use of its stack, in words of 4 bytes.
    pub stack: Option<(u32, u32)>,
    /// How often it was switched to, if that is counted.
    pub switches: Option<u32>,
    /// How long it has run, in ticks, if that is measured.
    pub run_time: Option<u64>,
}

impl Task<'_> {
    pub(super) fn write(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_map(self.name)?;
        answer.i32("prio", self.priority)?;
        answer.u32("tid", self.id)?;
        answer.u32("state", self.state)?;
        if let Some((size, used)) = self.stack {
            answer.u32("stksiz", size)?;
            answer.u32("stkuse", used)?;
        }
        if let Some(switches) = self.switches {
            answer.u32("cswcnt", switches)?;
        }
        if let Some(run_time) = self.run_time {
            answer.u64("runtime", run_time)?;
        }
        answer.end()
    }
}

/// A pool of memory blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool<'a> {
    /// Its name.
    pub name: &'a str,
    /// Bytes of a block.
    pub block_size: u32,
    /// How many blocks there are.
    pub blocks: u32,
    /// How many of them are free.
    pub free: u32,
    /// The fewest that ever were.
    pub least_free: u32,
}

impl Pool<'_> {
    pub(super) fn write(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_map(self.name)?;
        answer.u32("blksiz", self.block_size)?;
        answer.u32("nblks", self.blocks)?;
        answer.u32("nfree", self.free)?;
        answer.u32("min", self.least_free)?;
        answer.end()
    }
}

/// A clock that tells date and time.
pub trait Clock {
    /// What time it is; `None` if the clock was never set.
    fn read(&mut self) -> Result<Option<DateTime>, OsError>;

    /// Sets it.
    fn set(&mut self, moment: DateTime) -> Result<(), OsError>;
}
