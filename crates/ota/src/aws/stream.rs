//! Blocks of files, in CBOR and JSON.

use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};

use super::jobs::{parse, text};
use crate::json::{Malformed, NoRoom, Text, Value, Writer};
use crate::{Reason, base64};

/// Bytes of the largest block, and of all that are sent for one question.
const LONGEST_ANSWER: u32 = 131_072;
/// The highest offset, and count.
const MOST_BLOCKS: u32 = 98_304;
/// Bytes from which on a bitmap is too long.
const LONGEST_BITMAP: usize = 12_288;

/// How messages about streams are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// CBOR.
    #[default]
    Cbor,
    /// JSON.
    Json,
}

impl Format {
    /// The end of its topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cbor => "cbor",
            Self::Json => "json",
        }
    }
}

/// A device asks for blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockRequest<'m> {
    /// Is told back with every block.
    pub token: Option<&'m str>,
    /// The version that the stream should have.
    pub version: Option<u32>,
    /// Number of the file.
    pub file: u8,
    /// Bytes of a block.
    pub size: u32,
    /// The first block, or the one that the bitmap begins at.
    pub offset: u32,
    /// The lowest bit of the first byte is block `offset`: which ones are wanted. (In JSON it is
    /// written in hexadecimal digits.)
    pub bitmap: Option<&'m [u8]>,
    /// At most so many blocks.
    pub count: Option<u32>,
}

