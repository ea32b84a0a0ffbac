//! Group 2, statistics: counters by group and name.
//!
//! Source: Zephyr documentation, "Statistics management".

use super::{Answer, Failure, Group, Request, Reset};
use crate::{Op, Rc, StatError, statistics};

/// The counters of a device.
pub trait Statistics {
    /// Calls `each` with the name of every group of counters.
    fn groups(&mut self, each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure>;

    /// Calls `each` with name and value of every counter of a group. `false` if there is no such
    /// group.
    fn counters(
        &mut self,
        group: &str,
        each: impl FnMut(&str, u64) -> Result<(), Failure>,
    ) -> Result<bool, Failure>;
}

/// The statistics group over the counters of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatisticsGroup<S>(pub S);

impl<S: Statistics> StatisticsGroup<S> {
    fn show(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let mut name = None;
        request.fields(|key, value| match key {
            "name" => value.str(&mut name),
            _ => Ok(()),
        })?;
        let name = name.ok_or(Rc::INVALID)?;
        answer.str("name", name)?;
        answer.begin_map("fields")?;
        if !self.0.counters(name, |counter, value| answer.u64(counter, value))? {
            return Err(StatError::InvalidName.into());
        }
        answer.end()
    }
}

impl<S: Statistics> Group for StatisticsGroup<S> {
    const ID: u16 = crate::group::STATISTICS;
    const NAME: Option<&'static str> = Some("stat mgmt");

    fn commands(&self) -> u32 {
        2
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (statistics::SHOW, Op::Read) => self.show(request, answer)?,
            (statistics::LIST, Op::Read) => {
                answer.begin_list("stat_list")?;
                self.0.groups(|name| answer.item_str(name))?;
                answer.end()?;
            }
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}
