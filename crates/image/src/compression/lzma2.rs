//! LZMA2: chunks of LZMA, or of bytes as they are.
//!
//! ```text
//! 0x00                          end of the stream
//! 0x01 · size − 1 (2)           stored; the dictionary begins anew
//! 0x02 · size − 1 (2)           stored
//! 1rrs ssss · size − 1, lower 16 bits (2) · packed size − 1 (2) · [properties] · LZMA
//!           rr: 0 goes on, 1 resets the state, 2 and new properties, 3 and the dictionary
//! ```
//! Sizes are big-endian. The first chunk has to reset the dictionary, and the first one of LZMA to
//! bring properties. Source: the `.xz` file format's LZMA2 filter as liblzma 5.4 reads and writes
//! it.

use super::error::CompressionError;
use super::symbols::Symbols;
use super::thumb;
use super::window::{Past, Window};

/// What the decoder needs to remember: about 28 KiB, nearly all of them probabilities.
///
/// It is made once, for example in a `static`, and serves one image after the other.
pub struct Decoder {
    symbols: Symbols,
    chunk: Chunk,
    /// Bytes that the chunk still has to give.
    unpacked: u32,
    /// Offset in the source of the end of an LZMA chunk.
    packed_end: u32,
    /// Bytes of the last match that are still to be copied.
    copy: u32,
    /// Bytes decoded.
    produced: u32,
    /// What was decoded before the last reset of the dictionary.
    forgotten: u32,
    dictionary: u32,
    /// The last byte decoded since then.
    before: u8,
    needs_dictionary: bool,
    needs_properties: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chunk {
    End,
    Stored,
    Lzma,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decoder").field("produced", &self.produced).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Bytes of RAM that a decoder takes.
    pub const RAM: usize = size_of::<Self>();

    /// The ring that is large enough for every image of imgtool: its dictionary of 128 KiB, and
    /// what is looked at before a match to tell calls.
    pub const RING: usize = (128 << 10) + thumb::BEHIND;

    /// A decoder that has not begun. It is all zeros, so that a `static` takes no flash.
    pub const fn new() -> Self {
        Self {
            symbols: Symbols::new(),
            chunk: Chunk::End,
            unpacked: 0,
            packed_end: 0,
            copy: 0,
            produced: 0,
            forgotten: 0,
            dictionary: 0,
            before: 0,
            needs_dictionary: false,
            needs_properties: false,
        }
    }

    /// Begins with the stream from `start` to `end` of the source. Matches reach back
    /// `dictionary` bytes at most.
    pub(super) fn begin(&mut self, start: u32, end: u32, dictionary: u32) {
        self.symbols.input.begin(start, end);
        self.chunk = Chunk::Stored;
        (self.unpacked, self.copy) = (0, 0);
        (self.produced, self.forgotten, self.dictionary) = (0, 0, dictionary);
        (self.needs_dictionary, self.needs_properties) = (true, true);
    }

    /// How many bytes were decoded.
    pub(super) fn produced(&self) -> u32 {
        self.produced
    }

    /// Decodes until `buf` is full or the stream ends; returns how much of `buf` is filled. The
    /// first `filled` bytes of `buf` are the last that were decoded, and `past` ends before them.
    ///
    /// Each round takes from the input or adds to the output, so that the work is bounded by both.
    pub(super) fn decode<W: Window>(
        &mut self,
        past: &mut Past<'_, W>,
        buf: &mut [u8],
        filled: usize,
    ) -> Result<usize, CompressionError<W::Error>> {
        let mut at = filled;
        while at < buf.len() {
            if self.unpacked == 0 && !self.next_chunk(past.window)? {
                break;
            }
            let room = (buf.len() - at).min(usize::try_from(self.unpacked).unwrap_or(usize::MAX));
            let n = match self.chunk {
                Chunk::Lzma if self.copy > 0 => self.copy_match(past, buf, at, room)?,
                Chunk::Lzma => self.symbol(past, buf, at)?,
                Chunk::Stored | Chunk::End => {
                    let free = buf.get_mut(at..at + room).unwrap_or_default();
                    self.stored(past.window, free)?
                }
            };
            at += n;
            // A chunk gives no more than it has, and a stream less than 4 GiB.
            self.unpacked -= n as u32;
            self.produced = self.produced.checked_add(n as u32).ok_or_else(|| self.damaged())?;
        }
        Ok(at)
    }

    /// Whether the stream ends here, with the last byte of the input.
    pub(super) fn ends<W: Window>(
        &mut self,
        window: &mut W,
    ) -> Result<bool, CompressionError<W::Error>> {
        Ok(self.unpacked == 0 && !self.next_chunk(window)?)
    }

    /// The stream is not one, as can be seen from what was taken last.
    fn damaged<E>(&self) -> CompressionError<E> {
        let input = &self.symbols.input;
        CompressionError::Stream { offset: input.position().min(input.end()) }
    }

    /// Makes sure that the next symbol or header can be taken.
    fn fill<W: Window>(&mut self, window: &mut W) -> Result<(), CompressionError<W::Error>> {
        self.symbols
            .input
            .fill(|offset, buf| window.read(offset, buf))
            .map_err(CompressionError::Read)
    }

    /// Ends a chunk and begins the next; `false` if there is none.
    fn next_chunk<W: Window>(
        &mut self,
        window: &mut W,
    ) -> Result<bool, CompressionError<W::Error>> {
        if self.chunk == Chunk::End {
            return Ok(false);
        }
        self.fill(window)?;
        if self.chunk == Chunk::Lzma
            && (self.copy > 0
                || !self.symbols.end_run()
                || self.symbols.input.position() != self.packed_end)
        {
            return Err(self.damaged());
        }
        self.fill(window)?;
        let begun = self.begin_chunk().ok_or_else(|| self.damaged())?;
        let end = self.symbols.input.end();
        if self.symbols.input.position() > end || (!begun && self.symbols.input.position() != end) {
            return Err(self.damaged());
        }
        Ok(begun)
    }

    /// Reads the header of a chunk; `None` if it is none.
    fn begin_chunk(&mut self) -> Option<bool> {
        let control = self.symbols.input.take();
        if control == 0 {
            self.chunk = Chunk::End;
            return Some(false);
        }
        if control == 1 || control >= 0xe0 {
            self.needs_dictionary = false;
            self.needs_properties = true;
            self.forgotten = self.produced;
            self.before = 0;
        } else if self.needs_dictionary {
            return None;
        }
        let size = self.half_word() + 1;
        if control < 0x80 {
            self.chunk = Chunk::Stored;
            self.unpacked = size;
            return (control <= 2).then_some(true);
        }
        self.chunk = Chunk::Lzma;
        self.unpacked = (u32::from(control & 0x1f) << 16) + size;
        let packed = self.half_word() + 1;
        if control >= 0xc0 {
            let properties = self.symbols.input.take();
            self.needs_properties = !self.symbols.set_properties(properties);
        }
        if self.needs_properties {
            return None;
        }
        if control >= 0xa0 {
            self.symbols.reset();
        }
        self.packed_end = self.symbols.input.position().checked_add(packed)?;
        let fits = self.packed_end <= self.symbols.input.end();
        (fits && self.symbols.begin_run()).then_some(true)
    }

    /// Two bytes, the higher one first.
    fn half_word(&mut self) -> u32 {
        let high = u32::from(self.symbols.input.take());
        high << 8 | u32::from(self.symbols.input.take())
    }

    /// Stored bytes; returns how many.
    fn stored<W: Window>(
        &mut self,
        window: &mut W,
        free: &mut [u8],
    ) -> Result<usize, CompressionError<W::Error>> {
        self.fill(window)?;
        let n = self.symbols.input.take_some(free);
        match free.get(..n).and_then(<[u8]>::last) {
            Some(last) => self.before = *last,
            None => return Err(self.damaged()),
        }
        Ok(n)
    }

    /// A literal, or the beginning of a match. Returns how many bytes of `buf` that filled.
    fn symbol<W: Window>(
        &mut self,
        past: &mut Past<'_, W>,
        buf: &mut [u8],
        at: usize,
    ) -> Result<usize, CompressionError<W::Error>> {
        self.fill(past.window)?;
        let position = self.produced - self.forgotten;
        let n = if self.symbols.is_literal(position) {
            let matched = match self.symbols.literal_follows_match() {
                true => Some(self.matched(past, buf, at)?),
                false => None,
            };
            self.before = self.symbols.literal(position, self.before, matched);
            if let Some(byte) = buf.get_mut(at) {
                *byte = self.before;
            }
            1
        } else {
            self.copy = self.symbols.match_length(position);
            if self.symbols.distance() >= position.min(self.dictionary) {
                return Err(self.damaged());
            }
            0
        };
        if self.symbols.input.position() > self.packed_end {
            return Err(self.damaged());
        }
        Ok(n)
    }

    /// The byte that the last match would have gone on with.
    fn matched<W: Window>(
        &mut self,
        past: &mut Past<'_, W>,
        buf: &[u8],
        at: usize,
    ) -> Result<u8, CompressionError<W::Error>> {
        let distance = self.symbols.distance();
        let near = usize::try_from(distance).ok().and_then(|d| at.checked_sub(d)?.checked_sub(1));
        if let Some(byte) = near.and_then(|near| buf.get(near)) {
            return Ok(*byte);
        }
        let mut byte = [0];
        // The distance was checked against what was decoded when it was read.
        let from = self.produced.wrapping_sub(distance).wrapping_sub(1);
        past.copy(from, &mut byte).map_err(CompressionError::Read)?;
        Ok(byte[0])
    }

    /// Goes on with a match, `room` bytes at most; returns how many.
    fn copy_match<W: Window>(
        &mut self,
        past: &mut Past<'_, W>,
        buf: &mut [u8],
        at: usize,
        room: usize,
    ) -> Result<usize, CompressionError<W::Error>> {
        // Distances are below 4 GiB, being within what was decoded.
        let distance = self.symbols.distance() as usize + 1;
        let n = room.min(self.copy as usize);
        let n = if let Some(from) = at.checked_sub(distance) {
            for index in from..from + n {
                if let Some(byte) = buf.get(index).copied()
                    && let Some(to) = buf.get_mut(index + distance)
                {
                    *to = byte;
                }
            }
            n
        } else {
            let n = n.min(distance - at);
            let from = self.produced.wrapping_sub(distance as u32);
            let out = buf.get_mut(at..at + n).unwrap_or_default();
            past.copy(from, out).map_err(CompressionError::Read)?;
            n
        };
        if let Some(last) = buf.get(..at + n).and_then(<[u8]>::last) {
            self.before = *last;
        }
        self.copy -= n as u32;
        Ok(n)
    }
}
