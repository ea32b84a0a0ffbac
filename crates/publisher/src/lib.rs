//! What Infineon's `publisher.py` does, as a machine: it answers the devices of a kind of board that
//! ask for updates over MQTT, as many at once as there are. No socket, no clock, no file.
//!
//! ```text
//!  device                       broker                          Publisher
//!    │ Update Availability ─▶ P/B/publish_notify ─────────────▶ │ Jobs: what is published now?
//!    │ ◀───────────────────── P/B/<unique> ◀── Update Available │ a session for the topic
//!    │ Request Update ───────────────────────────────────────▶ │ chunks, in turn with others'
//!    │ Request Data Chunk ───────────────────────────────────▶ │ that chunk, before all others
//!    │ Success | Failure ────────────────────────────────────▶ │ Result Received; an Event
//! ```
//! [`Publisher`] is an [`updraft_ota::Protocol`], like devices are: what drives these drives it, too.
//! Anybody can ask under any name: `places` sees to it that this costs others no more than time.
//! It keeps nothing that it could not do without. One that is started anew in the middle of updates
//! answers what devices ask for next.
//!
//! Other than the original, it
//! - says `No Update Available`, with the whole job, to devices that run what is published
//!   ([`Offers::Newer`]);
//! - has an update's chunks tell the version that this device was offered;
//! - sends to topics under `P/B/` only, as anybody can ask for any;
//! - takes silence for an answer ([`Note::Silent`]): devices of the original library hardly ever say
//!   that an update has failed.

mod answers;
pub mod aws;
mod job;
mod places;
mod publisher;
mod session;
mod settings;

pub use job::{Job, JobError, Jobs};
pub use publisher::Publisher;
pub use session::{Event, Note, Progress, Refusal};
pub use settings::{Offers, Settings};
