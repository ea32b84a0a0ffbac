//! TLS 1.3 as a device speaks it that knows one authority and has no clock: which servers are
//! believed, and what they may say. No allocation.
//!
//! ```text
//!  Tls ── open, receive, send                                                     (connection)
//!   │ embedded-tls: handshake, keys, records
//!   ├ Servers   who is believed: certificate, name, and proof of the key          (servers)
//!   ├ Sealed    AES-GCM, which looks at what a record held before the library does (sealed)
//!   └ Gate      which records reach the library, and how many                     (gate)
//!      └ Wire   TCP, a clock, and everything else that goes on                    (wire)
//! ```
//! The library does the arithmetic of a handshake and believes what it is told; some of what a server
//! can say makes it panic. This crate stands around it: nothing reaches it that it stumbles over, and a
//! handshake counts only once the server has shown that it has the key of a certificate that
//! [`updraft_x509`] believes. Why a connection was not made, or has ended, is a [`Refused`].
#![no_std]

mod connection;
mod gate;
mod sealed;
mod servers;
mod wire;

pub use connection::{Device, Records, Tls};
pub use gate::Watch;
pub use wire::{Gone, Refused, Wire};
