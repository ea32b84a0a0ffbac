//! Group 7, tests that a device runs on itself. As the first generation of servers has it.
//!
//! Source: the run management of mynewt.

use super::{Answer, Failure, Group, Request, Reset};
use crate::{Op, Rc, run};

/// Tests of a device.
pub trait Tests {
    /// Calls `each` with the name of every test.
    fn tests(&mut self, each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure>;

    /// Starts a test, or all of them. The token is for the test's report, so that its reader knows
    /// what asked for it.
    fn run(&mut self, name: Option<&str>, token: Option<&str>) -> Result<(), Failure>;
}

/// The run group.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunGroup<T>(pub T);

impl<T: Tests> Group for RunGroup<T> {
    const ID: u16 = crate::group::RUN;
    const NAME: Option<&'static str> = Some("run mgmt");

    fn commands(&self) -> u32 {
        2
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (run::TEST, Op::Write) => {
                let (mut name, mut token) = (None, None);
                request.fields(|key, value| match key {
                    "testname" => value.str(&mut name),
                    "token" => value.str(&mut token),
                    _ => Ok(()),
                })?;
                // A client that wants them all names them so, or none.
                let name = name.filter(|name| !name.is_empty() && *name != "all");
                self.0.run(name, token.filter(|token| !token.is_empty()))?;
            }
            (run::LIST, Op::Read) => {
                answer.begin_list("run_list")?;
                self.0.tests(|name| answer.item_str(name))?;
                answer.end()?;
            }
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        answer.u32("rc", 0)?;
        Ok(None)
    }
}
