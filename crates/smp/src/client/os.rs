//! Requests and answers of group 0, the operating system.

use super::request::{BufferTooSmall, Requests};
use super::{Answer, AnswerError, Params};
use crate::{Op, group, os};

/// What the bootloader tells of itself, as far as it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootloaderReply<'p> {
    /// Its name (asked without a query).
    pub name: Option<&'p str>,
    /// Number of its upgrade mode (query `mode`); -1 if the device does not know.
    pub mode: Option<i32>,
    /// Whether it refuses older versions (query `mode`).
    pub no_downgrade: bool,
}

impl Requests {
    /// Has the device say `text` again; see [`Answer::echo`].
    pub fn echo<'b>(
        &mut self,
        buffer: &'b mut [u8],
        text: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::OS, os::ECHO), |c| {
            c.map(1)?.str("d")?.str(text)?.ok()
        })
    }

    /// Resets the device. `boot_mode` 1 asks for the bootloader's serial recovery.
    ///
    /// A device that is busy refuses ([`Refusal::is_busy`](super::Refusal::is_busy)). With
    /// `force` the key is sent as the integer that the documentation names; servers that read a
    /// boolean instead are reached with [`reset_insisting`](Self::reset_insisting).
    pub fn reset<'b>(
        &mut self,
        buffer: &'b mut [u8],
        force: bool,
        boot_mode: Option<u8>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::OS, os::RESET), |c| {
            c.map(u64::from(force) + u64::from(boot_mode.is_some()))?;
            if force {
                c.str("force")?.u8(1)?;
            }
            if let Some(mode) = boot_mode {
                c.str("boot_mode")?.u8(mode)?;
            }
            Ok(())
        })
    }

    /// Resets the device with `force` as a boolean.
    pub fn reset_insisting<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::OS, os::RESET), |c| {
            c.map(1)?.str("force")?.bool(true)?.ok()
        })
    }

    /// Asks for the server's buffers; see [`Answer::params`].
    pub fn params<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::OS, os::PARAMS), |c| c.map(0)?.ok())
    }

    /// Asks for system information by its format letters; see [`Answer::info`].
    pub fn info<'b>(
        &mut self,
        buffer: &'b mut [u8],
        format: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::OS, os::INFO), |c| {
            c.map(1)?.str("format")?.str(format)?.ok()
        })
    }

    /// Asks for bootloader information: its name, or what `query` says, such as `mode`; see
    /// [`Answer::bootloader`].
    pub fn bootloader_info<'b>(
        &mut self,
        buffer: &'b mut [u8],
        query: Option<&str>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::OS, os::BOOTLOADER_INFO), |c| match query {
            None => c.map(0)?.ok(),
            Some(query) => c.map(1)?.str("query")?.str(query)?.ok(),
        })
    }
}

impl<'p> Answer<'p> {
    /// The text of an echo.
    pub fn echo(&self) -> Result<&'p str, AnswerError> {
        self.text("r")
    }

    /// The output of an information request.
    pub fn info(&self) -> Result<&'p str, AnswerError> {
        self.text("output")
    }

    /// The server's buffers.
    pub fn params(&self) -> Result<Params, AnswerError> {
        let (mut size, mut count) = (None, None);
        self.fields(|key, value| match key {
            "buf_size" => value.u32(&mut size),
            "buf_count" => value.u32(&mut count),
            _ => Ok(()),
        })?;
        match (size, count) {
            (Some(buf_size), Some(buf_count)) => Ok(Params { buf_size, buf_count }),
            _ => Err(self.incomplete()),
        }
    }

    /// What the bootloader tells of itself.
    pub fn bootloader(&self) -> Result<BootloaderReply<'p>, AnswerError> {
        let mut reply = BootloaderReply::default();
        let mut no_downgrade = None;
        self.fields(|key, value| match key {
            "bootloader" => value.str(&mut reply.name),
            "mode" => value.i32(&mut reply.mode),
            "no-downgrade" => value.bool(&mut no_downgrade),
            _ => Ok(()),
        })?;
        reply.no_downgrade = no_downgrade.unwrap_or(false);
        Ok(reply)
    }

    fn text(&self, wanted: &str) -> Result<&'p str, AnswerError> {
        let mut text = None;
        self.fields(|key, value| if key == wanted { value.str(&mut text) } else { Ok(()) })?;
        text.ok_or(self.incomplete())
    }
}
