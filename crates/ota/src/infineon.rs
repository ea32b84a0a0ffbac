//! Infineon's AnyCloud protocol, in the device's role; its messages in both.
//!
//! ```text
//! device                                 publisher
//!   │  Update Availability    P/B/publish_notify  ▶ │
//!   │ ◀ P/B/<unique>         job: Update Available  │
//!   │  Request Update | Request Data Chunk        ▶ │   with this server, another one, or
//!   │ ◀ P/B/<unique>         chunk, chunk, chunk …  │   as parts of a file over HTTP
//!   │  Success | Failure                          ▶ │
//!   │ ◀ P/B/<unique>              Result Received   │
//! ```
//! Source: Infineon `anycloud-ota` 5.0.0 and `ota-update` 4.5.0, their documents and their scripts.
//!
//! What is stricter or else than there:
//!
//! | | theirs | here |
//! |---|---|---|
//! | `No Update Available` | is read as a job of version 0.0.0 | is believed |
//! | over-long values | are cut off | refused |
//! | numbers for strings, a key with two values | ignored | refused |
//! | a chunk's header | 7 bytes of the magic, no sums | everything that can be compared |
//! | a missing chunk | waits for the timer | is asked for by itself |
//! | the version of the image itself | is not looked at | has to be newer than what runs |
//! | archives | only the application is marked | both images or neither |
//! | a reset in the middle | begins anew | goes on with what is held |
//! | connection errors | again every 5 s for ever | ever longer, with a limit |
//! | `Failure` | practically never sent | sent |

mod chunk;
mod device;
mod document;
mod topic;

pub use chunk::{CHUNK_HEADER, Chunk, MAGIC};
pub use device::{Device, Flow, Identity, Settings, Timers};
pub use document::{
    Connection, Document, Job, LONGEST_DOCUMENT, LONGEST_MESSAGE, Message, Request, Spelling,
};
pub use topic::{
    Prefix, device_topic, is_unique_topic, notify_topic, parse_notify, shared_topic, unique_topic,
};
