//! Files with images: binary, or Intel HEX if they are called so.

use std::borrow::Cow;
use std::error::Error as _;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use updraft_sign::files::{self, Mode, Staged, WriteError};
use updraft_sign::hex;

use crate::Failure;
use crate::key_file::unreadable;

/// Whether a file is Intel HEX.
pub fn is_hex(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("hex"))
}

/// Bytes that are read at a time: they stay in the processor's caches, and of a large image no
/// second copy is made in memory.
const PIECE: usize = 64 << 10;

/// What a file holds: in memory, or to be read where and when it is asked for.
pub enum Content<'c> {
    Memory(Cow<'c, [u8]>),
    File { file: File, size: usize, path: &'c Path },
}

impl Content<'_> {
    /// How many bytes there are.
    pub fn size(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File { size, .. } => *size,
        }
    }

    /// The bytes from `start` on: `len` of them, or fewer where the file ends.
    pub fn part(&mut self, start: usize, len: usize) -> Result<Cow<'_, [u8]>, Failure> {
        match self {
            Self::Memory(bytes) => {
                let rest = &bytes[start.min(bytes.len())..];
                Ok(Cow::Borrowed(&rest[..len.min(rest.len())]))
            }
            Self::File { file, path, size } => {
                let len = len.min(size.saturating_sub(start));
                let mut bytes = Vec::with_capacity(len);
                let read = file.seek(SeekFrom::Start(start as u64));
                let read = read.and_then(|_| file.take(len as u64).read_to_end(&mut bytes));
                read.map_err(|error| unreadable(path, &error))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// All of it.
    pub fn all(&mut self) -> Result<Cow<'_, [u8]>, Failure> {
        self.part(0, usize::MAX)
    }

    /// All of it, from the beginning.
    pub fn reader(&mut self) -> Result<Box<dyn Read + '_>, Failure> {
        match self {
            Self::Memory(bytes) => Ok(Box::new(&bytes[..])),
            Self::File { file, path, .. } => {
                file.rewind().map_err(|error| unreadable(path, &error))?;
                Ok(Box::new(file))
            }
        }
    }

    /// Shows the bytes from the beginning up to `end`, or to the end of the file, piece by piece.
    pub fn each(&mut self, end: usize, mut see: impl FnMut(&[u8])) -> Result<(), Failure> {
        match self {
            Self::Memory(bytes) => see(&bytes[..end.min(bytes.len())]),
            Self::File { file, path, size } => {
                let unreadable = |error| unreadable(path, &error);
                file.rewind().map_err(unreadable)?;
                let mut piece = vec![0; PIECE.min(*size)];
                let mut left = end.min(*size);
                while left > 0 {
                    let room = left.min(piece.len());
                    let read = file.read(&mut piece[..room]).map_err(unreadable)?;
                    if read == 0 {
                        return Err(changed(path));
                    }
                    see(&piece[..read]);
                    left -= read;
                }
            }
        }
        Ok(())
    }
}

/// Opens a file, and tells where its bytes lie if it does. A file that is not there is a usage
/// error, with `missing` as its message.
pub fn open<'c>(path: &'c Path, missing: &str) -> Result<(Content<'c>, Option<u32>), Failure> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Failure::usage(missing),
        _ => unreadable(path, &error),
    };
    let mut file = File::open(path).map_err(failed)?;
    let there = file.metadata().map_err(failed)?;
    if !is_hex(path) && there.is_file() {
        let size = there.len().try_into().unwrap_or(usize::MAX);
        return Ok((Content::File { file, size, path }, None));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    if !is_hex(path) {
        return Ok((Content::Memory(bytes.into()), None));
    }
    let text = String::from_utf8_lossy(&bytes);
    let segment = hex::parse(&text).map_err(|error| {
        let hint = "is it whole, and of the linker's or objcopy's making?";
        Failure::error(format!("{}: {error}", path.display()), hint)
    })?;
    Ok((Content::Memory(segment.bytes.into()), Some(segment.address)))
}

/// A file that is not what it was when it was opened.
pub fn changed(path: &Path) -> Failure {
    let cause = format!("{} changed while it was read", path.display());
    Failure::error(cause, "wait for what writes it")
}

/// Writes a result: whole, or what was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write(path, bytes, Mode::Result).map_err(unwritten)
}

/// Begins a result that is written piece by piece.
pub fn begin(path: &Path) -> Result<Staged, Failure> {
    Staged::new(path, Mode::Result).map_err(unwritten)
}

/// What is told of a file that was not written.
pub fn unwritten(error: WriteError) -> Failure {
    let source = error.source().map(|source| format!(" ({source})")).unwrap_or_default();
    Failure::error(format!("{error}{source}"), error.remedy())
}
