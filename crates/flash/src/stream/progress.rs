//! How far a stream has come, kept across resets.
//!
//! ```text
//!  0  version 1      8  written u32        48  CRC-32C of 0 … 48
//!  1  area id       12  CRC-32C of the written bytes
//!  2  0, 0          16  tag, 32 bytes: what is being streamed
//!  4  start u32
//! ```
//! Little-endian. Zephyr keeps the bare count. That applies itself to another file under the same
//! key, and to a range that somebody else has written since; here the record names the file and
//! the place, and what stands in flash has to be what the record was made of.

use core::fmt;

use crate::crc::Crc;
use crate::{FlashMap, Kind, Stream, StreamError, readable};

/// Where a stream's progress is kept: settings, a file, an area of its own.
pub trait ProgressStore {
    /// Why the store failed.
    type Error;

    /// Fills `record` with what is stored under `key`, as far as it goes, and tells how long that
    /// is; `None` if nothing is stored.
    fn load(&mut self, key: &str, record: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Stores `record` under `key`. One that a power cut tears is noticed.
    fn save(&mut self, key: &str, record: &[u8]) -> Result<(), Self::Error>;

    /// Forgets what is stored under `key`, if anything is.
    fn clear(&mut self, key: &str) -> Result<(), Self::Error>;
}

impl<S: ProgressStore> ProgressStore for &mut S {
    type Error = S::Error;

    fn load(&mut self, key: &str, record: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        (**self).load(key, record)
    }

    fn save(&mut self, key: &str, record: &[u8]) -> Result<(), Self::Error> {
        (**self).save(key, record)
    }

    fn clear(&mut self, key: &str) -> Result<(), Self::Error> {
        (**self).clear(key)
    }
}

/// Why progress could not be saved or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressError<E, S> {
    /// The stream is not one that could be gone on with, or its flash failed.
    Stream(StreamError<E>),
    /// The store failed.
    Store(S),
}

impl<E, S> From<StreamError<E>> for ProgressError<E, S> {
    fn from(error: StreamError<E>) -> Self {
        Self::Stream(error)
    }
}

impl<E: fmt::Display, S: fmt::Display> fmt::Display for ProgressError<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the store of the progress failed: {error}"),
        }
    }
}

impl<E, S> core::error::Error for ProgressError<E, S>
where
    Self: fmt::Debug,
    E: fmt::Display,
    S: fmt::Display,
{
}

/// What is being streamed: a SHA-256 of it, or another name that no other content has.
pub type StreamTag = [u8; 32];

const SIZE: usize = 52;
const VERSION: u8 = 1;

/// A decoded record.
struct Record {
    area: u8,
    start: u32,
    written: u32,
    data: u32,
    tag: StreamTag,
}

impl Record {
    fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let [start, written, data] = [self.start, self.written, self.data].map(u32::to_le_bytes);
        let head = [VERSION, self.area, 0, 0];
        let fields = head.iter().chain(&start).chain(&written).chain(&data).chain(&self.tag);
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = *from;
        }
        if let Some((record, crc)) = bytes.split_last_chunk_mut::<4>() {
            *crc = Crc::of(record).to_le_bytes();
        }
        bytes
    }

    /// `None` for what is no record, or one that was torn.
    fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let (record, crc) = bytes.split_last_chunk::<4>()?;
        if Crc::of(record) != u32::from_le_bytes(*crc) {
            return None;
        }
        let [version, area, 0, 0, rest @ ..] = record else { return None };
        let (start, rest) = rest.split_first_chunk()?;
        let (written, rest) = rest.split_first_chunk()?;
        let (data, rest) = rest.split_first_chunk()?;
        (*version == VERSION).then_some(Self {
            area: *area,
            start: u32::from_le_bytes(*start),
            written: u32::from_le_bytes(*written),
            data: u32::from_le_bytes(*data),
            tag: *rest.first_chunk()?,
        })
    }
}

impl<const N: usize> Stream<N> {
    /// Stores under `key` how far the stream has come in `tag`. What is buffered does not count.
    ///
    /// What was written since the last time is read back for it. A stream that was finished with a
    /// padded block could not be gone on with: [`StreamError::Finished`].
    pub fn save_progress<M: FlashMap, S: ProgressStore>(
        &mut self,
        map: &mut M,
        store: &mut S,
        key: &str,
        tag: &StreamTag,
    ) -> Result<(), ProgressError<M::Error, S::Error>> {
        self.is_open()?;
        self.sum = self.summed(map, self.sum, self.written).map_err(StreamError::Flash)?;
        let record = Record {
            area: self.area.0,
            start: self.start,
            written: self.written,
            data: self.sum.crc.finish(),
            tag: *tag,
        };
        store.save(key, &record.encode()).map_err(ProgressError::Store)
    }

