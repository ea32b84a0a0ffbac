//! An answer and the two ways in which it can say no.

use core::fmt;

use crate::{GroupError, Header, ImageError, LogError, Malformed, Op, Rc, Value, group};

/// A message from a server, payload unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'p> {
    /// Its header; the operation is one of the two responses.
    pub header: Header,
    /// Its payload.
    pub payload: &'p [u8],
}

/// Why an answer holds no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The server refused the request.
    Refused(Refusal),
    /// The payload is not what the command's answer looks like.
    Malformed(Malformed),
}

/// A server's refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: Code,
    /// The short text that some servers add.
    pub reason: Reason,
}

/// A generic code or a code of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `rc`
    Generic(Rc),
    /// `err`
    Group {
        /// The group that defines the code.
        group: u32,
        /// The code.
        rc: u32,
    },
}

/// A text of up to 40 bytes; what is longer is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    text: [u8; Self::MAX],
    len: usize,
}

impl Reason {
    const MAX: usize = 40;

    fn new(text: &str) -> Self {
        let len = (0..=text.len().min(Self::MAX)).rev().find(|len| text.is_char_boundary(*len));
        let mut this = Self { text: [0; Self::MAX], len: len.unwrap_or(0) };
        for (place, byte) in this.text.iter_mut().zip(text.bytes()).take(this.len) {
            *place = byte;
        }
        this
    }

    /// The text; empty if there is none.
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.len).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Refusal {
    /// Whether the server only asks for another try later.
    pub fn is_busy(&self) -> bool {
        self.code == Code::Generic(Rc::BUSY)
    }

    /// Whether the server found the message shorter than its header says.
    pub fn is_cut_short(&self) -> bool {
        self.code == Code::Generic(Rc::CORRUPT)
    }

    /// Whether the server lacks the command.
    pub fn is_unsupported(&self) -> bool {
        self.code == Code::Generic(Rc::NOT_SUPPORTED)
    }

    /// The image group's code, if it is one.
    pub fn image_error(&self) -> Option<ImageError> {
        match self.code {
            Code::Group { group, rc } if group == group::IMAGE.into() => ImageError::from_rc(rc),
            _ => None,
        }
    }
}

/// The cause, the way out where one is known, and the code.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Code::Generic(rc) => rc.fmt(f),
            Code::Group { group, rc } => {
                let meaning = GroupError::meaning(group, rc).unwrap_or("the device refused");
                write!(f, "{meaning} (group {group}, rc {rc})")
            }
        }?;
        match self.reason.as_str() {
            "" => Ok(()),
            reason => write!(f, "; the device says: {reason}"),
        }
    }
}

impl core::error::Error for Refusal {}

impl AnswerError {
    /// Whether the server only asks for another try later.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_busy())
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Malformed(malformed) => {
                write!(f, "the device's answer makes no sense: {malformed}")
            }
        }
    }
}

impl core::error::Error for AnswerError {}

impl From<Malformed> for AnswerError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl<'p> Answer<'p> {
    /// The answer in a packet; `None` if it is not a whole message of a server.
    pub fn parse(packet: &'p [u8]) -> Option<Self> {
        let (header, rest) = Header::parse(packet).ok()?;
        let payload = rest.get(..header.length.into())?;
        let response = matches!(header.op, Op::ReadResponse | Op::WriteResponse);
        response.then_some(Self { header, payload })
    }

    /// Reads the keys of a successful answer; what `field` leaves alone is skipped. Both error
    /// forms are recognised, and `rc` 0 counts as success.
    pub fn fields(
        &self,
        field: impl FnMut(&'p str, Value<'_, 'p>) -> Result<(), Malformed>,
    ) -> Result<(), AnswerError> {
        self.check()?;
        Ok(crate::fields(self.payload, field)?)
    }

    /// Whether the request succeeded.
    pub fn check(&self) -> Result<(), AnswerError> {
        let (mut generic, mut reason) = (None, None);
        let (mut group, mut rc) = (None, None);
        crate::fields(self.payload, |key, value| match key {
            "rc" => value.u32(&mut generic),
            "rsn" => value.str(&mut reason),
            "err" => value.map(|key, value| match key {
                "group" => value.u32(&mut group),
                "rc" => value.u32(&mut rc),
                _ => Ok(()),
            }),
            _ => Ok(()),
        })?;
        let code = match (generic, rc) {
            (_, Some(rc)) if rc != 0 => {
                Code::Group { group: group.unwrap_or(self.header.group.into()), rc }
            }
            (Some(rc), _) if rc != 0 => match (self.header.group, LogError::from_rc(rc)) {
                (group::LOG, Some(_)) => Code::Group { group: group::LOG.into(), rc },
                _ => Code::Generic(Rc(rc)),
            },
            _ => return Ok(()),
        };
        let reason = Reason::new(reason.unwrap_or_default());
        Err(AnswerError::Refused(Refusal { code, reason }))
    }

    /// Calls `each` for every text of the list at `wanted`.
    pub(super) fn texts(
        &self,
        wanted: &str,
        mut each: impl FnMut(&'p str),
    ) -> Result<(), AnswerError> {
        let mut found = false;
        self.fields(|key, value| {
            if key != wanted {
                return Ok(());
            }
            found = true;
            value.list(|item| {
                let mut text = None;
                item.str(&mut text)?;
                each(text.unwrap_or_default());
                Ok(())
            })
        })?;
        if found { Ok(()) } else { Err(self.incomplete()) }
    }

    /// Calls `each` for every number by name of the map at `wanted`.
    pub(super) fn numbers(
        &self,
        wanted: &str,
        mut each: impl FnMut(&'p str, u64),
    ) -> Result<(), AnswerError> {
        let mut found = false;
        self.fields(|key, value| {
            if key != wanted {
                return Ok(());
            }
            found = true;
            value.map(|name, value| {
                let mut number = None;
                value.u64(&mut number)?;
                each(name, number.unwrap_or_default());
                Ok(())
            })
        })?;
        if found { Ok(()) } else { Err(self.incomplete()) }
    }

    /// The number at `wanted`.
    pub(super) fn number(&self, wanted: &str) -> Result<u32, AnswerError> {
        let mut number = None;
        self.fields(|key, value| if key == wanted { value.u32(&mut number) } else { Ok(()) })?;
        number.ok_or(self.incomplete())
    }

    /// The text at `wanted`.
    pub(super) fn text(&self, wanted: &str) -> Result<&'p str, AnswerError> {
        let mut text = None;
        self.fields(|key, value| if key == wanted { value.str(&mut text) } else { Ok(()) })?;
        text.ok_or(self.incomplete())
    }

    /// The error for an answer that lacks a key it must have.
    pub(super) fn incomplete(&self) -> AnswerError {
        AnswerError::Malformed(Malformed { offset: self.payload.len() })
    }
}
