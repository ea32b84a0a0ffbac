//! What can be wrong.

use core::fmt;

use crate::{ConnectCode, Kind};

/// Bytes that are no packet of MQTT 3.1.1. The connection cannot go on: where the next packet begins
/// is not known for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Types 0 and 15 are reserved (section 2.2.1).
    Type(u8),
    /// The flags of this kind are fixed, and others than these (section 2.2.2).
    Flags(Kind, u8),
    /// The remaining length has more than four bytes (section 2.2.3).
    Length,
    /// The packet ends before its fields do, or goes on behind them.
    Size(Kind),
    /// A text is not UTF-8, or has U+0000 in it (MQTT-1.5.3-1, -2).
    Text(Kind),
    /// A quality of service other than 0, 1 and 2 (MQTT-3.3.1-4, MQTT-3.8.3-4).
    QoS(u8),
    /// A packet identifier of 0 (MQTT-2.3.1-1).
    PacketId(Kind),
    /// A topic to publish to with a wildcard in it, or none at all (MQTT-3.3.2-2, MQTT-4.7.3-1).
    Topic,
    /// A topic filter with a wildcard in the wrong place (MQTT-4.7.1-2, -3).
    Filter,
    /// No topic filter at all (MQTT-3.8.3-3, MQTT-3.10.3-2).
    NoFilter(Kind),
    /// Another protocol, or another version of it (MQTT-3.1.2-1, -2).
    Protocol,
    /// Flags of CONNECT that exclude each other (section 3.1.2).
    ConnectFlags(u8),
    /// A return code of CONNACK or SUBACK that does not exist (sections 3.2.2.3, 3.9.3).
    Code(Kind, u8),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(number) => write!(f, "packet type {number} does not exist"),
            Self::Flags(kind, flags) => write!(f, "{kind} with flags {flags:#06b}"),
            Self::Length => f.write_str("a remaining length of more than four bytes"),
            Self::Size(kind) => write!(f, "{kind} whose length is not that of its fields"),
            Self::Text(kind) => write!(f, "{kind} with a text that is not UTF-8, or has a NUL"),
            Self::QoS(number) => write!(f, "quality of service {number} does not exist"),
            Self::PacketId(kind) => write!(f, "{kind} with packet identifier 0"),
            Self::Topic => f.write_str("PUBLISH to no topic, or to one with a wildcard"),
            Self::Filter => f.write_str("a topic filter with a wildcard where none may be"),
            Self::NoFilter(kind) => write!(f, "{kind} without a topic filter"),
            Self::Protocol => f.write_str("a protocol other than MQTT 3.1.1"),
            Self::ConnectFlags(flags) => write!(f, "CONNECT with flags {flags:#010b}"),
            Self::Code(kind, code) => write!(f, "{kind} with return code {code}"),
        }
    }
}

impl core::error::Error for Malformed {}

/// A packet does not fit where it was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes that it takes, as far as that is known.
    pub needed: usize,
    /// Bytes that there are.
    pub room: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the packet takes {} bytes, there is room for {}", self.needed, self.room)
    }
}

impl core::error::Error for NoRoom {}

/// A packet that the server may not send, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexpected(pub Kind);

/// Why a connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The server sent what is no packet.
    Malformed(Malformed),
    /// The server sent a packet that it may not send, or not now.
    Unexpected(Unexpected),
    /// The server refused the connection.
    Refused(ConnectCode),
    /// The server has not answered CONNECT or PINGREQ in time.
    Silent,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "the server sent {malformed}"),
            Self::Unexpected(Unexpected(kind)) => write!(f, "the server sent {kind} out of turn"),
            Self::Refused(code) => write!(f, "the server refuses the connection: {code}"),
            Self::Silent => f.write_str("the server does not answer"),
        }
    }
}

impl core::error::Error for ClientError {}

impl From<Malformed> for ClientError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
