//! Group 8, files: download, upload, status, hash.
//!
//! Nothing is remembered from one piece of a file to the next: every one names its file and its
//! place. An upload goes on where the file ends, so one whose answer was lost, or that was broken
//! off by a reset, is resumed there; the error for any other place tells the length of the file.
//!
//! Source: Zephyr documentation, "File management".

use updraft_image::HashKind;

use super::{Answer, Failure, Group, Request, Reset};
use crate::hash::{FileDigest, FileHash, FileHasher};
use crate::{FileError, Op, Rc, Version, files};

/// The files of a device. Names are whole paths, from `/` on, without `..` in them.
pub trait Files {
    /// Bytes of the longest name.
    const MAX_NAME: usize = 64;

    /// Bytes of a file; `None` if there is none of this name.
    fn size(&mut self, name: &str) -> Result<Option<u32>, Failure>;

    /// Reads from `off` on as many bytes as `bytes` holds. They lie within the file.
    fn read(&mut self, name: &str, off: u32, bytes: &mut [u8]) -> Result<(), Failure>;

    /// Writes at `off`, which is the file's end; at 0 the file is made, or emptied, first.
    fn write(&mut self, name: &str, off: u32, bytes: &[u8]) -> Result<(), Failure>;

    /// Closes what is open.
    fn close(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The file group over the files of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileGroup<F>(pub F);

/// Bytes that a hash is computed over at a time.
const PIECE: usize = 128;

#[derive(Default)]
struct Arguments<'p> {
    name: Option<&'p str>,
    off: Option<u32>,
    len: Option<u32>,
    data: Option<&'p [u8]>,
    kind: Option<&'p str>,
}

impl<'p> Arguments<'p> {
    fn of<F: Files>(request: &Request<'p>) -> Result<(Self, &'p str), Failure> {
        let mut this = Self::default();
        request.fields(|key, value| match key {
            "name" => value.str(&mut this.name),
            "off" => value.u32(&mut this.off),
            "len" => value.u32(&mut this.len),
            "data" => value.bytes(&mut this.data),
            "type" => value.str(&mut this.kind),
            _ => Ok(()),
        })?;
        let name = this.name.filter(|name| !name.is_empty() && name.len() <= F::MAX_NAME);
        let name = name.ok_or(Rc::INVALID)?;
        let outside = name.split('/').any(|part| part == "..");
        if !name.starts_with('/') || outside || name.contains('\0') {
            return Err(FileError::InvalidName.into());
        }
        Ok((this, name))
    }
}

impl<F: Files> FileGroup<F> {
    fn size(&mut self, name: &str) -> Result<u32, Failure> {
        self.0.size(name)?.ok_or(FileError::NotFound.into())
    }

    fn download(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let (arguments, name) = Arguments::of::<F>(request)?;
        let off = arguments.off.ok_or(Rc::INVALID)?;
        let size = self.size(name)?;
        answer.u32("off", off)?;
        let left = usize::try_from(size.saturating_sub(off)).unwrap_or(usize::MAX);
        // Behind the data come `len` where it is told, and the end of the map.
        let length = if off == 0 { 4 + 5 } else { 0 };
        let room = answer.room().saturating_sub(5 + 3 + length + 1);
        let len = left.min(room).min(usize::from(u16::MAX));
        if len == 0 && left > 0 {
            return Err(Rc::MESSAGE_SIZE.into());
        }
        answer.bytes_by("data", len, |bytes| match bytes.is_empty() {
            true => Ok(()),
            false => self.0.read(name, off, bytes),
        })?;
        match off {
            0 => answer.u32("len", size),
            _ => Ok(()),
        }
    }

    fn upload(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let (arguments, name) = Arguments::of::<F>(request)?;
        let off = arguments.off.ok_or(Rc::INVALID)?;
        let data = arguments.data.ok_or(Rc::INVALID)?;
        if off == 0 {
            arguments.len.ok_or(Rc::INVALID)?;
        } else {
            let size = self.0.size(name)?.unwrap_or(0);
            if off != size {
                return wrong_offset(request, size, answer);
            }
        }
        let len = u32::try_from(data.len()).map_err(|_| Rc::INVALID)?;
        let end = off.checked_add(len).ok_or(FileError::WriteFailed)?;
        self.0.write(name, off, data)?;
        answer.u32("off", end)
    }

    fn hash(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let (arguments, name) = Arguments::of::<F>(request)?;
        let kind = arguments.kind.unwrap_or(FileHash::ALL[0].name());
        let kind = FileHash::named(kind).ok_or(FileError::HashNotFound)?;
        let off = arguments.off.unwrap_or(0);
        let size = self.size(name)?;
        if size == 0 {
            return Err(FileError::Empty.into());
        }
        let left = size.checked_sub(off).filter(|left| *left > 0);
        let left = left.ok_or(FileError::OffsetLargerThanFile)?;
        let len = arguments.len.filter(|len| *len > 0).unwrap_or(left).min(left);

        let mut hasher = FileHasher::new(kind);
        let (mut at, end) = (off, off.saturating_add(len));
        while at < end {
            let mut piece = [0; PIECE];
            let len = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = piece.get_mut(..len).unwrap_or_default();
            self.0.read(name, at, piece)?;
            hasher.update(piece);
            at = at.saturating_add(PIECE as u32);
        }
        answer.str("type", kind.name())?;
        if off > 0 {
            answer.u32("off", off)?;
        }
        answer.u32("len", len)?;
        match hasher.finish() {
            FileDigest::Crc32(crc) => answer.u32("output", crc),
            FileDigest::Sha256(digest) => answer.bytes("output", digest.as_bytes()),
        }
    }
}

/// The place where an upload has to go on is told beside the error, where its form has room.
fn wrong_offset(request: &Request<'_>, size: u32, answer: &mut Answer<'_>) -> Result<(), Failure> {
    if request.header.version() == Some(Version::V1) {
        return Err(FileError::OffsetNotValid.into());
    }
    answer.error(FileError::OffsetNotValid)?;
    answer.u32("len", size)
}

fn types(answer: &mut Answer<'_>) -> Result<(), Failure> {
    answer.begin_map("types")?;
    for kind in FileHash::ALL {
        answer.begin_map(kind.name())?;
        let (format, size) = match kind {
            FileHash::Crc32 => (0, 4),
            FileHash::Sha256 => (1, HashKind::Sha256.size() as u32),
        };
        answer.u32("format", format)?;
        answer.u32("size", size)?;
        answer.end()?;
    }
    answer.end()
}

impl<F: Files> Group for FileGroup<F> {
    const ID: u16 = crate::group::FILES;
    const NAME: Option<&'static str> = Some("fs mgmt");

    fn commands(&self) -> u32 {
        5
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (files::FILE, Op::Read) => self.download(request, answer)?,
            (files::FILE, Op::Write) => self.upload(request, answer)?,
            (files::STATUS, Op::Read) => {
                let (_, name) = Arguments::of::<F>(request)?;
                answer.u32("len", self.size(name)?)?;
            }
            (files::HASH, Op::Read) => self.hash(request, answer)?,
            (files::HASH_TYPES, Op::Read) => types(answer)?,
            (files::CLOSE, Op::Write) => self.0.close()?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}
