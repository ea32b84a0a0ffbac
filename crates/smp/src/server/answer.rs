//! Answers: an indefinite map of the handler's keys, or an error.

use minicbor::Encoder;
use minicbor::encode::write::{Cursor, EndOfSlice};

use super::version::VersionText;
use crate::{GroupError, Header, Malformed, Rc, Version};

/// The answer under construction: a CBOR map of indefinite length, as the servers of the field
/// emit it. Every method fails with `rc` 7 when the buffer is full.
pub struct Answer<'a> {
    cbor: Encoder<Cursor<&'a mut [u8]>>,
}

/// A place in an [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

type Written<T = ()> = Result<T, Failure>;

impl<'a> Answer<'a> {
    /// First byte of the header's place while something else stands in place of the map. No header
    /// begins like this.
    const REPLACED: u8 = 0xff;

    /// An answer without keys, to be built in `buffer`.
    pub fn begin(buffer: &'a mut [u8]) -> Written<Self> {
        let mut cursor = Cursor::new(buffer);
        cursor.set_position(Header::SIZE);
        let mut cbor = Encoder::new(cursor);
        cbor.begin_map()?;
        Ok(Self { cbor })
    }

    /// Closes the map and puts `header` in front, with the length filled in; returns the bytes of
    /// the whole message.
    pub fn finish(mut self, header: Header) -> Written<usize> {
        self.cbor.end()?;
        self.seal(header)
    }

    /// Closes an answer that [`replace`](Self::replace) may have been called on. The header's place
    /// in the buffer tells, which is not written before: a field of its own would take flash in
    /// every server that answers with maps only.
    pub(super) fn finish_replaceable(self, header: Header) -> Written<usize> {
        match self.cbor.writer().get_ref().first() {
            Some(&Self::REPLACED) => self.seal(header),
            _ => self.finish(header),
        }
    }

    /// Puts `header` in front.
    fn seal(self, header: Header) -> Written<usize> {
        let cursor = self.cbor.into_writer();
        seal(header, cursor.position(), cursor.into_inner()).ok_or(Rc::MESSAGE_SIZE.into())
    }

    /// `key: text`.
    pub fn str(&mut self, key: &str, text: &str) -> Written {
        Ok(self.cbor.str(key)?.str(text)?.ok()?)
    }

    /// `key: text`, the text given in pieces.
    pub fn str_of<'t>(
        &mut self,
        key: &str,
        parts: impl Iterator<Item = &'t str> + Clone,
    ) -> Written {
        let len = parts.clone().map(str::len).sum::<usize>();
        self.cbor.str(key)?.str_len(u64::try_from(len).unwrap_or(u64::MAX))?;
        for part in parts {
            minicbor::encode::Write::write_all(self.cbor.writer_mut(), part.as_bytes())
                .map_err(|_| Rc::MESSAGE_SIZE)?;
        }
        Ok(())
    }

    /// `key: major.minor.revision`, and `.build` where it is not 0: the image group's own spelling.
    pub fn version(&mut self, key: &str, version: &updraft_image::Version) -> Written {
        self.str(key, VersionText::new(version).as_str())
    }

    /// `key: bytes`.
    pub fn bytes(&mut self, key: &str, bytes: &[u8]) -> Written {
        Ok(self.cbor.str(key)?.bytes(bytes)?.ok()?)
    }

    /// `key: number`.
    pub fn u32(&mut self, key: &str, number: u32) -> Written {
        Ok(self.cbor.str(key)?.u32(number)?.ok()?)
    }

    /// `key: number`, which may be negative.
    pub fn i32(&mut self, key: &str, number: i32) -> Written {
        Ok(self.cbor.str(key)?.i32(number)?.ok()?)
    }

    /// `key: number` of up to 64 bits.
    pub fn u64(&mut self, key: &str, number: u64) -> Written {
        Ok(self.cbor.str(key)?.u64(number)?.ok()?)
    }

    /// `key: number` of up to 64 bits, which may be negative.
    pub fn i64(&mut self, key: &str, number: i64) -> Written {
        Ok(self.cbor.str(key)?.i64(number)?.ok()?)
    }

    /// `key: true` or `key: false`.
    pub fn bool(&mut self, key: &str, value: bool) -> Written {
        Ok(self.cbor.str(key)?.bool(value)?.ok()?)
    }

    /// `key:` and a list; close it with [`end`](Self::end).
    pub fn begin_list(&mut self, key: &str) -> Written {
        Ok(self.cbor.str(key)?.begin_array()?.ok()?)
    }

    /// `key:` and a map; close it with [`end`](Self::end).
    pub fn begin_map(&mut self, key: &str) -> Written {
        Ok(self.cbor.str(key)?.begin_map()?.ok()?)
    }

    /// A map as the next item of a list; close it with [`end`](Self::end).
    pub fn begin_item(&mut self) -> Written {
        Ok(self.cbor.begin_map()?.ok()?)
    }

    /// A text as the next item of a list.
    pub fn item_str(&mut self, text: &str) -> Written {
        Ok(self.cbor.str(text)?.ok()?)
    }

    /// A number as the next item of a list.
    pub fn item_u32(&mut self, number: u32) -> Written {
        Ok(self.cbor.u32(number)?.ok()?)
    }

    /// `key:` and `len` bytes that `fill` writes.
    pub fn bytes_by(
        &mut self,
        key: &str,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Written,
    ) -> Written {
        self.cbor.str(key)?.bytes_len(u64::try_from(len).map_err(|_| Rc::MESSAGE_SIZE)?)?;
        let cursor = self.cbor.writer_mut();
        let at = cursor.position();
        let end = at.checked_add(len).ok_or(Rc::MESSAGE_SIZE)?;
        fill(cursor.get_mut().get_mut(at..end).ok_or(Rc::MESSAGE_SIZE)?)?;
        cursor.set_position(end);
        Ok(())
    }

    /// Bytes that the buffer, and the length in the header, still have room for.
    pub fn room(&self) -> usize {
        let cursor = self.cbor.writer();
        let longest = Header::SIZE + usize::from(u16::MAX);
        cursor.get_ref().len().min(longest).saturating_sub(cursor.position())
    }

    /// Where the answer ends so far, to [`rewind`](Self::rewind) to.
    pub fn mark(&self) -> Mark {
        Mark(self.cbor.writer().position())
    }

    /// Drops what was written since `mark` was taken. Lists and maps that were open then are open
    /// again, and no others.
    pub fn rewind(&mut self, mark: Mark) {
        let position = self.cbor.writer().position().min(mark.0);
        self.cbor.writer_mut().set_position(position);
    }

    /// `err` as clients of version 2 are told: for the few errors that come with further keys.
    #[inline(always)]
    pub fn error(&mut self, error: impl Into<GroupError>) -> Written {
        let error = error.into();
        self.begin_map("err")?;
        self.u32("group", error.group.into())?;
        self.u32("rc", error.rc)?;
        self.end()
    }

    /// Puts `payload` in place of the map. Groups of an application (64 and up) may answer with
    /// anything. Only a [`Server`](super::Server) lets them.
    pub fn replace(&mut self, payload: &[u8]) -> Written {
        let cursor = self.cbor.writer_mut();
        cursor.set_position(Header::SIZE);
        minicbor::encode::Write::write_all(cursor, payload).map_err(|_| Rc::MESSAGE_SIZE)?;
        if let Some(mark) = cursor.get_mut().first_mut() {
            *mark = Self::REPLACED;
        }
        Ok(())
    }

    /// Closes the list or map that was opened last.
    pub fn end(&mut self) -> Written {
        Ok(self.cbor.end()?.ok()?)
    }
}

