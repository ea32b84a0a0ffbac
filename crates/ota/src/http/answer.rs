//! Answers.

use crate::Reason;

/// Bytes of a line that are looked at; no field that matters has more.
const LINE: usize = 192;
/// Bytes of all lines before a body.
const LONGEST_HEAD: u32 = 16 * 1024;

/// What an answer says before its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Bytes of the body, if they are said.
    pub length: Option<u32>,
    /// Which part of the file it is: first byte, last byte, bytes of the whole.
    pub range: Option<(u32, u32, Option<u32>)>,
    /// The body comes in chunks.
    pub chunked: bool,
    /// The server closes the connection afterwards.
    pub closes: bool,
    /// Seconds after which the server wants to be asked again.
    pub retry_after: Option<u32>,
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What it says before its body.
    pub head: Head,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The body of a good answer.
    ///
    /// # Errors
    /// If its status is not one of success.
    pub fn good(&self) -> Result<&'a [u8], Reason> {
        match self.head.status {
            200..=299 => Ok(self.body),
            status => Err(Reason::Status(status)),
        }
    }

    /// The `len` bytes from `from` on that were asked for, and how many the file has. At the end of
    /// the file they may be fewer.
    ///
    /// # Errors
    /// If the answer is another part, the whole file, or none.
    pub fn part(&self, from: u32, len: u32) -> Result<(&'a [u8], u32), Reason> {
        self.head.is_part(from, len)?;
        let (_, last, total) = self.head.range.ok_or(Reason::NoRange)?;
        let total = total.ok_or(Reason::NoRange)?;
        let said = last.checked_sub(from).and_then(|count| count.checked_add(1));
        if said != u32::try_from(self.body.len()).ok() {
            return Err(Reason::WrongRange);
        }
        Ok((self.body, total))
    }
}

