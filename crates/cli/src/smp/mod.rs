//! The desk's end of SMP: a link to a device, and a session over it.
//!
//! The machines are `updraft_smp::client`'s; here are their socket and their clock.

mod cbor;
mod groups;
mod link;
mod preflight;
mod profiles;
mod scan;
mod session;
mod transfer;
mod upgrade;
mod upload;
mod watch;

pub use cbor::unhex;
pub use groups::{LogEntry, Numbers};
pub use link::{Bluetooth, Framed, Link, Peer, Serial, Udp};
pub use preflight::{Finding, Listing, Preflight};
pub use profiles::{Profile, Profiles};
pub use scan::{Found, Look, Way};
pub use session::{ImageState, Session, is_away, is_busy};
pub use upgrade::{Ending, Part, Plan, Step, Wishes, upgrade};
pub use upload::{Sending, Uploading};
pub use watch::{Snapshot, Watch};
