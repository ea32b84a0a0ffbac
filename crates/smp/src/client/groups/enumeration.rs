//! Requests and answers of group 10, enumeration.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Op, enumeration, group};

/// A group of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEntry<'p> {
    /// Its number.
    pub group: u32,
    /// Its name, if the device tells.
    pub name: Option<&'p str>,
    /// How many command ids it has, if the device tells.
    pub handlers: Option<u32>,
}

impl Requests {
    /// Asks how many groups there are; see [`Answer::group_count`].
    pub fn group_count<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::ENUMERATION, enumeration::COUNT), |c| c.map(0)?.ok())
    }

    /// Asks which groups there are; see [`Answer::groups`].
    pub fn groups<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::ENUMERATION, enumeration::LIST), |c| c.map(0)?.ok())
    }

    /// Asks for one group by its place in the list; see [`Answer::group_at`].
    pub fn group_at<'b>(
        &mut self,
        buffer: &'b mut [u8],
        index: u32,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::ENUMERATION, enumeration::SINGLE), |c| {
            c.map(1)?.str("index")?.u32(index)?.ok()
        })
    }

    /// Asks for names and sizes of some groups, or of all; see [`Answer::group_details`].
    pub fn group_details<'b>(
        &mut self,
        buffer: &'b mut [u8],
        groups: Option<&[u16]>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        let Some(groups) = groups else {
            let command = (group::ENUMERATION, enumeration::DETAILS);
            return self.build(buffer, Op::Read, command, |c| c.map(0)?.ok());
        };
        self.build(buffer, Op::Read, (group::ENUMERATION, enumeration::DETAILS), |c| {
            c.map(1)?.str("groups")?.array(groups.len() as u64)?;
            groups.iter().try_for_each(|group| c.u16(*group)?.ok())
        })
    }
}

impl<'p> Answer<'p> {
    /// How many groups there are.
    pub fn group_count(&self) -> Result<u32, AnswerError> {
        self.number("count")
    }

    /// Calls `each` with the number of every group.
    pub fn groups(&self, mut each: impl FnMut(u32)) -> Result<(), AnswerError> {
        self.fields(|key, value| match key {
            "groups" => value.list(|item| {
                let mut number = None;
                item.u32(&mut number)?;
                number.into_iter().for_each(&mut each);
                Ok(())
            }),
            _ => Ok(()),
        })
    }

    /// The number of a group, and whether it is the last.
    pub fn group_at(&self) -> Result<(u32, bool), AnswerError> {
        let (mut number, mut end) = (None, None);
        self.fields(|key, value| match key {
            "group" => value.u32(&mut number),
            "end" => value.bool(&mut end),
            _ => Ok(()),
        })?;
        Ok((number.ok_or(self.incomplete())?, end.unwrap_or(false)))
    }

    /// Calls `each` for every group.
    pub fn group_details(&self, mut each: impl FnMut(GroupEntry<'p>)) -> Result<(), AnswerError> {
        self.fields(|key, value| match key {
            "groups" => value.list(|item| {
                let (mut number, mut name, mut handlers) = (None, None, None);
                item.map(|key, value| match key {
                    "group" => value.u32(&mut number),
                    "name" => value.str(&mut name),
                    "handlers" => value.u32(&mut handlers),
                    _ => Ok(()),
                })?;
                if let Some(group) = number {
                    each(GroupEntry { group, name, handlers });
                }
                Ok(())
            }),
            _ => Ok(()),
        })
    }
}
