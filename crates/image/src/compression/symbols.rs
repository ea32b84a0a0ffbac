//! The entropy coding of LZMA: a binary range decoder and its adaptive probabilities.
//!
//! Everything that is decoded is a sequence of bits, each with its own probability of being 0
//! (11 bits, 1024 in the beginning). One flat array holds them all:
//!
//! ```text
//!     0  is_match       12 states × 16 positions
//!   192  is_rep         12 states
//!   204  is_rep_g0      12 states
//!   216  is_rep_g1      12 states
//!   228  is_rep_g2      12 states
//!   240  is_rep0_long   12 states × 16 positions
//!   432  slot           4 lengths × 64
//!   688  middle         114: the lower bits of distances in slots 4 to 13
//!   802  align          16: the lowest 4 bits of longer distances
//!   818  length         514 of matches
//!  1332  length         514 of repeated matches
//!  1846  literal        768 << (lc + lp), at most 12288
//! ```
//! Source: LZMA specification by Igor Pavlov (LZMA SDK, `lzma-specification.txt`).

/// Bytes that are read ahead at most.
const READ_AHEAD: usize = 128;
/// No symbol takes more bytes than this, nor does the header of a chunk.
pub(super) const LONGEST_SYMBOL: usize = 24;

const POSITIONS: usize = 16;
const IS_MATCH: usize = 0;
const IS_REP: usize = 192;
const IS_REP_G0: usize = 204;
const IS_REP_G1: usize = 216;
const IS_REP_G2: usize = 228;
const IS_REP0_LONG: usize = 240;
const SLOT: usize = 432;
const MIDDLE: usize = 688;
const ALIGN: usize = 802;
const MATCH_LENGTH: usize = 818;
const REP_LENGTH: usize = 1332;
const LITERAL: usize = 1846;
const LITERAL_SIZE: usize = 0x300;
/// With `lc + lp` at its maximum of 4.
const PROBABILITIES: usize = LITERAL + (LITERAL_SIZE << 4);

const INITIAL: u16 = 1024;
const TOP: u32 = 1 << 24;
const SHORTEST_MATCH: u32 = 2;

/// Compressed bytes that were read ahead. Taking more than there are gives zeros; the position
/// tells afterwards.
pub(super) struct Input {
    buf: [u8; READ_AHEAD],
    at: usize,
    len: usize,
    /// Offset in the source of what follows the buffer.
    next: u32,
    end: u32,
}

impl Input {
    /// An input that is empty.
    const fn new() -> Self {
        Self { buf: [0; READ_AHEAD], at: 0, len: 0, next: 0, end: 0 }
    }

    /// Begins with the bytes from `start` to `end` of a source.
    pub fn begin(&mut self, start: u32, end: u32) {
        (self.at, self.len, self.next, self.end) = (0, 0, start, end);
    }

    /// Makes sure that a symbol can be taken, or everything that is left. `read` fills a slice
    /// from an offset of the source.
    pub fn fill<E>(&mut self, read: impl FnOnce(u32, &mut [u8]) -> Result<(), E>) -> Result<(), E> {
        let unread = self.len.saturating_sub(self.at);
        if unread >= LONGEST_SYMBOL || self.next >= self.end || self.at > self.len {
            return Ok(());
        }
        // Less than a symbol: moved by way of a copy, as chips have no other use for `memmove`.
        let mut kept = [0; LONGEST_SYMBOL];
        let kept = kept.get_mut(..unread).unwrap_or_default();
        kept.copy_from_slice(self.buf.get(self.at..self.len).unwrap_or_default());
        if let Some(first) = self.buf.get_mut(..unread) {
            first.copy_from_slice(kept);
        }
        (self.at, self.len) = (0, unread);
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let n = left.min(READ_AHEAD - unread);
        if let Some(free) = self.buf.get_mut(unread..unread + n) {
            read(self.next, free)?;
        }
        self.len += n;
        self.next += n as u32;
        Ok(())
    }

    /// Offset in the source of the next byte; past the end if too many were taken.
    pub fn position(&self) -> u32 {
        // No more than a symbol is taken between two looks at the position.
        self.next.wrapping_sub(self.len as u32).wrapping_add(self.at as u32)
    }

    /// Offset in the source of the end.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The next byte.
    pub fn take(&mut self) -> u8 {
        let byte = match self.buf.get(..self.len).and_then(|buf| buf.get(self.at)) {
            Some(byte) => *byte,
            None => 0,
        };
        self.at += 1;
        byte
    }

