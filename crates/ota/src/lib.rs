//! Updates over the air, on the device: an agent, and the protocols that bring it jobs and blocks.
//! No allocation, no socket, no clock.
//!
//! ```text
//!                 Input: opened, closed, message, bytes     Output: open, subscribe, publish, send
//!                          │                                       ▲
//! infineon  aws  ddi       ▼        protocols: messages, timers    │
//!                          Offer, blocks ──▶ Agent ──▶ what is wanted, how it ended
//!                                              │
//!                                              ▼
//!                                            Platform: flash, boot flags, gates, settings
//! dfu::Slot, dfu::Slots                        └── over updraft-dfu
//! ```
//! The agent decides: which job is taken, which blocks are missing, whether the image is good, when
//! the slot is marked, whether the new image stays. Nothing is marked before its size, hash,
//! signature, board and version are verified; whatever goes wrong before that leaves the running
//! image as it is.
//!
//! Messages are types with both directions, for servers are made of them as well.
#![no_std]

mod agent;
pub mod archive;
pub mod aws;
mod base64;
pub mod ddi;
pub mod dfu;
pub mod http;
pub mod infineon;
mod io;
pub mod json;
mod label;
mod platform;
mod reason;
mod record;
mod report;
mod timer;
mod version;

pub use agent::{Agent, Config, DeferRule, Deferral, Limit, Offer, Signature, Taken, Wanted};
pub use io::{Endpoint, Input, Output, Protocol, Transport};
pub use label::Label;
pub use platform::{Answer, ImageState, Look, Platform, Verdict, Verified, Written};
pub use reason::{Gate, Operation, Reason};
pub use record::{LONGEST_ID, Record};
pub use report::{Note, Report, State};
pub use timer::{Random, Retry};
pub use version::Version;