/// Writes the header before the payload that ends at `end`; `None` if the message is longer than
/// the header can say.
fn seal(header: Header, end: usize, message: &mut [u8]) -> Option<usize> {
    let length = u16::try_from(end.checked_sub(Header::SIZE)?).ok()?;
    message.get_mut(..Header::SIZE)?.copy_from_slice(&Header { length, ..header }.emit());
    Some(end)
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    cause: Cause,
    reason: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Plain(Rc),
    Group(GroupError),
}

impl Failure {
    /// The same failure with a short text for version 1 clients (`rsn`). A text that is already
    /// there stays.
    pub fn because(self, reason: Option<&'static str>) -> Self {
        Self { reason: self.reason.or(reason), ..self }
    }

    /// Whether this is an error of the protocol layer, which ends the processing of a packet.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.cause, Cause::Plain(_))
    }

    /// Writes the error message behind `header`, whose version decides over the error model;
    /// returns its bytes, or 0 if the buffer does not hold it.
    pub fn emit(&self, header: Header, verbose: bool, buffer: &mut [u8]) -> usize {
        let reason = self.reason.filter(|_| verbose);
        let written = match (self.write(header, reason, buffer), reason) {
            (Err(_), Some(_)) => self.write(header, None, buffer),
            (written, _) => written,
        };
        written.unwrap_or(0)
    }

    fn write(&self, header: Header, reason: Option<&str>, buffer: &mut [u8]) -> Written<usize> {
        let mut answer = Answer::begin(buffer)?;
        let rc = match self.cause {
            Cause::Plain(rc) => rc,
            Cause::Group(error) if header.version() == Some(Version::V1) => error.v1,
            Cause::Group(error) => {
                answer.error(error)?;
                return answer.finish(header);
            }
        };
        answer.u32("rc", rc.0)?;
        if let Some(reason) = reason {
            answer.str("rsn", reason)?;
        }
        answer.finish(header)
    }
}

impl From<Rc> for Failure {
    fn from(rc: Rc) -> Self {
        Self { cause: Cause::Plain(rc), reason: None }
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        Self { cause: Cause::Group(error), reason: None }
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Rc::INVALID.into()
    }
}

impl From<minicbor::encode::Error<EndOfSlice>> for Failure {
    fn from(_: minicbor::encode::Error<EndOfSlice>) -> Self {
        Rc::MESSAGE_SIZE.into()
    }
}