    /// As many of the bytes that were read ahead as fit into `out`.
    pub fn take_some(&mut self, out: &mut [u8]) -> usize {
        let unread = self.buf.get(self.at..self.len).unwrap_or_default();
        let n = unread.len().min(out.len());
        for (to, from) in out.iter_mut().zip(unread) {
            *to = *from;
        }
        self.at += n;
        n
    }
}

/// What literals and positions depend on.
#[derive(Clone, Copy)]
struct Properties {
    literal_context_bits: u32,
    literal_position_mask: u32,
    position_mask: u32,
}

/// Decodes literals and matches.
pub(super) struct Symbols {
    pub input: Input,
    probabilities: [u16; PROBABILITIES],
    range: u32,
    code: u32,
    /// What the last symbols were: 0 to 6 after a literal, 7 to 11 after a match.
    state: usize,
    /// The last four distances, less one.
    distances: [u32; 4],
    properties: Properties,
}

impl Symbols {
    /// All zeros; a stream begins with [`Symbols::reset`].
    pub const fn new() -> Self {
        let properties =
            Properties { literal_context_bits: 0, literal_position_mask: 0, position_mask: 0 };
        Self {
            input: Input::new(),
            probabilities: [0; PROBABILITIES],
            range: 0,
            code: 0,
            state: 0,
            distances: [0; 4],
            properties,
        }
    }

    /// Forgets everything learnt, as at the beginning of a stream.
    pub fn reset(&mut self) {
        self.probabilities.fill(INITIAL);
        self.state = 0;
        self.distances = [0; 4];
    }

    /// Takes over `(pb × 5 + lp) × 9 + lc`; `false` if LZMA2 does not allow them.
    pub fn set_properties(&mut self, byte: u8) -> bool {
        let Some((lc, lp, pb)) = properties(byte) else {
            return false;
        };
        self.properties = Properties {
            literal_context_bits: lc,
            literal_position_mask: (1 << lp) - 1,
            position_mask: (1 << pb) - 1,
        };
        true
    }

    /// Begins a range-coded run; `false` if it does not begin as every one does.
    pub fn begin_run(&mut self) -> bool {
        let first = self.input.take();
        self.range = u32::MAX;
        self.code = 0;
        for _ in 0..4 {
            self.code = self.code << 8 | u32::from(self.input.take());
        }
        first == 0
    }

    /// Ends a range-coded run; `false` if it cannot end here.
    pub fn end_run(&mut self) -> bool {
        self.normalize();
        self.code == 0
    }

    /// The distance of the last match, less one.
    pub fn distance(&self) -> u32 {
        self.distances[0]
    }

    /// Whether the next literal is coded with the byte that the last match would have gone on with.
    pub fn literal_follows_match(&self) -> bool {
        self.state >= 7
    }

    /// Whether a literal is next at `position`, counted from the last reset of the dictionary.
    pub fn is_literal(&mut self, position: u32) -> bool {
        let position = (position & self.properties.position_mask) as usize;
        !self.bit(IS_MATCH + self.state * POSITIONS + position)
    }

    /// A literal behind the byte `before`. `matched` is the byte that the last match would have
    /// gone on with, if one came last.
    pub fn literal(&mut self, position: u32, before: u8, matched: Option<u8>) -> u8 {
        let Properties { literal_context_bits: lc, literal_position_mask: mask, .. } =
            self.properties;
        let context = ((position & mask) << lc) + (u32::from(before) >> (8 - lc));
        let base = LITERAL + LITERAL_SIZE * context as usize;
        let mut symbol = 1;
        if let Some(matched) = matched {
            // As long as the bits agree with the matched byte's, it tells which probability to use.
            let (mut matched, mut agrees) = (usize::from(matched), 0x100);
            while symbol < 0x100 {
                matched <<= 1;
                let expected = matched & agrees;
                let bit = self.bit(base + agrees + expected + symbol);
                symbol = symbol << 1 | usize::from(bit);
                agrees &= if bit { expected } else { !expected };
            }
        } else {
            while symbol < 0x100 {
                symbol = symbol << 1 | usize::from(self.bit(base + symbol));
            }
        }
        self.state = match self.state {
            0..=3 => 0,
            4..=9 => self.state - 3,
            _ => self.state - 6,
        };
        // `symbol` is 0x100 and the byte.
        symbol as u8
    }

