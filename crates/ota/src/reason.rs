//! Why an update did not happen.

use core::fmt;

use crate::Version;
use crate::archive;
use crate::json;

/// What was asked of the device's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To get the slot ready.
    Open,
    /// To erase a part of it.
    Erase,
    /// To write a block.
    Write,
    /// To read it back.
    Read,
    /// To finish writing.
    Close,
    /// To mark it for the next boot.
    Activate,
    /// To keep or to find the agent's record.
    Record,
    /// To tell or to change the state of the running image.
    ImageState,
}

/// What lets an update wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The battery is low.
    Battery,
    /// The network is poor, or costs too much.
    Network,
    /// There is no room, or the slot is needed for a revert.
    Space,
    /// The user is busy, or has not agreed yet.
    User,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Self; 4] = [Self::Battery, Self::Network, Self::Space, Self::User];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Battery => "battery",
            Self::Network => "network",
            Self::Space => "space",
            Self::User => "user",
        }
    }
}

/// Why an update did not happen, or a message was not heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    // The job.
    /// The job is no JSON.
    NotJson(json::Malformed),
    /// The job is longer than the protocol allows.
    DocumentTooLong {
        /// Bytes.
        len: usize,
        /// Bytes at most.
        max: usize,
    },
    /// The job lacks something.
    Missing(&'static str),
    /// The job says something twice.
    Repeated(&'static str),
    /// A value has not the type that it should.
    WrongType(&'static str),
    /// A value is longer than the protocol allows.
    TooLong(&'static str),
    /// A value makes no sense.
    BadValue(&'static str),
    /// The job is for another board.
    WrongBoard,
    /// What is offered is not newer than what runs.
    NotNewer {
        /// Offered.
        offered: Version,
        /// Running.
        running: Version,
    },
    /// The same update has failed before.
    FailedBefore,
    /// The image is larger than the slot.
    TooLarge {
        /// Bytes of the image.
        size: u32,
        /// Bytes of the slot.
        max: u32,
    },
    /// The image has more blocks than the agent keeps account of.
    TooManyBlocks {
        /// Blocks of the image.
        blocks: u32,
        /// Blocks at most.
        max: u32,
    },
    /// There is another update under way.
    Busy,

    // The data.
    /// It does not begin as a chunk does.
    NotAChunk,
    /// A chunk is shorter than it says.
    ChunkShort,
    /// A chunk is longer than it says.
    ChunkLong,
    /// A chunk of a kind of image that there is not.
    ChunkType,
    /// A chunk belongs to another version.
    ChunkVersion(Version),
    /// A chunk or block is not where it could be.
    ChunkOffset {
        /// Where it says that it is.
        offset: u32,
    },
    /// A chunk or block has not the size that it should.
    ChunkSize {
        /// Its bytes.
        size: u32,
    },
    /// The number of chunks does not fit the size.
    ChunkCount,
    /// A chunk's number does not fit its place.
    ChunkIndex,
    /// The image is suddenly of another size.
    ChunkTotal {
        /// Bytes that it says now.
        total: u32,
    },
    /// A message on a topic or stream that was not asked for.
    Unasked,

    // HTTP.
    /// What came is not HTTP/1.1.
    NotHttp,
    /// The server answers with an error.
    Status(u16),
    /// The server does not know ranges: it answers with something else than a part.
    NoRange,
    /// The server answers with another part than that which was asked for.
    WrongRange,
    /// The server sends more than was asked for.
    TooMuch,
    /// The server closed the connection in the middle.
    Cut,

    // Verification.
    /// The image has not the hash that the job says.
    HashDiffers,
    /// The signature in the job is missing.
    NotSigned,
    /// The signature in the job is of a kind that cannot be checked.
    SignatureKind(&'static str),
    /// The signature in the job does not fit the image.
    SignatureDiffers,
    /// The bootloader would refuse the image.
    ImageRefused,

    /// The file is no archive of images.
    Archive(archive::Malformed),
    /// Only a part of the update was started.
    Torn,

    // What goes on.
    /// There was no answer in time.
    Silent,
    /// The connection was lost.
    Lost,
    /// It was tried as often as allowed.
    Exhausted,
    /// The server refuses.
    ServerRefused,
    /// The server has taken the job back.
    Cancelled,
    /// The job says that it is being tested, which it is not.
    StateMismatch,
    /// It waited as long as allowed.
    Waited(Gate),
    /// It must not be.
    Forbidden(Gate),
    /// The application gave the update up.
    Aborted,
    /// The new image has failed its test.
    SelfTestFailed,
    /// The new image has not passed its test in time.
    SelfTestLate,
    /// The old image runs again.
    Reverted,
    /// The storage failed.
    Storage(Operation),
    /// A message does not fit into its buffer.
    NoRoom,
}

impl From<json::Malformed> for Reason {
    fn from(malformed: json::Malformed) -> Self {
        Self::NotJson(malformed)
    }
}

impl From<json::Repeated> for Reason {
    fn from(repeated: json::Repeated) -> Self {
        Self::Repeated(repeated.0)
    }
}

impl From<archive::Malformed> for Reason {
    fn from(malformed: archive::Malformed) -> Self {
        Self::Archive(malformed)
    }
}

impl From<json::NoRoom> for Reason {
    fn from(_: json::NoRoom) -> Self {
        Self::NoRoom
    }
}

impl Reason {
    /// Whether another try with what is already there may help: the job is as it should be, only
    /// its data did not come.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Silent
                | Self::Lost
                | Self::Cut
                | Self::Exhausted
                | Self::Waited(_)
                | Self::Storage(_)
                | Self::NotHttp
                | Self::Status(_)
                | Self::NoRange
                | Self::WrongRange
                | Self::TooMuch
                | Self::NotAChunk
                | Self::ChunkShort
                | Self::ChunkLong
                | Self::ChunkType
                | Self::ChunkOffset { .. }
                | Self::ChunkSize { .. }
                | Self::ChunkCount
                | Self::ChunkIndex
                | Self::ChunkTotal { .. }
                // The publisher's number has changed meanwhile.
                | Self::ChunkVersion(_)
                | Self::Unasked
        )
    }

    /// The number that Infineon's agent has for it (`cy_ota_api.h`, offsets of its result codes).
    pub fn infineon_code(self) -> u8 {
        match self {
            Self::NotJson(_) | Self::Missing("Message") => 20,
            Self::DocumentTooLong { .. }
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::WrongType(_)
            | Self::TooLong(_)
            | Self::BadValue(_) => 21,
            Self::WrongBoard => 22,
            Self::NotNewer { .. } | Self::ChunkVersion(_) => 23,
            Self::FailedBefore
            | Self::HashDiffers
            | Self::NotSigned
            | Self::SignatureKind(_)
            | Self::SignatureDiffers
            | Self::ImageRefused
            | Self::SelfTestFailed
            | Self::SelfTestLate
            | Self::Reverted
            | Self::Archive(_)
            | Self::Torn
            | Self::StateMismatch => 24,
            Self::NotAChunk => 19,
            Self::ChunkShort
            | Self::ChunkLong
            | Self::ChunkType
            | Self::ChunkOffset { .. }
            | Self::ChunkSize { .. }
            | Self::ChunkCount
            | Self::ChunkIndex
            | Self::ChunkTotal { .. }
            | Self::Unasked
            | Self::NotHttp
            | Self::Status(_)
            | Self::NoRange
            | Self::WrongRange
            | Self::TooMuch
            | Self::Cut
            | Self::Silent => 18,
            Self::Lost => 14,
            Self::Exhausted => 27,
            Self::ServerRefused => 17,
            Self::Cancelled | Self::Aborted | Self::Waited(_) | Self::Forbidden(_) => 26,
            Self::Busy => 5,
            Self::TooLarge { .. } | Self::TooManyBlocks { .. } | Self::NoRoom => 4,
            Self::Storage(operation) => match operation {
                Operation::Open => 7,
                Operation::Read | Operation::Record => 8,
                Operation::Erase | Operation::Write => 9,
                Operation::Close => 10,
                Operation::Activate | Operation::ImageState => 24,
            },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(json::Malformed { offset }) => write!(f, "no JSON from byte {offset} on"),
            Self::DocumentTooLong { len, max } => {
                write!(f, "a document of {len} bytes, {max} are allowed")
            }
            Self::Missing(key) => write!(f, "there is no {key}"),
            Self::Repeated(key) => write!(f, "there is more than one {key}"),
            Self::WrongType(key) => write!(f, "{key} has the wrong type"),
            Self::TooLong(key) => write!(f, "{key} is too long"),
            Self::BadValue(key) => write!(f, "{key} makes no sense"),
            Self::WrongBoard => f.write_str("the job is for another board"),
            Self::NotNewer { offered, running } => {
                write!(f, "{offered} is not newer than {running}, which runs")
            }
            Self::FailedBefore => f.write_str("the same update has failed before"),
            Self::TooLarge { size, max } => {
                write!(f, "{size} bytes are more than the slot's {max}")
            }
            Self::TooManyBlocks { blocks, max } => {
                write!(f, "{blocks} blocks, the agent has room to keep account of {max}")
            }
            Self::Busy => f.write_str("another update is under way"),
            Self::NotAChunk => f.write_str("what came is no chunk of an image"),
            Self::ChunkShort => f.write_str("a chunk is shorter than it says"),
            Self::ChunkLong => f.write_str("a chunk is longer than it says"),
            Self::ChunkType => f.write_str("a chunk of an unknown kind of image"),
            Self::ChunkVersion(version) => write!(f, "a chunk of version {version}"),
            Self::ChunkOffset { offset } => write!(f, "a chunk that claims to be at {offset}"),
            Self::ChunkSize { size } => write!(f, "a chunk of {size} bytes"),
            Self::ChunkCount => f.write_str("the number of chunks does not fit the size"),
            Self::ChunkIndex => f.write_str("a chunk's number does not fit its place"),
            Self::ChunkTotal { total } => write!(f, "the image has {total} bytes all at once"),
            Self::Unasked => f.write_str("a message that nobody asked for"),
            Self::NotHttp => f.write_str("the server does not speak HTTP/1.1"),
            Self::Status(status) => write!(f, "the server answers with status {status}"),
            Self::NoRange => f.write_str("the server does not send parts of files"),
            Self::WrongRange => f.write_str("the server sent another part of the file"),
            Self::TooMuch => f.write_str("the server sent more than it was asked for"),
            Self::Cut => f.write_str("the server closed the connection too early"),
            Self::HashDiffers => f.write_str("the image has not the job's hash"),
            Self::NotSigned => f.write_str("the job has no signature"),
            Self::SignatureKind(key) => {
                write!(f, "{key} is a signature that this device cannot check")
            }
            Self::SignatureDiffers => f.write_str("the job's signature does not fit the image"),
            Self::ImageRefused => f.write_str("the bootloader would refuse the image"),
            Self::Archive(malformed) => malformed.fmt(f),
            Self::Torn => f.write_str("only a part of the update was started"),
            Self::Silent => f.write_str("the server did not answer in time"),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Exhausted => f.write_str("it was tried as often as allowed"),
            Self::ServerRefused => f.write_str("the server refuses"),
            Self::Cancelled => f.write_str("the server took the job back"),
            Self::StateMismatch => f.write_str("the job is in a test that this image is not in"),
            Self::Waited(gate) => write!(f, "waited too long for the {}", gate.name()),
            Self::Forbidden(gate) => write!(f, "refused by the {}", gate.name()),
            Self::Aborted => f.write_str("given up by the application"),
            Self::SelfTestFailed => f.write_str("the new image failed its test"),
            Self::SelfTestLate => f.write_str("the new image did not pass its test in time"),
            Self::Reverted => f.write_str("the old image runs again"),
            Self::Storage(operation) => write!(f, "the storage failed ({operation:?})"),
            Self::NoRoom => f.write_str("a message does not fit into its buffer"),
        }
    }
}

impl core::error::Error for Reason {}
