//! Group 0, the operating system: echo, reset, buffer parameters, information, tasks, memory
//! pools, clock.
//!
//! Source: Zephyr documentation, "Default / OS Management Group".

mod tasks;

use core::fmt::{self, Write as _};

pub use tasks::{Clock, Pool, Task};

use super::{Answer, Failure, Group, Request, Reset};
use crate::{DateTime, Op, OsError, Rc, Version, os};

/// The server's message buffers, as clients are told them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// Bytes of the largest message, header included.
    pub size: u32,
    /// How many there are, for requests and answers together.
    pub count: u32,
}

/// What the bootloader tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootloaderInfo<'a> {
    /// Its name; `MCUboot` for everything that boots this image format the same way.
    pub name: &'a str,
    /// Number of its upgrade mode (`updraft_image::UpgradeMode`); -1 if it is not known.
    pub mode: i32,
    /// Whether it refuses to go back to an older version.
    pub no_downgrade: bool,
}

/// A piece of system information, in the order of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InfoField {
    /// `s`: name of the kernel.
    Kernel,
    /// `n`: name of this device on its network.
    Node,
    /// `r`: release of the kernel, such as a commit.
    Release,
    /// `v`: version of the kernel.
    Version,
    /// `b`: date and time of the build.
    Build,
    /// `m`: machine, which is the architecture.
    Machine,
    /// `p`: processor.
    Processor,
    /// `i`: hardware platform, which is the board.
    Platform,
    /// `o`: operating system.
    OperatingSystem,
}

impl InfoField {
    /// Every field, in the order of the output.
    pub const ALL: [Self; 9] = [
        Self::Kernel,
        Self::Node,
        Self::Release,
        Self::Version,
        Self::Build,
        Self::Machine,
        Self::Processor,
        Self::Platform,
        Self::OperatingSystem,
    ];

    /// The format letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Kernel => 's',
            Self::Node => 'n',
            Self::Release => 'r',
            Self::Version => 'v',
            Self::Build => 'b',
            Self::Machine => 'm',
            Self::Processor => 'p',
            Self::Platform => 'i',
            Self::OperatingSystem => 'o',
        }
    }
}

/// The platform behind the group.
pub trait Os {
    /// The server's buffers. The size is a promise: requests up to it are accepted, and answers
    /// never exceed it.
    fn buffers(&self) -> Buffers;

    /// A piece of system information. `None` for one that this platform does not have; its letter
    /// is then unknown, save for the node name, which is `unknown`.
    fn info(&self, field: InfoField) -> Option<&str>;

    /// What a format letter stands for that is not one of [`InfoField`]'s.
    fn extra_info(&self, letter: char) -> Option<&str> {
        let _ = letter;
        None
    }

