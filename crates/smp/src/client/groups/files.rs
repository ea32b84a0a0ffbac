//! Requests and answers of group 8, files.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{FileDigest, Malformed, Op, files, group};

/// A piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePiece<'p> {
    /// Where it lies in the file.
    pub off: u32,
    /// Its bytes; none at the end of the file.
    pub data: &'p [u8],
    /// Bytes of the whole file, told with the first piece.
    pub len: Option<u32>,
}

/// A checksum or hash that the device has computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashReply<'p> {
    /// Its kind.
    pub kind: &'p str,
    /// Where the bytes begin that it is of.
    pub off: u32,
    /// How many they are.
    pub len: u32,
    /// The checksum or hash.
    pub output: HashOutput<'p>,
}

/// A checksum, which is a number, or a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashOutput<'p> {
    /// A number.
    Number(u64),
    /// Bytes.
    Bytes(&'p [u8]),
}

impl HashOutput<'_> {
    /// Whether it is the same as one that was computed here.
    pub fn is(&self, digest: &FileDigest) -> bool {
        match (self, digest) {
            (Self::Number(number), FileDigest::Crc32(crc)) => *number == u64::from(*crc),
            (Self::Bytes(bytes), FileDigest::Sha256(digest)) => *bytes == digest.as_bytes(),
            _ => false,
        }
    }
}

/// A kind of checksum or hash that the device can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashType<'p> {
    /// Its name.
    pub name: &'p str,
    /// Whether its result is bytes, not a number.
    pub is_bytes: bool,
    /// Bytes of the result.
    pub size: u32,
}

/// Which part of a file, from `off` on, is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub off: u32,
    /// Its bytes; `None` for all up to the end.
    pub len: Option<u32>,
}

impl Requests {
    /// Asks for a piece of a file; see [`Answer::file_piece`]. The device decides how long it is.
    pub fn read_file<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
        off: u32,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::FILES, files::FILE), |c| {
            c.map(2)?.str("name")?.str(name)?.str("off")?.u32(off)?.ok()
        })
    }

    /// Sends a piece of a file of `len` bytes; see [`Answer::file_offset`].
    pub fn write_file<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
        (off, len): (u32, u32),
        data: &[u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::FILES, files::FILE), |c| {
            c.map(3 + u64::from(off == 0))?.str("name")?.str(name)?;
            c.str("off")?.u32(off)?.str("data")?.bytes(data)?;
            match off {
                0 => c.str("len")?.u32(len)?.ok(),
                _ => Ok(()),
            }
        })
    }

    /// Asks for the length of a file; see [`Answer::file_length`].
    pub fn file_status<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::FILES, files::STATUS), |c| {
            c.map(1)?.str("name")?.str(name)?.ok()
        })
    }

    /// Has the device compute a checksum or hash, of the kind that it prefers without one; see
    /// [`Answer::file_hash`].
    pub fn hash_file<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
        kind: Option<&str>,
        part: Part,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::FILES, files::HASH), |c| {
            let optional = [kind.is_some(), part.off > 0, part.len.is_some()];
            c.map(1 + optional.into_iter().map(u64::from).sum::<u64>())?;
            c.str("name")?.str(name)?;
            if let Some(kind) = kind {
                c.str("type")?.str(kind)?;
            }
            if part.off > 0 {
                c.str("off")?.u32(part.off)?;
            }
            match part.len {
                Some(len) => c.str("len")?.u32(len)?.ok(),
                None => Ok(()),
            }
        })
    }

    /// Asks which kinds of checksums and hashes the device computes; see [`Answer::hash_types`].
    pub fn hash_types<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::FILES, files::HASH_TYPES), |c| c.map(0)?.ok())
    }

    /// Closes what the device has open. Some tell old lengths and hashes before.
    pub fn close_files<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::FILES, files::CLOSE), |c| c.map(0)?.ok())
    }
}

impl<'p> Answer<'p> {
    /// A piece of a file.
    pub fn file_piece(&self) -> Result<FilePiece<'p>, AnswerError> {
        let (mut off, mut data, mut len) = (None, None, None);
        self.fields(|key, value| match key {
            "off" => value.u32(&mut off),
            "data" => value.bytes(&mut data),
            "len" => value.u32(&mut len),
            _ => Ok(()),
        })?;
        match (off, data) {
            (Some(off), Some(data)) => Ok(FilePiece { off, data, len }),
            _ => Err(self.incomplete()),
        }
    }

    /// The offset that the device wants next of a file that is sent to it.
    pub fn file_offset(&self) -> Result<u32, AnswerError> {
        self.number("off")
    }

    /// Bytes that a file has by now, as the refusal of a piece at another offset tells them.
    pub fn file_length_beside_error(&self) -> Option<u32> {
        let mut len = None;
        crate::fields(self.payload, |key, value| match key {
            "len" => value.u32(&mut len),
            _ => Ok(()),
        })
        .ok()?;
        len
    }

    /// Bytes of a file.
    pub fn file_length(&self) -> Result<u32, AnswerError> {
        self.number("len")
    }

    /// A checksum or hash of a file.
    pub fn file_hash(&self) -> Result<HashReply<'p>, AnswerError> {
        let (mut kind, mut off, mut len) = (None, None, None);
        let (mut number, mut bytes) = (None, None);
        self.fields(|key, value| match key {
            "type" => value.str(&mut kind),
            "off" => value.u32(&mut off),
            "len" => value.u32(&mut len),
            "output" if value.is_integer() => value.u64(&mut number),
            "output" => value.bytes(&mut bytes),
            _ => Ok(()),
        })?;
        let output = number.map(HashOutput::Number).or(bytes.map(HashOutput::Bytes));
        match (kind, len, output) {
            (Some(kind), Some(len), Some(output)) => {
                Ok(HashReply { kind, off: off.unwrap_or(0), len, output })
            }
            _ => Err(self.incomplete()),
        }
    }

    /// Calls `each` for every kind of checksum and hash.
    pub fn hash_types(&self, mut each: impl FnMut(HashType<'p>)) -> Result<(), AnswerError> {
        self.fields(|key, value| match key {
            "types" => value.map(|name, value| {
                let (mut format, mut size) = (None, None);
                value.map(|key, value| match key {
                    "format" => value.u32(&mut format),
                    "size" => value.u32(&mut size),
                    _ => Ok(()),
                })?;
                let size = size.ok_or(Malformed { offset: self.payload.len() })?;
                each(HashType { name, is_bytes: format == Some(1), size });
                Ok(())
            }),
            _ => Ok(()),
        })
    }
}
