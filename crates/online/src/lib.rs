//! Connections for machines that do none themselves: whatever is an [`updraft_ota::Protocol`] gets
//! sockets and a clock, one machine or thousands of them in a thread.
//!
//! ```text
//!   Protocol ── Output ──▶ Link ──▶ MQTT client ──▶ Line ──▶ TLS ──▶ TCP
//!      ▲                     │      (or bytes)
//!      └─── Input, poll ─────┘      one for each machine; Online turns to those that have to do
//! ```
//! [`Online`] waits for all sockets and deadlines at once, and never for a single one: a server that
//! is slow, or a name that is not found, holds up nobody else. What happens on the lines is told as
//! [`Event`]; why a line was lost is a [`LineError`], with advice.
//!
//! One machine has one line at a time. Over MQTT it has a session with quality of service 1 and a
//! last will if it wants one; with HTTP the machine itself reads and writes the bytes. Whatever server a
//! job sends it to has to have a certificate for its own name, and does not learn who the machine is
//! ([`Settings`]).

mod driver;
mod error;
mod line;
mod link;
mod resolve;
mod session;
mod settings;
mod tls;

pub use driver::Online;
pub use error::{LineError, TlsError};
pub use line::Traffic;
pub use link::Event;
pub use settings::{Memory, Session, Settings, Will};
pub use tls::{Credentials, Tls, Trust};