impl<'m> BlockRequest<'m> {
    /// Writes it; returns how many bytes. Keys come in the order of AWS's own agent.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, format: Format, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        match format {
            Format::Cbor => {
                let mut to = Encoder::new(Cursor::new(buffer));
                self.cbor(&mut to).map_err(|_| NoRoom)?;
                Ok(to.into_writer().position())
            }
            Format::Json => {
                let mut to = Writer::new(buffer);
                to.begin("{").member("c", self.token.map(Text::new));
                if let Some(version) = self.version {
                    to.key("s").number(version);
                }
                to.key("f").number(self.file.into()).key("l").number(self.size);
                to.key("o").number(self.offset);
                if let Some(bitmap) = self.bitmap {
                    to.key("b").raw("\"0x").hex(bitmap).raw("\"");
                }
                if let Some(count) = self.count {
                    to.key("n").number(count);
                }
                to.end("}");
                to.finish()
            }
        }
    }

    fn cbor(
        &self,
        to: &mut Encoder<Cursor<&mut [u8]>>,
    ) -> Result<(), minicbor::encode::Error<minicbor::encode::write::EndOfSlice>> {
        let optional = [
            self.token.is_some(),
            self.version.is_some(),
            self.bitmap.is_some(),
            self.count.is_some(),
        ];
        to.map(3 + optional.iter().filter(|there| **there).count() as u64)?;
        if let Some(token) = self.token {
            to.str("c")?.str(token)?;
        }
        if let Some(version) = self.version {
            to.str("s")?.u32(version)?;
        }
        to.str("f")?.u8(self.file)?.str("l")?.u32(self.size)?.str("o")?.u32(self.offset)?;
        if let Some(bitmap) = self.bitmap {
            to.str("b")?.bytes(bitmap)?;
        }
        if let Some(count) = self.count {
            to.str("n")?.u32(count)?;
        }
        Ok(())
    }

    /// Reads a request: the server's side. The bitmap of one in JSON is decoded into `buffer`.
    ///
    /// # Errors
    /// If it is none, or its bitmap has no room.
    pub fn decode(bytes: &'m [u8], format: Format, buffer: &'m mut [u8]) -> Result<Self, Reason> {
        if format == Format::Json {
            return Self::decode_json(bytes, buffer);
        }
        let mut request = Self::default();
        let (mut file, mut size) = (None, None);
        members(bytes, |key, from| {
            match key {
                "c" => request.token = Some(from.str()?),
                "s" => request.version = Some(from.u32()?),
                "f" => file = Some(from.u8()?),
                "l" => size = Some(from.u32()?),
                "o" => request.offset = from.u32()?,
                "b" => request.bitmap = Some(from.bytes()?),
                "n" => request.count = Some(from.u32()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        request.file = file.ok_or(Reason::Missing("f"))?;
        request.size = size.filter(|size| *size > 0).ok_or(Reason::Missing("l"))?;
        Ok(request)
    }

    /// Reads a request in JSON: the server's side. Its bitmap is decoded into `buffer`.
    ///
    /// # Errors
    /// If it is none, or its bitmap has no room.
    pub fn decode_json(bytes: &'m [u8], buffer: &'m mut [u8]) -> Result<Self, Reason> {
        let object = Value::parse(bytes)?.object();
        let object = object.ok_or(Reason::NotJson(Malformed { offset: 0 }))?;
        let number = |key| match object.member(key)? {
            None => Ok(None),
            Some(value) => value.number().map(Some).ok_or(Reason::WrongType(key)),
        };
        let text = |key| match object.member(key)? {
            None => Ok(None),
            Some(value) => value.text().map(Some).ok_or(Reason::WrongType(key)),
        };
        let token = text("c")?.map(|token| token.plain().ok_or(Reason::BadValue("c")));
        let file = number("f")?.ok_or(Reason::Missing("f"))?;
        let size = number("l")?.filter(|size| *size > 0).ok_or(Reason::Missing("l"))?;
        let bitmap = match text("b")? {
            None => None,
            Some(digits) => Some(hex(digits, buffer).ok_or(Reason::BadValue("b"))?),
        };
        Ok(Self {
            token: token.transpose()?,
            version: number("s")?,
            file: u8::try_from(file).map_err(|_| Reason::BadValue("f"))?,
            size,
            offset: number("o")?.unwrap_or(0),
            bitmap,
            count: number("n")?,
        })
    }

    /// What the service objects to, if it does.
    pub fn objection(&self) -> Option<&'static str> {
        if !(256..=LONGEST_ANSWER).contains(&self.size) {
            return Some("BlockSizeOutOfBounds");
        }
        if self.offset > MOST_BLOCKS {
            return Some("OffsetOutOfBounds");
        }
        if self.count.is_some_and(|count| count > MOST_BLOCKS) {
            return Some("BlockCountLimitExceeded");
        }
        let bits = self.bitmap.map_or(0, <[u8]>::len);
        (bits >= LONGEST_BITMAP).then_some("BlockBitmapLimitExceeded")
    }

    /// The blocks that are asked for of a file of `size` bytes: those of the bitmap, or those from
    /// the offset on; no more than were asked for, and than an answer has room for.
    pub fn blocks(&self, size: u32) -> impl Iterator<Item = u32> + use<'m> {
        let (offset, bitmap) = (self.offset, self.bitmap);
        let most = (LONGEST_ANSWER / self.size.max(1)).max(1);
        let most = self.count.map_or(most, |count| count.min(most));
        let end = size.div_ceil(self.size.max(1));
        let bits = bitmap.map(|bitmap| u32::try_from(bitmap.len()).unwrap_or(u32::MAX));
        let bits = bits.map_or(u32::MAX, |bytes| bytes.saturating_mul(8));
        let end = end.min(offset.saturating_add(bits));
        let wanted = move |block: &u32| {
            let Some(bitmap) = bitmap else { return true };
            let at = block.saturating_sub(offset);
            bitmap.get(at as usize / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
        };
        (offset..end).filter(wanted).take(most as usize)
    }
}

/// `0x130080`, or without `0x`.
fn hex<'b>(text: Text<'_>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let digits = text.plain()?;
    let digits = digits.strip_prefix("0x").unwrap_or(digits).as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let room = buffer.get_mut(..pairs.len())?;
    for (byte, [high, low]) in room.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = (value(*high)? << 4 | value(*low)?) as u8;
    }
    Some(room)
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'m> {
    /// Number of the file.
    pub file: u8,
    /// Number of the block.
    pub index: u32,
    /// Its bytes.
    pub data: &'m [u8],
}

