//! The desk's end of SMP: a link to a device, and a session over it.
//!
//! The machines are `updraft_smp::client`'s; here are their socket and their clock.

mod link;
mod preflight;
mod session;

pub use link::{Framed, Link, Serial, Udp};
pub use preflight::{Finding, Preflight};
pub use session::{ImageState, Session, Uploading};