    /// A match: its length in bytes. Its distance is [`Symbols::distance`] from now on.
    pub fn match_length(&mut self, position: u32) -> u32 {
        let position = (position & self.properties.position_mask) as usize;
        let after_literal = self.state < 7;
        if !self.bit(IS_REP + self.state) {
            let length = self.length(MATCH_LENGTH, position);
            self.state = if after_literal { 7 } else { 10 };
            let distance = self.new_distance(length);
            let [first, second, third, _] = self.distances;
            self.distances = [distance, first, second, third];
            return length;
        }
        if !self.bit(IS_REP_G0 + self.state) {
            if !self.bit(IS_REP0_LONG + self.state * POSITIONS + position) {
                self.state = if after_literal { 9 } else { 11 };
                return 1;
            }
        } else {
            let [a, b, c, d] = self.distances;
            self.distances = if !self.bit(IS_REP_G1 + self.state) {
                [b, a, c, d]
            } else if !self.bit(IS_REP_G2 + self.state) {
                [c, a, b, d]
            } else {
                [d, a, b, c]
            };
        }
        let length = self.length(REP_LENGTH, position);
        self.state = if after_literal { 8 } else { 11 };
        length
    }

    fn length(&mut self, base: usize, position: usize) -> u32 {
        let (low, middle, high) = (base + 2, base + 2 + 128, base + 2 + 256);
        SHORTEST_MATCH
            + if !self.bit(base) {
                self.tree(low + position * 8, 3)
            } else if !self.bit(base + 1) {
                8 + self.tree(middle + position * 8, 3)
            } else {
                16 + self.tree(high, 8)
            }
    }

    fn new_distance(&mut self, length: u32) -> u32 {
        let lengths = (length - SHORTEST_MATCH).min(3) as usize;
        let slot = self.tree(SLOT + lengths * 64, 6);
        if slot < 4 {
            return slot;
        }
        // The slot gives the two highest bits and how many follow.
        let bits = (slot >> 1) - 1;
        let high = (2 | (slot & 1)) << bits;
        if slot < 14 {
            return high + self.reverse_tree(MIDDLE + (high - slot) as usize, bits);
        }
        let middle = self.even_bits(bits - 4) << 4;
        // A tree's first probability is unused, these have it in front.
        high + middle + self.reverse_tree(ALIGN + 1, 4)
    }

    /// A number of `bits` bits, highest first.
    fn tree(&mut self, base: usize, bits: u32) -> u32 {
        let mut node = 1;
        for _ in 0..bits {
            node = node << 1 | usize::from(self.bit(base + node));
        }
        node as u32 - (1 << bits)
    }

    /// A number of `bits` bits, lowest first, whose first node's probability is at `base`.
    fn reverse_tree(&mut self, base: usize, bits: u32) -> u32 {
        let (mut node, mut number) = (1, 0);
        for at in 0..bits {
            let bit = self.bit(base + node - 1);
            node = node << 1 | usize::from(bit);
            number |= u32::from(bit) << at;
        }
        number
    }

    /// A number of `bits` bits, highest first, that are as often 0 as 1.
    fn even_bits(&mut self, bits: u32) -> u32 {
        let mut number = 0;
        for _ in 0..bits {
            self.normalize();
            self.range >>= 1;
            let bit = self.code >= self.range;
            if bit {
                self.code -= self.range;
            }
            number = number << 1 | u32::from(bit);
        }
        number
    }

    fn bit(&mut self, at: usize) -> bool {
        self.normalize();
        let Some(probability) = self.probabilities.get_mut(at) else {
            return false;
        };
        // Probabilities stay between 31 and 2017, so that the bound is never 0 nor the range.
        let bound = (self.range >> 11) * u32::from(*probability);
        if self.code < bound {
            self.range = bound;
            *probability += (2048 - *probability) >> 5;
            false
        } else {
            self.range -= bound;
            self.code -= bound;
            *probability -= *probability >> 5;
            true
        }
    }

    fn normalize(&mut self) {
        if self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(self.input.take());
        }
    }
}

/// `lc`, `lp` and `pb` of a properties byte, if LZMA2 allows them.
pub(super) fn properties(byte: u8) -> Option<(u32, u32, u32)> {
    let byte = u32::from(byte);
    let (lc, lp, pb) = (byte % 9, byte / 9 % 5, byte / 45);
    (pb <= 4 && lc + lp <= 4).then_some((lc, lp, pb))
}
