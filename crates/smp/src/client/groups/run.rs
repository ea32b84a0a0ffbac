//! Requests and answers of the groups 5, crash tests, and 7, tests to run.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Op, crash, group, run};

impl Requests {
    /// Makes the device crash, in a way such as `div0`; see [`Fault`](crate::server::Fault) for
    /// the names.
    pub fn crash<'b>(
        &mut self,
        buffer: &'b mut [u8],
        how: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::CRASH, crash::TRIGGER), |c| {
            c.map(1)?.str("t")?.str(how)?.ok()
        })
    }

    /// Asks which tests the device can run; see [`Answer::tests`].
    pub fn tests<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::RUN, run::LIST), |c| c.map(0)?.ok())
    }

    /// Has the device run a test, or all. The token comes back in the test's report.
    pub fn run_test<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: Option<&str>,
        token: Option<&str>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::RUN, run::TEST), |c| {
            c.map(u64::from(name.is_some()) + u64::from(token.is_some()))?;
            if let Some(name) = name {
                c.str("testname")?.str(name)?;
            }
            match token {
                Some(token) => c.str("token")?.str(token)?.ok(),
                None => Ok(()),
            }
        })
    }
}

impl<'p> Answer<'p> {
    /// Calls `each` with the name of every test.
    pub fn tests(&self, each: impl FnMut(&'p str)) -> Result<(), AnswerError> {
        self.texts("run_list", each)
    }
}
