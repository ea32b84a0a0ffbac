//! Why a stream could not go on.

use core::fmt;

/// Why a stream could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The flash map has no such area.
    NoArea,
    /// The data would pass the end of the stream's range; nothing of it was taken.
    Full {
        /// Bytes taken so far.
        written: u32,
        /// Bytes that the range holds.
        capacity: u32,
    },
    /// The range does not begin and end on sector boundaries, or its length is not a multiple of
    /// the write size.
    Misaligned {
        /// Where the range begins in the area.
        start: u32,
    },
    /// The block size is not a multiple of the device's write size.
    BlockSize {
        /// Bytes of a block.
        block: usize,
        /// Bytes that the device writes at once.
        write_size: u32,
    },
    /// More data after the stream was finished with a block that had to be padded.
    Finished,
    /// More data after an error: what is in flash behind [`Stream::written`] is not known.
    ///
    /// [`Stream::written`]: crate::Stream::written
    Dead,
    /// A block does not read back as it was written.
    ReadBack {
        /// Offset in the area of the first piece that differs.
        offset: u32,
    },
    /// Whoever was shown a block that had been written refused it.
    Rejected {
        /// Its own code.
        code: u32,
    },
    /// The flash failed.
    Flash(E),
}

impl<E: fmt::Display> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoArea => f.write_str("the flash map has no such area"),
            Self::Full { written, capacity } => {
                write!(f, "the data passes the {capacity} bytes of the area ({written} are taken)")
            }
            Self::Misaligned { start } => {
                write!(f, "a stream cannot begin at offset {start:#x}: it has to be whole sectors")
            }
            Self::BlockSize { block, write_size } => {
                write!(f, "{block}-byte blocks are no multiple of the {write_size}-byte write size")
            }
            Self::Finished => f.write_str("the stream is finished"),
            Self::Dead => f.write_str("the stream has failed before: begin again"),
            Self::ReadBack { offset } => {
                write!(f, "what was written at offset {offset:#x} reads back as something else")
            }
            Self::Rejected { code } => write!(f, "a written block was refused (code {code})"),
            Self::Flash(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StreamError<E> {}
