//! MQTT 3.1.1 for small devices: no allocation, no socket, no clock.
//!
//! ```text
//! Packet   every packet of the protocol, read from bytes and written to them   (packet, decode, encode)
//! topic    names and filters, and which fits which                             (topic)
//! Inbox    packets out of a stream of bytes, in a buffer of a fixed size       (inbox)
//! Outbox   packets that wait to be sent or to be acknowledged                  (outbox)
//! Client   one session: connect, subscribe, publish, keep alive                (client)
//! ```
//!
//! Quality of service 0 and 1; a client never asks for 2, and a server that sends it all the same is
//! refused. Packets are read for both roles, so that a server or a stub of one can be built on the
//! same types.
//!
//! Format source: OASIS Standard "MQTT Version 3.1.1" (2014); rules are named by its numbers, such as
//! MQTT-3.3.2-2.
#![no_std]

mod client;
mod decode;
mod encode;
mod error;
mod inbox;
mod outbox;
mod packet;
mod topic;

pub use client::{Client, Event, Patience};
pub use decode::frame_len;
pub use encode::Writer;
pub use error::{ClientError, Malformed, NoRoom, Unexpected};
pub use inbox::{Frame, Inbox};
pub use packet::{
    Codes, Connect, ConnectCode, Filters, Kind, LastWill, Packet, PacketId, Publish, QoS,
};
pub use topic::{is_filter, is_name, matches};
