//! Typed requests and answers, a file for each group. A request is a method of
//! [`Requests`](super::Requests), what its answer holds one of [`Answer`](super::Answer).

mod basic;
mod enumeration;
mod files;
mod image;
mod log;
mod os;
mod run;
mod settings;
mod shell;
mod statistics;

pub use enumeration::GroupEntry;
pub use files::{FilePiece, HashOutput, HashReply, HashType, Part};
pub use image::{ImageEntry, SlotEntry, UploadReply};
pub use log::LogLine;
pub use os::{BootloaderReply, PoolEntry, TaskEntry};
pub use settings::SettingReply;
pub use shell::ShellOutput;
