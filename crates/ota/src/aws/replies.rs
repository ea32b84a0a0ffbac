//! What the service says to reports and questions: whether they were heeded.

use super::jobs::{number, optional, parse, text};
use super::{Details, Status};
use crate::Reason;
use crate::json::{NoRoom, Text, Writer};

/// A report was heeded: `jobs/J/update/accepted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted<'m> {
    /// When, in seconds since 1970.
    pub timestamp: Option<u32>,
    /// What the report said.
    pub token: Option<Text<'m>>,
}

impl<'m> Accepted<'m> {
    /// Reads it.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let answer = parse(bytes)?;
        let timestamp = number(answer, "timestamp")?;
        Ok(Self { timestamp, token: text(answer, "clientToken")? })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.begin("{");
        optional(&mut to, "timestamp", self.timestamp);
        to.member("clientToken", self.token).end("}");
        to.finish()
    }
}

/// Why a report or a question was not heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// It is no JSON.
    InvalidJson,
    /// It makes no sense.
    InvalidRequest,
    /// A job cannot go from the one status to the other.
    InvalidStateTransition,
    /// There is no such job.
    ResourceNotFound,
    /// The device expects the job in another version.
    VersionMismatch,
    /// The job has come to its end.
    TerminalStateReached,
}

impl Objection {
    /// Every objection.
    pub const ALL: [Self; 6] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::InvalidStateTransition,
        Self::ResourceNotFound,
        Self::VersionMismatch,
        Self::TerminalStateReached,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "InvalidJson",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidStateTransition => "InvalidStateTransition",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::VersionMismatch => "VersionMismatch",
            Self::TerminalStateReached => "TerminalStateReached",
        }
    }
}

/// A report or a question was not heeded: `…/rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'m> {
    /// Why; `None` for what has no name here.
    pub why: Option<Objection>,
    /// The same in words.
    pub message: Option<Text<'m>>,
    /// What the question said.
    pub token: Option<Text<'m>>,
    /// When, in seconds since 1970.
    pub timestamp: Option<u32>,
    /// How the job stands, where that is why.
    pub state: Option<(Status, u32)>,
}

impl<'m> Refused<'m> {
    /// Reads it.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let answer = parse(bytes)?;
        let code = text(answer, "code")?.ok_or(Reason::Missing("code"))?;
        let state = answer.member("executionState")?.and_then(|state| state.object());
        let state = state.map(|state| {
            let status = text(state, "status")?.and_then(Status::of);
            let version = number(state, "versionNumber")?;
            Ok::<_, Reason>(status.zip(version))
        });
        Ok(Self {
            why: Objection::ALL.into_iter().find(|why| code.is(why.name())),
            message: text(answer, "message")?,
            token: text(answer, "clientToken")?,
            timestamp: number(answer, "timestamp")?,
            state: state.transpose()?.flatten(),
        })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        let why = self.why.map_or("InternalError", Objection::name);
        to.begin("{").member("code", Some(Text::new(why))).member("message", self.message);
        to.member("clientToken", self.token);
        optional(&mut to, "timestamp", self.timestamp);
        if let Some((status, version)) = self.state {
            to.key("executionState").begin("{").member("status", Some(Text::new(status.name())));
            // What was reported last is not told again.
            Details::default().write(&mut to);
            to.key("versionNumber").number(version).end("}");
        }
        to.end("}");
        to.finish()
    }
}
