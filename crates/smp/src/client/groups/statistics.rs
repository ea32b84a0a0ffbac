//! Requests and answers of group 2, statistics.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Op, group, statistics};

impl Requests {
    /// Asks for the names of the groups of counters; see [`Answer::statistics_groups`].
    pub fn statistics_groups<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::STATISTICS, statistics::LIST), |c| c.map(0)?.ok())
    }

    /// Asks for the counters of a group; see [`Answer::counters`].
    pub fn counters<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::STATISTICS, statistics::SHOW), |c| {
            c.map(1)?.str("name")?.str(name)?.ok()
        })
    }
}

impl<'p> Answer<'p> {
    /// Calls `each` with the name of every group of counters.
    pub fn statistics_groups(&self, each: impl FnMut(&'p str)) -> Result<(), AnswerError> {
        self.texts("stat_list", each)
    }

    /// Calls `each` with name and value of every counter.
    pub fn counters(&self, each: impl FnMut(&'p str, u64)) -> Result<(), AnswerError> {
        self.numbers("fields", each)
    }
}
