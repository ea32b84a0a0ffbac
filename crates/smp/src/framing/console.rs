//! Messages as lines of text, on a line that may carry other text as well.
//!
//! ```text
//! packet         length (16 bits, big-endian)   message   CRC-16/XMODEM of the message
//!                                               └─── counted by the length ───┘
//! first line     06 09   base64 of the packet's beginning   0A
//! further lines  04 14   base64 of what follows             0A
//! ```
//! A sender fills lines of 127 bytes: 93 bytes of the packet. A receiver takes lines of any length,
//! each base64 of its own, and finds a marker also in the middle of a line, where a log's tail may
//! stand before it. What does not decode is dropped without a word: the client asks again.

use core::ops::Deref;
use core::time::Duration;

use super::base64::{self, Quad};
use super::{Framing, Received, TooLong, crc16};

const FIRST: [u8; 2] = [0x06, 0x09];
const CONTINUED: [u8; 2] = [0x04, 0x14];
const NEWLINE: u8 = b'\n';

/// A line on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Line {
    /// Bytes of the longest line, marker and newline included.
    pub const MAX: usize = 127;
    /// Bytes of the packet that fill a line.
    pub const PAYLOAD: usize = (Self::MAX - FIRST.len() - 1) / 4 * 3;

    fn marked(marker: [u8; 2]) -> Self {
        let mut line = Self { bytes: [0; Self::MAX], len: 0 };
        line.put(&marker);
        line
    }

    fn put(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(bytes) {
            *to = *from;
        }
        self.len += bytes.len();
    }
}

impl Deref for Line {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The lines of one message.
#[derive(Clone, Debug)]
pub struct Encoder<'m> {
    message: &'m [u8],
    length: [u8; 2],
    crc: [u8; 2],
    /// Bytes of the packet that have been sent.
    at: usize,
}

impl<'m> Encoder<'m> {
    /// The lines of `message`, which the packet's length bounds to 65533 bytes.
    pub fn new(message: &'m [u8]) -> Result<Self, TooLong> {
        let length = message.len().checked_add(2).and_then(|len| u16::try_from(len).ok());
        let length = length.ok_or(TooLong { len: message.len() })?.to_be_bytes();
        Ok(Self { message, length, crc: crc16(0, message).to_be_bytes(), at: 0 })
    }

    /// The next byte of the packet.
    fn byte(&mut self) -> Option<u8> {
        let behind_length = self.at.checked_sub(self.length.len());
        let byte = match behind_length {
            None => self.length.get(self.at),
            Some(at) => match at.checked_sub(self.message.len()) {
                None => self.message.get(at),
                Some(at) => self.crc.get(at),
            },
        };
        self.at += usize::from(byte.is_some());
        byte.copied()
    }
}

impl Iterator for Encoder<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let mut line = Line::marked(if self.at == 0 { FIRST } else { CONTINUED });
        for _ in 0..Line::PAYLOAD / 3 {
            let (mut bytes, mut len) = ([0; 3], 0);
            for (place, byte) in bytes.iter_mut().zip(core::iter::from_fn(|| self.byte())) {
                *place = byte;
                len += 1;
            }
            match bytes.get(..len) {
                Some(bytes) if !bytes.is_empty() => line.put(&base64::encode(bytes)),
                _ => break,
            }
        }
        if line.len == CONTINUED.len() {
            return None;
        }
        line.put(&[NEWLINE]);
        Some(line)
    }
}

/// The packet that is coming in.
#[derive(Clone, Debug)]
struct Packet<const N: usize> {
    message: [u8; N],
    /// What its length field says.
    length: u16,
    /// Bytes taken, those of the length included; `None` if there is no packet to be continued.
    taken: Option<usize>,
    crc: u16,
}

enum Progress {
    More,
    Complete,
    Broken,
}

impl<const N: usize> Packet<N> {
    fn begin(&mut self) {
        (self.length, self.taken, self.crc) = (0, Some(0), 0);
    }

    fn message_len(&self) -> usize {
        usize::from(self.length).saturating_sub(2)
    }