impl<'m> Block<'m> {
    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, format: Format, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let len = u32::try_from(self.data.len()).map_err(|_| NoRoom)?;
        match format {
            Format::Cbor => {
                let mut to = Encoder::new(Cursor::new(buffer));
                let mut write = || {
                    to.map(4)?.str("f")?.u8(self.file)?.str("i")?.u32(self.index)?;
                    to.str("l")?.u32(len)?.str("p")?.bytes(self.data)?;
                    Ok::<_, minicbor::encode::Error<_>>(())
                };
                write().map_err(|_| NoRoom)?;
                Ok(to.into_writer().position())
            }
            Format::Json => {
                let mut to = Writer::new(buffer);
                to.begin("{").key("f").number(self.file.into()).key("i").number(self.index);
                to.key("l").number(len).key("p").raw("\"");
                base64::encode(self.data, |text| {
                    to.raw(text);
                });
                to.raw("\"").end("}");
                to.finish()
            }
        }
    }

    /// Reads a block; the data of one in JSON is decoded into `buffer`.
    ///
    /// # Errors
    /// If it is none, or lies about its length.
    pub fn decode(bytes: &'m [u8], format: Format, buffer: &'m mut [u8]) -> Result<Self, Reason> {
        let (mut file, mut index, mut len, mut data) = (None, None, None, None);
        match format {
            Format::Cbor => members(bytes, |key, from| {
                match key {
                    "f" => file = Some(from.u32()?),
                    "i" => index = Some(from.u32()?),
                    "l" => len = Some(from.u32()?),
                    "p" => data = Some(from.bytes()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            Format::Json => {
                let object = Value::parse(bytes)?.object().ok_or(Reason::NotAChunk)?;
                let number = |key| match object.member(key)? {
                    None => Ok(None),
                    Some(value) => value.number().map(Some).ok_or(Reason::WrongType(key)),
                };
                (file, index, len) = (number("f")?, number("i")?, number("l")?);
                if let Some(payload) = object.member("p")? {
                    let text = payload.text().ok_or(Reason::WrongType("p"))?;
                    let count = base64::decode(text.chars(), buffer);
                    data = buffer.get(..count.ok_or(Reason::BadValue("p"))?);
                }
            }
        }
        let data = data.ok_or(Reason::Missing("p"))?;
        let said = len.ok_or(Reason::Missing("l"))?;
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if said != size {
            return Err(if said < size { Reason::ChunkLong } else { Reason::ChunkShort });
        }
        let file = file.ok_or(Reason::Missing("f"))?;
        let file = u8::try_from(file).map_err(|_| Reason::BadValue("f"))?;
        Ok(Self { file, index: index.ok_or(Reason::Missing("i"))?, data })
    }
}

/// A device asks what a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Describe<'m> {
    /// Is told back.
    pub token: Option<&'m str>,
}

impl<'m> Describe<'m> {
    /// Reads it: the service's side.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &'m [u8], format: Format) -> Result<Self, Reason> {
        let mut token = None;
        match format {
            Format::Cbor => members(bytes, |key, from| {
                let known = key == "c";
                if known {
                    token = Some(from.str()?);
                }
                Ok(known)
            })?,
            Format::Json => token = text(parse(bytes)?, "c")?.and_then(Text::plain),
        }
        Ok(Self { token })
    }
}

/// What a stream with one file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description<'m> {
    /// What the question said.
    pub token: Option<&'m str>,
    /// The stream's version.
    pub version: u32,
    /// What it is.
    pub about: &'m str,
    /// Number of its file.
    pub file: u8,
    /// Bytes of its file.
    pub size: u32,
}