    /// Goes on where the progress stored under `key` had come to in `tag`, and returns
    /// [`Stream::written`]: where the source has to go on.
    ///
    /// A record is ignored if there is none, if it is torn, of another tag or place, behind what
    /// this stream has written already, or if the flash does not hold the bytes that it tells of.
    /// If more of its last sector was written than it knows of, or may have been on a device whose
    /// cells take only so many writes, the stream goes back to where that sector begins: nothing is
    /// written twice without an erase, and nothing that counts is erased.
    pub fn load_progress<M: FlashMap, S: ProgressStore>(
        &mut self,
        map: &mut M,
        store: &mut S,
        key: &str,
        tag: &StreamTag,
    ) -> Result<u32, ProgressError<M::Error, S::Error>> {
        self.is_open()?;
        let mut record = [0; SIZE];
        let stored = store.load(key, &mut record).map_err(ProgressError::Store)?;
        let record = Record::decode(&record).filter(|record| {
            stored == Some(SIZE)
                && (record.area, record.start, record.tag) == (self.area.0, self.start, *tag)
                && record.written > self.written
                && self.filled == 0
        });
        if let Some(record) = record {
            self.go_on(map, &record).map_err(StreamError::Flash)?;
        }
        Ok(self.written)
    }

    fn go_on<M: FlashMap>(&mut self, map: &mut M, record: &Record) -> Result<(), M::Error> {
        let Some(info) = map.info(self.area) else { return Ok(()) };
        let written = record.written;
        if written > self.limit || !written.is_multiple_of(info.write_size.max(1)) {
            return Ok(());
        }
        let end = self.start.saturating_add(written);
        let Some(last) = map.sector_at(self.area, end.saturating_sub(1)) else { return Ok(()) };
        let begin = last.offset.saturating_sub(self.start);
        let Some(before) = self.intact(map, Sum::NONE, begin)? else { return Ok(()) };
        let Some(sum) = self.intact(map, before, written)? else { return Ok(()) };
        if sum.crc.finish() != record.data {
            return Ok(());
        }
        // What may not be written twice may have been written with what reads as erased.
        let clean = match info.kind {
            Kind::SelfErasingRows => true,
            _ if end == last.end() => true,
            Kind::Nor => is_blank(map, self.area, end, last.end().saturating_sub(end))?,
            Kind::NorLimited { .. } | Kind::EccWords => false,
        };
        (self.written, self.sum) = if clean { (written, sum) } else { (begin, before) };
        let erased = if clean { last.end().saturating_sub(self.start) } else { begin };
        self.erased_to = self.erased_to.max(erased);
        Ok(())
    }

    /// The sum gone on with to `end`; `None` if cells cannot be read.
    fn intact<M: FlashMap>(
        &self,
        map: &mut M,
        sum: Sum,
        end: u32,
    ) -> Result<Option<Sum>, M::Error> {
        let mut after = sum;
        let read = self.summed(map, sum, end).map(|sum| after = sum);
        Ok(readable(read)?.then_some(after))
    }

    /// The sum of the written bytes gone on with to `end`, both from the start of the stream.
    fn summed<M: FlashMap>(&self, map: &mut M, mut sum: Sum, end: u32) -> Result<Sum, M::Error> {
        let mut piece = [0; 64];
        while sum.to < end {
            let len = (end - sum.to).min(piece.len() as u32);
            let piece = piece.get_mut(..len as usize).unwrap_or_default();
            map.read(self.area, self.start.saturating_add(sum.to), piece)?;
            sum.crc.update(piece);
            sum.to += len;
        }
        Ok(sum)
    }
}

/// A CRC over the first `to` bytes of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    crc: Crc,
    to: u32,
}

impl Sum {
    pub(super) const NONE: Self = Self { crc: Crc::new(), to: 0 };
}

/// Whether `len` bytes of `area` from `offset` on read as erased. Cells that cannot be read do not;
/// a missing area is refused by the access.
pub fn is_blank<M: FlashMap>(
    map: &mut M,
    area: crate::AreaId,
    offset: u32,
    len: u32,
) -> Result<bool, M::Error> {
    let erased = map.info(area).map_or(0xff, |info| info.erased);
    let mut piece = [0; 128];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(piece.len() as u32);
        let piece = piece.get_mut(..n as usize).unwrap_or_default();
        let readable = readable(map.read(area, offset.saturating_add(at), piece))?;
        if !readable || piece.iter().any(|byte| *byte != erased) {
            return Ok(false);
        }
        at += n;
    }
    Ok(true)
}
