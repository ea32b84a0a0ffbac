//! Group 10, enumeration: which groups a server has. It is a wrapper around them, so that it tells
//! of what is there.
//!
//! Source: Zephyr documentation, "Enumeration management".

use super::{Answer, Failure, GroupInfo, Groups, Request, Reset};
use crate::{EnumError, Op, Rc, enumeration, group};

/// Groups, and the enumeration group that tells of them and of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enumerated<G>(pub G);

const ITSELF: GroupInfo =
    GroupInfo { id: group::ENUMERATION, name: Some("enum mgmt"), commands: 4 };

impl<G: Groups> Enumerated<G> {
    fn count(&self) -> u32 {
        let mut count = 0_u32;
        self.each(&mut |_| count = count.saturating_add(1));
        count
    }

    fn list(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_list("groups")?;
        self.try_each(|info| answer.item_u32(info.id.into()))?;
        answer.end()
    }

    fn single(&self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let mut index = None;
        request.fields(|key, value| match key {
            "index" => value.u32(&mut index),
            _ => Ok(()),
        })?;
        let (wanted, count) = (index.unwrap_or(0), self.count());
        let (mut at, mut found) = (0_u32, None);
        self.each(&mut |info| {
            found = found.or((at == wanted).then_some(info.id));
            at = at.saturating_add(1);
        });
        answer.u32("group", found.ok_or(EnumError::IndexTooLarge)?.into())?;
        match count - 1 == wanted {
            true => answer.bool("end", true),
            false => Ok(()),
        }
    }

    fn details(&self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        // Whether a group is asked for; everything is where nothing is named.
        let wanted = |id: u16| {
            let (mut named, mut found) = (false, false);
            request.fields(|key, value| match key {
                "groups" if !named => {
                    named = true;
                    value.list(|item| {
                        let mut number = None;
                        item.u32(&mut number)?;
                        found |= number == Some(id.into());
                        Ok(())
                    })
                }
                _ => Ok(()),
            })?;
            Ok::<_, Failure>(found || !named)
        };
        answer.begin_list("groups")?;
        self.try_each(|info| {
            if !wanted(info.id)? {
                return Ok(());
            }
            answer.begin_item()?;
            answer.u32("group", info.id.into())?;
            if let Some(name) = info.name {
                answer.str("name", name)?;
            }
            if info.commands > 0 {
                answer.u32("handlers", info.commands)?;
            }
            answer.end()
        })?;
        answer.end()
    }

    fn try_each(
        &self,
        mut each: impl FnMut(GroupInfo) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut outcome = Ok(());
        self.each(&mut |info| {
            if outcome.is_ok() {
                outcome = each(info);
            }
        });
        outcome
    }
}

impl<G: Groups> Groups for Enumerated<G> {
    fn each(&self, each: &mut dyn FnMut(GroupInfo)) {
        each(ITSELF);
        self.0.each(each);
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        if request.header.group != ITSELF.id {
            return self.0.handle(request, answer);
        }
        match request.command() {
            (enumeration::COUNT, Op::Read) => answer.u32("count", self.count())?,
            (enumeration::LIST, Op::Read) => self.list(answer)?,
            (enumeration::SINGLE, Op::Read) => self.single(request, answer)?,
            (enumeration::DETAILS, Op::Read) => self.details(request, answer)?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}