    /// The bootloader, if it is known.
    fn bootloader(&self) -> Option<BootloaderInfo<'_>> {
        None
    }

    /// Whether the device may be reset now. Refusing tells the client to try again later or to
    /// insist, which is `force`.
    fn may_reset(&mut self, force: bool) -> bool {
        let _ = force;
        true
    }

    /// Turns the echo of the console on or off. By default there is none to turn.
    fn console_echo(&mut self, on: bool) -> Result<(), Failure> {
        let _ = on;
        Err(Rc::NOT_SUPPORTED.into())
    }

    /// Calls `each` for every task. By default none are told.
    fn tasks(&mut self, each: impl FnMut(&Task<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let _ = each;
        Err(Rc::NOT_SUPPORTED.into())
    }

    /// Calls `each` for every memory pool. By default none are told.
    fn pools(&mut self, each: impl FnMut(&Pool<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let _ = each;
        Err(Rc::NOT_SUPPORTED.into())
    }

    /// The clock, if there is one.
    fn clock(&mut self) -> Option<&mut dyn Clock> {
        None
    }
}

/// The operating-system group over a platform.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsGroup<O>(pub O);

impl<O: Os> Group for OsGroup<O> {
    const ID: u16 = crate::group::OS;
    const NAME: Option<&'static str> = Some("os mgmt");

    fn commands(&self) -> u32 {
        // The last command is the one that a device may lack.
        u32::from(os::BOOTLOADER_INFO) + u32::from(self.0.bootloader().is_some())
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (os::ECHO, _) => echo(request, answer)?,
            (os::CONSOLE_ECHO, Op::Write) => self.console_echo(request)?,
            (os::TASKS, Op::Read) => {
                answer.begin_map("tasks")?;
                self.0.tasks(|task| task.write(answer))?;
                answer.end()?;
            }
            (os::POOLS, Op::Read) => self.pools(request, answer)?,
            (os::DATE_TIME, Op::Read) => self.date_time(answer)?,
            (os::DATE_TIME, Op::Write) => self.set_date_time(request)?,
            (os::RESET, Op::Write) => return self.reset(request).map(Some),
            (os::PARAMS, Op::Read) => {
                let buffers = self.0.buffers();
                answer.u32("buf_size", buffers.size)?;
                answer.u32("buf_count", buffers.count)?;
            }
            (os::INFO, Op::Read) => self.info(request, answer)?,
            (os::BOOTLOADER_INFO, Op::Read) => self.bootloader_info(request, answer)?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}

fn echo(request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let mut text = None;
    request.fields(|key, value| match key {
        "d" => value.str(&mut text),
        _ => Ok(()),
    })?;
    answer.str("r", text.unwrap_or_default())
}

impl<O: Os> OsGroup<O> {
    /// Clients of the first generation look for the pools in a map of their own.
    fn pools(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let apart = request.header.version() == Some(Version::V1);
        if apart {
            answer.begin_map("mpools")?;
        }
        self.0.pools(|pool| pool.write(answer))?;
        if apart { answer.end() } else { Ok(()) }
    }

    fn reset(&mut self, request: &Request<'_>) -> Result<Reset, Failure> {
        let reset = Reset::requested(request);
        match self.0.may_reset(reset.force) {
            true => Ok(reset),
            false => Err(Rc::BUSY.into()),
        }
    }

    fn console_echo(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let mut on = None;
        request.fields(|key, value| match key {
            "echo" => value.flag(&mut on),
            _ => Ok(()),
        })?;
        self.0.console_echo(on.ok_or(Rc::INVALID)?)
    }

    fn date_time(&mut self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let clock = self.0.clock().ok_or(Rc::NOT_SUPPORTED)?;
        let moment = clock.read()?.ok_or(OsError::RtcNotSet)?;
        let mut text = MomentText { bytes: [0; DateTime::TEXT_MAX], len: 0 };
        write!(text, "{moment}").map_err(|_| OsError::RtcCommandFailed)?;
        answer.str("datetime", text.as_str())
    }

    fn set_date_time(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let clock = self.0.clock().ok_or(Rc::NOT_SUPPORTED)?;
        let mut text = None;
        request.fields(|key, value| match key {
            "datetime" => value.str(&mut text),
            _ => Ok(()),
        })?;
        let moment = text.and_then(DateTime::parse).ok_or(Rc::INVALID)?;
        Ok(clock.set(moment)?)
    }

    fn info(&self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let mut format = None;
        request.fields(|key, value| match key {
            "format" => value.str(&mut format),
            _ => Ok(()),
        })?;
        let format = format.filter(|format| !format.is_empty()).unwrap_or("s");
        let known = |letter| {
            letter == 'a'
                || InfoField::ALL
                    .into_iter()
                    .any(|field| field.letter() == letter && self.text(field).is_some())
                || self.0.extra_info(letter).is_some()
        };
        if !format.chars().all(known) {
            return Err(OsError::InvalidFormat.into());
        }
        let pieces = InfoField::ALL
            .into_iter()
            .filter(|field| format.contains(['a', field.letter()]))
            .filter_map(|field| self.text(field))
            .chain(format.chars().filter_map(|letter| self.0.extra_info(letter)))
            .enumerate()
            .flat_map(|(n, text)| [if n == 0 { "" } else { " " }, text]);
        answer.str_of("output", pieces)
    }

    fn text(&self, field: InfoField) -> Option<&str> {
        let missing = (field == InfoField::Node).then_some("unknown");
        self.0.info(field).or(missing)
    }

    fn bootloader_info(
        &self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Failure> {
        let info = self.0.bootloader().ok_or(Rc::NOT_SUPPORTED)?;
        let mut query = None;
        request.fields(|key, value| match key {
            "query" => value.str(&mut query),
            _ => Ok(()),
        })?;
        match query {
            None => answer.str("bootloader", info.name),
            Some("mode") => {
                answer.i32("mode", info.mode)?;
                if info.no_downgrade {
                    answer.bool("no-downgrade", true)?;
                }
                Ok(())
            }
            Some(_) => Err(OsError::QueryYieldsNoAnswer.into()),
        }
    }
}

/// A date and time as text.
struct MomentText {
    bytes: [u8; DateTime::TEXT_MAX],
    len: usize,
}

impl MomentText {
    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Write for MomentText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
