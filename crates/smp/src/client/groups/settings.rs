//! Requests and answers of group 3, settings.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Op, group, settings};

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingReply<'p> {
    /// Its bytes. Servers of the first generation answer with text, which is taken as its bytes.
    pub value: &'p [u8],
    /// The most that the device can tell, where more was asked for.
    pub max_size: Option<u32>,
}

impl Requests {
    /// Asks for the value of a setting, `max_size` bytes of it at most; see [`Answer::setting`].
    pub fn read_setting<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
        max_size: Option<u32>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::SETTINGS, settings::VALUE), |c| {
            c.map(1 + u64::from(max_size.is_some()))?.str("name")?.str(name)?;
            match max_size {
                Some(size) => c.str("max_size")?.u32(size)?.ok(),
                None => Ok(()),
            }
        })
    }

    /// Changes a setting.
    pub fn write_setting<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
        value: &[u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::SETTINGS, settings::VALUE), |c| {
            c.map(2)?.str("name")?.str(name)?.str("val")?.bytes(value)?.ok()
        })
    }

    /// Deletes a setting.
    pub fn delete_setting<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::SETTINGS, settings::DELETE), |c| {
            c.map(1)?.str("name")?.str(name)?.ok()
        })
    }

    /// Lets changed settings take effect.
    pub fn commit_settings<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::SETTINGS, settings::COMMIT), |c| c.map(0)?.ok())
    }

    /// Has the device load its settings from storage again.
    pub fn load_settings<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::SETTINGS, settings::STORAGE), |c| c.map(0)?.ok())
    }

    /// Has the device save its settings, or those below `subtree`.
    pub fn save_settings<'b>(
        &mut self,
        buffer: &'b mut [u8],
        subtree: Option<&str>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::SETTINGS, settings::STORAGE), |c| match subtree {
            None => c.map(0)?.ok(),
            Some(name) => c.map(1)?.str("name")?.str(name)?.ok(),
        })
    }
}

impl<'p> Answer<'p> {
    /// The value of a setting.
    pub fn setting(&self) -> Result<SettingReply<'p>, AnswerError> {
        let (mut value, mut max_size) = (None, None);
        self.fields(|key, found| match key {
            "val" => found.bytes_or_str(&mut value),
            "max_size" => found.u32(&mut max_size),
            _ => Ok(()),
        })?;
        value.map(|value| SettingReply { value, max_size }).ok_or(self.incomplete())
    }
}