impl Head {
    fn is_part(&self, from: u32, len: u32) -> Result<(), Reason> {
        match self.status {
            206 => {}
            200..=299 => return Err(Reason::NoRange),
            status => return Err(Reason::Status(status)),
        }
        let Some((first, last, Some(total))) = self.range else { return Err(Reason::NoRange) };
        let wanted = from.checked_add(len).map_or(total, |end| end.min(total));
        if first != from || last >= total || Some(last) != wanted.checked_sub(1) {
            return Err(Reason::WrongRange);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked for.
    Idle,
    Status,
    Fields,
    /// The body, with so many bytes still to come; `None` up to the end of the connection.
    Body(Option<u32>),
    ChunkSize,
    Chunk(u32),
    ChunkEnd,
    Trailer,
    Done,
}

/// One answer at a time, read from a stream of bytes.
#[derive(Debug)]
pub struct Exchange<'b> {
    buffer: &'b mut [u8],
    len: usize,
    stage: Stage,
    head: Head,
    line: [u8; LINE],
    /// Bytes of the line so far, those that were not kept included.
    line_len: usize,
    head_len: u32,
    /// The part that was asked for.
    part: Option<(u32, u32)>,
}

impl<'b> Exchange<'b> {
    /// Answers whose bodies fit into `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            stage: Stage::Idle,
            head: Head::default(),
            line: [0; LINE],
            line_len: 0,
            head_len: 0,
            part: None,
        }
    }

    /// A request has been sent, perhaps one for a part: first byte and length.
    pub fn begin(&mut self, part: Option<(u32, u32)>) {
        self.stage = Stage::Status;
        (self.len, self.head, self.line_len, self.head_len) = (0, Head::default(), 0, 0);
        self.part = part;
    }

    /// Whether an answer is awaited.
    pub fn is_awaited(&self) -> bool {
        !matches!(self.stage, Stage::Idle | Stage::Done)
    }

    /// Bytes of the longest body.
    pub fn room(&self) -> usize {
        self.buffer.len()
    }

    /// The room for bodies, for other use while no answer is awaited.
    pub fn memory(&mut self) -> &mut [u8] {
        self.stage = Stage::Idle;
        self.buffer
    }

    /// The answer, once it is whole.
    pub fn answer(&self) -> Option<Answer<'_>> {
        let body = self.buffer.get(..self.len).unwrap_or_default();
        (self.stage == Stage::Done).then_some(Answer { head: self.head, body })
    }

    /// Takes in all of what the server has sent; returns whether the answer is whole now. Nothing may
    /// come behind it; what comes when nothing is awaited is passed over.
    ///
    /// # Errors
    /// As those of [`take`](Self::take).
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Reason> {
        if !self.is_awaited() {
            return Ok(false);
        }
        let taken = self.take(bytes)?;
        let whole = self.stage == Stage::Done;
        if whole && taken < bytes.len() { Err(self.broken(Reason::TooMuch)) } else { Ok(whole) }
    }

    /// Takes bytes in, up to the end of the answer; returns how many.
    ///
    /// # Errors
    /// If they are no HTTP, if there are more of them than were asked for, or if they cannot be what
    /// was asked for. The connection has to be closed then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Reason> {
        let mut rest = bytes;
        while !rest.is_empty() && self.is_awaited() {
            match self.stage {
                Stage::Body(left) => {
                    let count = left.map_or(rest.len(), |left| rest.len().min(left as usize));
                    let (now, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                    self.keep(now)?;
                    rest = later;
                    let left = left.map(|left| left.saturating_sub(now.len() as u32));
                    self.stage = if left == Some(0) { Stage::Done } else { Stage::Body(left) };
                }
                Stage::Chunk(left) => {
                    let count = rest.len().min(left as usize);
                    let (now, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                    self.keep(now)?;
                    rest = later;
                    let left = left.saturating_sub(now.len() as u32);
                    self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                }
                _ => {
                    let Some((byte, later)) = rest.split_first() else { break };
                    rest = later;
                    self.head_len = self.head_len.saturating_add(1);
                    if self.head_len > LONGEST_HEAD {
                        return Err(self.broken(Reason::TooMuch));
                    }
                    if *byte == b'\n' {
                        self.end_of_line().map_err(|reason| self.broken(reason))?;
                        self.line_len = 0;
                    } else {
                        if let Some(room) = self.line.get_mut(self.line_len) {
                            *room = *byte;
                        }
                        self.line_len = self.line_len.saturating_add(1);
                    }
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// The connection is gone. `true` if that was the end of the answer.
    ///
    /// # Errors
    /// If the answer was not whole.
    pub fn closed(&mut self) -> Result<bool, Reason> {
        match self.stage {
            Stage::Idle | Stage::Done => Ok(false),
            // Of a part it is known how long it has to be.
            Stage::Body(None) if self.part.is_none() => {
                self.stage = Stage::Done;
                Ok(true)
            }
            _ => Err(self.broken(Reason::Cut)),
        }
    }

    fn broken(&mut self, reason: Reason) -> Reason {
        self.stage = Stage::Idle;
        reason
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let end = self.len.saturating_add(bytes.len());
        let most = self.part.map_or(self.buffer.len(), |(_, len)| len as usize);
        let room = self.buffer.get_mut(self.len..end).filter(|_| end <= most);
        let Some(room) = room else { return Err(self.broken(Reason::TooMuch)) };
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), Reason> {
        let whole = self.line_len <= LINE;
        let line = self.line.get(..self.line_len.min(LINE)).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.stage {
            Stage::Status => {
                self.head.status = status(line).ok_or(Reason::NotHttp)?;
                self.stage = Stage::Fields;
            }
            Stage::Fields if line.is_empty() => self.begin_body()?,
            Stage::Fields => field(&mut self.head, line, whole)?,
            Stage::ChunkSize => {
                let digits = line.split(|byte| matches!(byte, b';' | b' ')).next();
                let digits = digits.and_then(|digits| core::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| !digits.starts_with('+'));
                let size = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let size = size.ok_or(Reason::NotHttp)?;
                self.stage = if size == 0 { Stage::Trailer } else { Stage::Chunk(size) };
            }
            Stage::ChunkEnd if line.is_empty() => self.stage = Stage::ChunkSize,
            Stage::ChunkEnd => return Err(Reason::NotHttp),
            Stage::Trailer if line.is_empty() => self.stage = Stage::Done,
            _ => {}
        }
        Ok(())
    }

    fn begin_body(&mut self) -> Result<(), Reason> {
        let Head { status, length, chunked, .. } = self.head;
        if (100..200).contains(&status) {
            // Only a foretaste: the answer comes after it.
            (self.head, self.stage) = (Head::default(), Stage::Status);
            return Ok(());
        }
        if chunked && length.is_some() {
            return Err(Reason::NotHttp);
        }
        if let Some((from, len)) = self.part {
            // Whoever sends the whole file is stopped here, and not by what it sends.
            self.head.is_part(from, len)?;
        }
        let most = self.part.map_or(self.buffer.len(), |(_, len)| len as usize);
        if length.is_some_and(|length| length as usize > most) {
            return Err(Reason::TooMuch);
        }
        self.stage = match (status, chunked, length) {
            (204 | 304, ..) | (_, false, Some(0)) => Stage::Done,
            (_, true, _) => Stage::ChunkSize,
            (_, false, length) => Stage::Body(length),
        };
        Ok(())
    }
}

/// The status of `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    let status = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (minor.is_ascii_digit() && (100..600).contains(&status)).then_some(status)
}

fn field(head: &mut Head, line: &[u8], whole: bool) -> Result<(), Reason> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Reason::NotHttp)?;
    let (name, value) = line.split_at_checked(colon).ok_or(Reason::NotHttp)?;
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let known =
        ["content-length", "content-range", "transfer-encoding", "connection", "retry-after"];
    if !known.into_iter().any(is) {
        return Ok(());
    }
    let value = core::str::from_utf8(value).ok().filter(|_| whole).ok_or(Reason::NotHttp)?;
    if is("content-length") {
        let length = number(value).ok_or(Reason::NotHttp)?;
        if head.length.replace(length).is_some_and(|before| before != length) {
            return Err(Reason::NotHttp);
        }
    } else if is("content-range") {
        let range = range(value).ok_or(Reason::WrongRange)?;
        if head.range.replace(range).is_some() {
            return Err(Reason::WrongRange);
        }
    } else if is("transfer-encoding") {
        // Nothing else was said to be understood.
        if !value.eq_ignore_ascii_case("chunked") {
            return Err(Reason::NotHttp);
        }
        head.chunked = true;
    } else if is("connection") {
        let mut words = value.split(',').map(str::trim);
        head.closes |= words.any(|word| word.eq_ignore_ascii_case("close"));
    } else {
        head.retry_after = number(value);
    }
    Ok(())
}

fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// First, last and total of `bytes 0-4095/21175`; the total may be `*`.
fn range(value: &str) -> Option<(u32, u32, Option<u32>)> {
    let (unit, rest) = value.split_once(' ')?;
    let (part, total) = rest.trim().split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    (unit.eq_ignore_ascii_case("bytes") && first <= last).then_some((first, last, total))
}
