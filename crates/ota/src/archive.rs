//! Several images in one file: a tar archive, as devices with a secure and a non-secure part take it.
//!
//! ```text
//!    0  record of components.json: name, size, sum, "ustar"          512 bytes
//!  512  components.json: which file is which image                   1,024 bytes at most, filled up
//!    …  for each file  its record                                    512 bytes
//!                      its bytes                                     filled up with zeros to 512
//!    …  zeros
//! ```
//! Sources: POSIX.1-1988 for `ustar`; Infineon `ota-update` 4.5.0 and `ota-bootloader-abstraction`
//! 1.8.0 for the list, which comes first, and for what its `fileType` stands for.
//!
//! An archive is read in any order as far as its records are known: each says where the next one
//! is. [`Reader`] keeps records and list, and demands that everything else that is no image is zero:
//! so an archive whose images are in flash can be read again to the byte, and be held against a hash
//! or a signature over the whole file.
//!
//! Stricter than the original: names and sizes have to be those of the list, each file has to be
//! there once, and the image of the application has to be among them.

mod list;
mod reader;
mod record;
mod write;

use core::fmt;

pub use reader::{Piece, Place, Reader};
pub use write::{Member, WriteError, size, write};

/// Bytes of a record.
pub const RECORD: usize = 512;
/// Images that an archive can have.
pub const IMAGES: usize = 2;
/// Bytes at the beginning of an archive that say which images it has.
pub const HEAD: usize = RECORD + LONGEST_LIST;

/// Bytes of the longest list, with what fills it up.
const LONGEST_LIST: usize = 2 * RECORD;
/// What the list is called.
const LIST: &str = "components.json";

/// `fileType` of an image, by its number: the application, and the secure part below it.
pub const KINDS: [&str; IMAGES] = ["NSPE", "SPE"];

/// Why a file is no archive of images. Places are bytes of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There is no record of a plain file.
    Record {
        /// Where it should be.
        at: u32,
    },
    /// The list makes no sense.
    List(&'static str),
    /// The list has no such file, or it is there already, or of another size.
    File {
        /// Where its record is.
        at: u32,
    },
    /// There is something where there should be zeros.
    Filling {
        /// From here on.
        at: u32,
    },
    /// It ends before its files do.
    Cut,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { at } => write!(f, "no record of a file at byte {at} of the archive"),
            Self::List(key) => write!(f, "{key} in the archive's list makes no sense"),
            Self::File { at } => {
                write!(f, "the file at byte {at} of the archive is not as its list says")
            }
            Self::Filling { at } => write!(f, "something between the archive's files, at {at}"),
            Self::Cut => f.write_str("the archive ends before its files do"),
        }
    }
}

impl core::error::Error for Malformed {}

/// Whether a file that begins with `first` is an archive: it has the mark of `ustar` records.
pub fn is_one(first: &[u8]) -> bool {
    record::is_marked(first)
}

/// `len`, filled up to whole records.
fn filled(len: u32) -> Option<u32> {
    len.checked_next_multiple_of(RECORD as u32)
}
