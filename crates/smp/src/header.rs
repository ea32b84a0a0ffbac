//! The 8-byte message header, big-endian.
//!
//! ```text
//! byte 0  bits 7..5 reserved, 4..3 version, 2..0 op
//! byte 1  flags, no meaning yet
//! 2..3    bytes of payload
//! 4..5    group
//! 6       sequence number, chosen by the client and echoed
//! 7       command id within the group
//! ```
//! Source: Zephyr documentation, "SMP Protocol Specification", frame.

use core::fmt;

/// Protocol version in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Errors are `{"rc": code}` only.
    V1,
    /// Errors of commands are `{"err": {"group": …, "rc": …}}`.
    #[default]
    V2,
}

/// What a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Read request.
    Read,
    /// Answer to a read.
    ReadResponse,
    /// Write request.
    Write,
    /// Answer to a write.
    WriteResponse,
    /// One of the undefined operations 4 to 7.
    Undefined(u8),
}

impl Op {
    /// The operation of the three low bits of `bits`.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Read,
            1 => Self::ReadResponse,
            2 => Self::Write,
            3 => Self::WriteResponse,
            other => Self::Undefined(other),
        }
    }

    /// The three bits on the wire.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::ReadResponse => 1,
            Self::Write => 2,
            Self::WriteResponse => 3,
            Self::Undefined(bits) => bits & 7,
        }
    }

    /// The operation that answers this one: servers answer a read with a read response and
    /// anything else with a write response.
    pub const fn response(self) -> Self {
        match self {
            Self::Read => Self::ReadResponse,
            _ => Self::WriteResponse,
        }
    }
}

/// Fewer than [`Header::SIZE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHeader {
    /// How many there are.
    pub len: usize,
}

impl fmt::Display for ShortHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are too few for an SMP header of {}", self.len, Header::SIZE)
    }
}

impl core::error::Error for ShortHeader {}

/// A message header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The two version bits as sent: 0 and 1 are defined ([`Version`]), 2 and 3 are not.
    pub version_bits: u8,
    /// Operation.
    pub op: Op,
    /// Flags. Sent as 0, ignored on receipt.
    pub flags: u8,
    /// Bytes of payload that follow the header.
    pub length: u16,
    /// Group.
    pub group: u16,
    /// Sequence number.
    pub sequence: u8,
    /// Command id.
    pub id: u8,
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 8;

    /// A request header; `length` is filled in when the payload is known.
    pub const fn request(version: Version, op: Op, group: u16, id: u8, sequence: u8) -> Self {
        Self { version_bits: version as u8, op, flags: 0, length: 0, group, sequence, id }
    }

    /// Reads the header and returns what follows it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), ShortHeader> {
        let Some((head, rest)) = bytes.split_first_chunk::<{ Self::SIZE }>() else {
            return Err(ShortHeader { len: bytes.len() });
        };
        let [first, flags, l0, l1, g0, g1, sequence, id] = *head;
        let header = Self {
            version_bits: (first >> 3) & 3,
            op: Op::from_bits(first),
            flags,
            length: u16::from_be_bytes([l0, l1]),
            group: u16::from_be_bytes([g0, g1]),
            sequence,
            id,
        };
        Ok((header, rest))
    }

    /// The bytes on the wire. The reserved bits are sent as 0.
    pub const fn emit(&self) -> [u8; Self::SIZE] {
        let [l0, l1] = self.length.to_be_bytes();
        let [g0, g1] = self.group.to_be_bytes();
        let first = ((self.version_bits & 3) << 3) | self.op.bits();
        [first, self.flags, l0, l1, g0, g1, self.sequence, self.id]
    }

    /// The version, if it is a defined one.
    pub const fn version(&self) -> Option<Version> {
        match self.version_bits {
            0 => Some(Version::V1),
            1 => Some(Version::V2),
            _ => None,
        }
    }

    /// The header of the answer to this request: same group, sequence and id, version capped at
    /// the highest defined one, no flags.
    pub fn answer(&self, length: u16) -> Self {
        Self {
            version_bits: self.version_bits.min(Version::V2 as u8),
            op: self.op.response(),
            flags: 0,
            length,
            ..*self
        }
    }

    /// Whether `self` answers `request`: same group, id and sequence number, and the operation
    /// that belongs to it. The version is not compared: servers of the first generation answer
    /// with version bits 0.
    pub fn answers(&self, request: &Self) -> bool {
        self.op == request.op.response()
            && self.group == request.group
            && self.id == request.id
            && self.sequence == request.sequence
    }
}