impl Description<'_> {
    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, format: Format, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        match format {
            Format::Cbor => {
                let mut to = Encoder::new(Cursor::new(buffer));
                let mut write = || {
                    to.map(3 + u64::from(self.token.is_some()))?;
                    if let Some(token) = self.token {
                        to.str("c")?.str(token)?;
                    }
                    to.str("s")?
                        .u32(self.version)?
                        .str("d")?
                        .str(self.about)?
                        .str("r")?
                        .array(1)?;
                    to.map(2)?.str("f")?.u8(self.file)?.str("z")?.u32(self.size)?;
                    Ok::<_, minicbor::encode::Error<_>>(())
                };
                write().map_err(|_| NoRoom)?;
                Ok(to.into_writer().position())
            }
            Format::Json => {
                let mut to = Writer::new(buffer);
                to.begin("{").member("c", self.token.map(Text::new));
                to.key("s").number(self.version).member("d", Some(Text::new(self.about)));
                to.key("r").begin("[").begin("{").key("f").number(self.file.into());
                to.key("z").number(self.size).end("}").end("]").end("}");
                to.finish()
            }
        }
    }
}

/// An error of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected<'m> {
    /// Its name, such as `VersionMismatch`.
    pub code: &'m str,
}

impl<'m> Rejected<'m> {
    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, format: Format, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        match format {
            Format::Cbor => {
                let mut to = Encoder::new(Cursor::new(buffer));
                let written = to.map(1).and_then(|to| to.str("o")).and_then(|to| to.str(self.code));
                written.map_err(|_| NoRoom)?;
                Ok(to.into_writer().position())
            }
            Format::Json => {
                let mut to = Writer::new(buffer);
                to.begin("{").member("o", Some(Text::new(self.code))).end("}");
                to.finish()
            }
        }
    }

    /// Reads an error; older ones are called `code`.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &'m [u8], format: Format) -> Result<Self, Reason> {
        let mut code = None;
        match format {
            Format::Cbor => members(bytes, |key, from| {
                let known = matches!(key, "o" | "code");
                if known {
                    code = Some(from.str()?);
                }
                Ok(known)
            })?,
            Format::Json => {
                let object = Value::parse(bytes)?.object().ok_or(Reason::Missing("o"))?;
                let value = match object.member("o")? {
                    Some(value) => Some(value),
                    None => object.member("code")?,
                };
                code = value.and_then(|value| value.text()).and_then(Text::plain);
            }
        }
        Ok(Self { code: code.ok_or(Reason::Missing("o"))? })
    }

    /// Whether the same question would be answered in the same way for ever.
    pub fn is_final(&self) -> bool {
        matches!(
            self.code,
            "ResourceNotFound" | "VersionMismatch" | "ETagMismatch" | "Unauthorized"
        )
    }
}

/// Reads a map of a few keys. `member` says whether it has taken the value.
fn members<'m>(
    bytes: &'m [u8],
    mut member: impl FnMut(&str, &mut Decoder<'m>) -> Result<bool, minicbor::decode::Error>,
) -> Result<(), Reason> {
    let mut from = Decoder::new(bytes);
    let mut seen = 0u32;
    let mut read = || {
        let mut left = from.map()?;
        loop {
            match left {
                Some(0) => break,
                Some(count) => left = Some(count - 1),
                None if from.datatype()? == minicbor::data::Type::Break => break,
                None => {}
            }
            let key = from.str()?;
            // Keys are single letters, but for those that are passed over.
            if let [letter @ b'a'..=b'z'] = key.as_bytes() {
                let bit = 1 << (letter - b'a');
                if seen & bit != 0 {
                    return Ok(false);
                }
                seen |= bit;
            }
            if !member(key, &mut from)? {
                from.skip()?;
            }
        }
        Ok::<_, minicbor::decode::Error>(true)
    };
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Reason::Repeated("key")),
        Err(_) => Err(Reason::NotAChunk),
    }
}
