//! Every way that a power cut can end: the real bootloader over a board's flash, cut at every
//! operation, torn in every way, and cut again during the recovery.
//!
//! ```text
//! Story      a device on the verge of something: a swap, a revert, a request     (story)
//! search     for each flash state: boot it, check the end, cut every operation   (search)
//!            states that are equal are explored once
//! verdict    what a device that is left alone ends in                            (outcome)
//! Path       the cuts that lead to a state; a counter-example, to be walked      (path)
//! ```
//! The search follows flash contents, not histories: two interruptions that leave the same bytes
//! behind are one state. That is why it ends, and why all pairs of cuts are within reach.

mod outcome;
mod path;
mod search;
mod story;

pub use outcome::Outcome;
pub use path::{Cut, Path, PathError};
pub use search::{Cost, End, Explorer, Failure, Options, Report, Survivors, Visit};
pub use story::{Activity, History, Story, StoryError, stories};