    fn push(&mut self, byte: u8) -> Progress {
        let Some(taken) = self.taken else { return Progress::Broken };
        self.taken = Some(taken + 1);
        let Some(at) = taken.checked_sub(2) else {
            self.length = self.length << 8 | u16::from(byte);
            let fits = (1..=N).contains(&self.message_len());
            return if taken == 0 || fits { Progress::More } else { Progress::Broken };
        };
        if at < self.message_len()
            && let Some(place) = self.message.get_mut(at)
        {
            *place = byte;
        }
        self.crc = crc16(self.crc, &[byte]);
        match (at + 1).cmp(&self.length.into()) {
            core::cmp::Ordering::Less => Progress::More,
            core::cmp::Ordering::Equal if self.crc == 0 => Progress::Complete,
            _ => Progress::Broken,
        }
    }
}

/// What the line holds at the place that has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// Text that belongs to no message.
    Text,
    /// Base64 of a packet.
    Frame,
    /// The rest of a line that is of no use.
    Remainder,
}

/// A receiver of lines.
///
/// The bytes 04 and 06 may begin a marker, so that as text they appear together with the byte
/// behind them.
#[derive(Clone, Debug)]
pub struct Console<const N: usize> {
    packet: Packet<N>,
    within: Within,
    quad: Quad,
    /// The first byte of what may become a marker.
    held: Option<u8>,
    text: [u8; 2],
}

impl<const N: usize> Default for Console<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Console<N> {
    /// A receiver at the beginning of a line.
    pub const fn new() -> Self {
        Self {
            packet: Packet { message: [0; N], length: 0, taken: None, crc: 0 },
            within: Within::Text,
            quad: Quad::new(),
            held: None,
            text: [0; 2],
        }
    }

    /// Takes a marker, if it is one. It also ends the line before, should the newline be lost.
    fn marker(&mut self, marker: [u8; 2]) -> bool {
        if marker != FIRST && marker != CONTINUED {
            return false;
        }
        self.end_line();
        if marker == FIRST {
            self.packet.begin();
        }
        self.within = match self.packet.taken {
            Some(_) => Within::Frame,
            None => Within::Remainder,
        };
        true
    }

    /// Each line is base64 of its own: a packet whose line ends within a byte cannot go on.
    fn end_line(&mut self) {
        if !self.quad.is_empty() {
            self.packet.taken = None;
            self.quad = Quad::new();
        }
        self.within = Within::Text;
    }

    /// Gives the packet up, and the rest of the line with it.
    fn give_up(&mut self) {
        self.packet.taken = None;
        self.quad = Quad::new();
        self.within = Within::Remainder;
    }

    /// A byte of a packet's line; `true` if it completed the packet.
    fn frame(&mut self, byte: u8) -> bool {
        match byte {
            NEWLINE => {
                self.end_line();
                return false;
            }
            b'\r' => return false,
            _ => {}
        }
        let bytes = match self.quad.push(byte) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return false,
            Err(base64::Undecodable) => {
                self.give_up();
                return false;
            }
        };
        let mut bytes = bytes.as_slice().iter();
        while let Some(byte) = bytes.next() {
            match self.packet.push(*byte) {
                Progress::More => {}
                progress => {
                    self.give_up();
                    return matches!(progress, Progress::Complete) && bytes.len() == 0;
                }
            }
        }
        false
    }
}

impl<const N: usize> Framing for Console<N> {
    fn receive(&mut self, byte: u8, _: Duration) -> Option<Received<'_>> {
        let held = self.held.take();
        if let Some(first) = held {
            if self.marker([first, byte]) {
                return None;
            }
            if self.within == Within::Frame {
                self.give_up();
            }
        }
        if byte == FIRST[0] || byte == CONTINUED[0] {
            self.held = Some(byte);
            let first = held.filter(|_| self.within == Within::Text)?;
            self.text[0] = first;
            return self.text.get(..1).map(Received::Text);
        }
        match (self.within, held) {
            (Within::Text, Some(first)) => {
                self.text = [first, byte];
                Some(Received::Text(&self.text))
            }
            (Within::Text, None) => {
                self.text[0] = byte;
                self.text.get(..1).map(Received::Text)
            }
            (Within::Frame, _) => {
                let complete = self.frame(byte);
                let message = self.packet.message.get(..self.packet.message_len());
                message.filter(|_| complete).map(Received::Message)
            }
            (Within::Remainder, _) => {
                if byte == NEWLINE {
                    self.within = Within::Text;
                }
                None
            }
        }
    }

    fn send(message: &[u8], mut write: impl FnMut(&[u8])) -> Result<(), TooLong> {
        Encoder::new(message)?.for_each(|line| write(&line));
        Ok(())
    }
}
