//! Over the air: what the commands that publish and fetch have in common.
//!
//! ```text
//! archives  several images in one file: built, and looked at
//! lines     how servers are reached: addresses, TLS, names and passwords
//! jobs      what is published, from files that are looked at again at each request
//! target    where an image is fetched to: a file, or the flash of a virtual device
//! network   a virtual device on the network: its update agent, over slot
//! ```

mod archives;
mod jobs;
mod lines;
mod network;
mod slot;
mod target;

pub use archives::{Contents, Part};
pub use jobs::{Described, Files, Source};
pub use lines::{Address, Lines, advised};
pub use network::{Network, Place};
pub use target::{FileGate, FileSlot, Notes, Signer, TargetError};
