//! Requests and answers of group 0, the operating system.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError, Params};
use crate::{Malformed, Op, Value, group, os};

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

/// A task of the device. What the device does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskEntry<'p> {
    /// Its name.
    pub name: &'p str,
    /// Its priority.
    pub priority: Option<i32>,
    /// Its number.
    pub id: Option<u32>,
    /// Its state, as bits that the kernel defines.
    pub state: Option<u32>,
    /// Size of its stack, in words of 4 bytes by custom.
    pub stack_size: Option<u32>,
    /// The most of it that was used, in the same unit.
    pub stack_used: Option<u32>,
    /// How often it was switched to.
    pub switches: Option<u32>,
    /// How long it has run, in ticks.
    pub run_time: Option<u64>,
}

/// A memory pool of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolEntry<'p> {
    /// Its name.
    pub name: &'p str,
    /// Bytes of a block.
    pub block_size: Option<u32>,
    /// How many blocks there are.
    pub blocks: Option<u32>,
    /// How many of them are free.
    pub free: Option<u32>,
    /// The fewest that ever were.
    pub least_free: Option<u32>,
}

impl<'p> PoolEntry<'p> {
    fn field(&mut self, key: &str, value: Value<'_, 'p>) -> Result<(), Malformed> {
        match key {
            "blksiz" => value.u32(&mut self.block_size),
            "nblks" => value.u32(&mut self.blocks),
            "nfree" => value.u32(&mut self.free),
            "min" => value.u32(&mut self.least_free),
            _ => Ok(()),
        }
    }
}

impl Requests {
    /// Turns the echo of the device's console on or off.
    pub fn console_echo<'b>(
        &mut self,
        buffer: &'b mut [u8],
        on: bool,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::OS, os::CONSOLE_ECHO), |c| {
            c.map(1)?.str("echo")?.u8(on.into())?.ok()
        })
    }

    /// Asks for the tasks; see [`Answer::tasks`].
    pub fn tasks<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::OS, os::TASKS), |c| c.map(0)?.ok())
    }

    /// Asks for the memory pools; see [`Answer::pools`].
    pub fn pools<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::OS, os::POOLS), |c| c.map(0)?.ok())
    }

    /// Asks what time the device's clock shows; see [`Answer::date_time`].
    pub fn date_time<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::OS, os::DATE_TIME), |c| c.map(0)?.ok())
    }

    /// Sets the device's clock. `moment` is [`DateTime`](crate::DateTime) as text, or what else
    /// the device takes.
    pub fn set_date_time<'b>(
        &mut self,
        buffer: &'b mut [u8],
        moment: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::OS, os::DATE_TIME), |c| {
            c.map(1)?.str("datetime")?.str(moment)?.ok()
        })
    }

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
    /// A device that is busy refuses ([`Refusal::is_busy`](crate::client::Refusal::is_busy)). With
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
        boot_mode: Option<u8>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::OS, os::RESET), |c| {
            c.map(1 + u64::from(boot_mode.is_some()))?.str("force")?.bool(true)?;
            if let Some(mode) = boot_mode {
                c.str("boot_mode")?.u8(mode)?;
            }
            Ok(())
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

    /// Calls `each` for every task.
    pub fn tasks(&self, mut each: impl FnMut(TaskEntry<'p>)) -> Result<(), AnswerError> {
        self.fields(|key, value| match key {
            "tasks" => value.map(|name, value| {
                let mut task = TaskEntry { name, ..TaskEntry::default() };
                value.map(|key, value| match key {
                    "prio" => value.i32(&mut task.priority),
                    "tid" => value.u32(&mut task.id),
                    "state" => value.u32(&mut task.state),
                    "stksiz" => value.u32(&mut task.stack_size),
                    "stkuse" => value.u32(&mut task.stack_used),
                    "cswcnt" => value.u32(&mut task.switches),
                    "runtime" => value.u64(&mut task.run_time),
                    _ => Ok(()),
                })?;
                each(task);
                Ok(())
            }),
            _ => Ok(()),
        })
    }

    /// Calls `each` for every memory pool. They stand in the answer itself, or one level deeper.
    pub fn pools(&self, mut each: impl FnMut(PoolEntry<'p>)) -> Result<(), AnswerError> {
        self.fields(|name, value| {
            if !value.is_map() {
                return Ok(());
            }
            let (mut pool, mut inner) = (PoolEntry { name, ..PoolEntry::default() }, false);
            value.map(|name, value| {
                if !value.is_map() {
                    return pool.field(name, value);
                }
                inner = true;
                let mut pool = PoolEntry { name, ..PoolEntry::default() };
                value.map(|key, value| pool.field(key, value))?;
                each(pool);
                Ok(())
            })?;
            if !inner {
                each(pool);
            }
            Ok(())
        })
    }

    /// What the device's clock shows, as it spells it.
    pub fn date_time(&self) -> Result<&'p str, AnswerError> {
        self.text("datetime")
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
}
