//! The client: typed requests and answers, one request with retries, the upload of images, and
//! transfers of files.
//!
//! ```text
//! Requests ─ message ─▶ Exchange ─▶ link ─▶ … ─▶ Exchange ─▶ Answer ─▶ typed contents
//! Upload   ─ many messages, a window of them outstanding ─▶ link ─▶ … ─▶ Upload
//! ```
//!
//! Times are given as a [`Duration`](core::time::Duration) since any fixed moment, the same one
//! for every call.

mod answer;
mod chunk;
mod exchange;
mod groups;
mod limits;
mod pace;
mod request;
mod terms;
mod transfer;
mod upload;

pub use answer::{Answer, AnswerError, Code, Reason, Refusal};
pub use exchange::{Exchange, Patience, Poll};
pub use groups::{
    BootloaderReply, FilePiece, GroupEntry, HashOutput, HashReply, HashType, ImageEntry, LogLine,
    Part, PoolEntry, SettingReply, ShellOutput, SlotEntry, TaskEntry, UploadReply,
};
pub use limits::{Limits, Link, Params};
pub use request::{BufferTooSmall, Requests};
pub use terms::{Outcome, Progress, Status, UploadError, UploadOptions};
pub use transfer::{
    FileDownload, FileOptions, FileOutcome, FileProgress, FileStatus, FileTransferError, FileUpload,
};
pub use upload::Upload;
