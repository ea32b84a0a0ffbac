//! Group 5, crash tests: a device shows how it fails. As the first generation of servers has it.
//!
//! Source: the crash management of mynewt.

use core::fmt;

use super::{Answer, Failure, Group, Request, Reset};
use crate::{Op, Rc, crash};

/// A way to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Divide by zero.
    DivideByZero,
    /// Jump to address 0.
    JumpToZero,
    /// Read from address 0.
    ReadFromZero,
    /// Fail an assertion.
    Assertion,
    /// Let the watchdog bite.
    Watchdog,
}

impl Fault {
    /// Every way.
    pub const ALL: [Self; 5] =
        [Self::DivideByZero, Self::JumpToZero, Self::ReadFromZero, Self::Assertion, Self::Watchdog];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DivideByZero => "div0",
            Self::JumpToZero => "jump0",
            Self::ReadFromZero => "ref0",
            Self::Assertion => "assert",
            Self::Watchdog => "wdog",
        }
    }

    /// The way with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device that can be made to crash.
pub trait Crash {
    /// Crashes, now or once the answer has left.
    fn crash(&mut self, fault: Fault) -> Result<(), Failure>;
}

/// The crash group.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrashGroup<C>(pub C);

impl<C: Crash> Group for CrashGroup<C> {
    const ID: u16 = crate::group::CRASH;
    const NAME: Option<&'static str> = Some("crash mgmt");

    fn commands(&self) -> u32 {
        1
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        let (crash::TRIGGER, Op::Write) = request.command() else {
            return Err(Rc::NOT_SUPPORTED.into());
        };
        let mut name = None;
        request.fields(|key, value| match key {
            "t" => value.str(&mut name),
            _ => Ok(()),
        })?;
        self.0.crash(name.and_then(Fault::named).ok_or(Rc::INVALID)?)?;
        answer.u32("rc", 0)?;
        Ok(None)
    }
}
