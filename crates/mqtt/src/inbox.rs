//! Packets out of a stream of bytes.

use crate::{Malformed, frame_len};

/// What is in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'i> {
    /// A whole packet.
    Whole(&'i [u8]),
    /// A packet that is longer than the inbox: how it begins, and how long it is. The rest of it has
    /// been let go.
    TooLong {
        /// The beginning.
        head: &'i [u8],
        /// Bytes of the whole.
        len: usize,
    },
}

/// Collects the bytes of one packet at a time, in a buffer of a fixed size. What is longer is let go
/// of as it comes, so that no peer can make it take more memory or lose its place in the stream.
#[derive(Debug)]
pub struct Inbox<'b> {
    buffer: &'b mut [u8],
    /// Bytes of the packet that have come.
    come: usize,
    /// Bytes of the packet, once that is known.
    whole: Option<usize>,
}

impl<'b> Inbox<'b> {
    /// The least that an inbox needs: a fixed header and an acknowledgement.
    pub const LEAST: usize = 8;

    /// An empty inbox. A buffer of less than [`LEAST`](Self::LEAST) bytes takes no packet.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, come: 0, whole: None }
    }

    /// Bytes of the longest packet that is kept.
    pub fn room(&self) -> usize {
        self.buffer.len()
    }

    /// Its memory, for something to be sent before anything has come. What was in it is let go.
    pub(crate) fn lend(&mut self) -> &mut [u8] {
        self.clear();
        self.buffer
    }

    /// A part of what was written there.
    pub(crate) fn lent(&self, part: core::ops::Range<usize>) -> &[u8] {
        self.buffer.get(part).unwrap_or_default()
    }

    /// Takes bytes of the stream, but none behind the end of a packet. Returns how many it took; the
    /// others are to be offered again once that packet was let go.
    ///
    /// # Errors
    /// If they are no packet.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        // The length is in the first five bytes, which are looked at one by one.
        while self.whole.is_none() {
            let Some(byte) = bytes.get(taken..).and_then(<[u8]>::first) else { return Ok(taken) };
            self.keep(&[*byte]);
            taken += 1;
            let head = self.buffer.get(..self.come.min(self.buffer.len())).unwrap_or_default();
            self.whole = frame_len(head)?;
            if self.whole.is_none() && self.come > 4 {
                return Err(Malformed::Length);
            }
        }
        let missing = self.whole.unwrap_or(0).saturating_sub(self.come);
        let rest = bytes.get(taken..).unwrap_or_default();
        let rest = rest.get(..missing.min(rest.len())).unwrap_or_default();
        self.keep(rest);
        Ok(taken + rest.len())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.buffer.get_mut(self.come..).unwrap_or_default();
        let kept = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..kept), bytes.get(..kept)) {
            to.copy_from_slice(from);
        }
        self.come = self.come.saturating_add(bytes.len());
    }

    /// Whether a packet is there.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some_and(|whole| self.come >= whole)
    }

    /// The packet, once all of it has come.
    pub fn frame(&self) -> Option<Frame<'_>> {
        let len = self.whole.filter(|_| self.is_whole())?;
        Some(match self.buffer.get(..len) {
            Some(frame) => Frame::Whole(frame),
            None => Frame::TooLong { head: self.buffer, len },
        })
    }

    /// Lets the packet go; the next one may come.
    pub fn clear(&mut self) {
        self.come = 0;
        self.whole = None;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn packets(room: usize, stream: &[u8], pieces: usize) -> Vec<(Vec<u8>, usize)> {
        let mut buffer = std::vec![0; room];
        let mut inbox = Inbox::new(&mut buffer);
        let mut found = Vec::new();
        for mut piece in stream.chunks(pieces) {
            while !piece.is_empty() {
                let taken = inbox.take(piece).unwrap();
                piece = &piece[taken..];
                match inbox.frame() {
                    Some(Frame::Whole(frame)) => found.push((frame.to_vec(), frame.len())),
                    Some(Frame::TooLong { head, len }) => found.push((head.to_vec(), len)),
                    None => continue,
                }
                inbox.clear();
            }
        }
        found
    }

    #[test]
    fn packets_come_out_whole_however_the_stream_is_cut() {
        let mut stream = std::vec![0xd0, 0, 0x40, 2, 0, 7];
        let long: Vec<u8> = [0x30, 0xc8, 1].into_iter().chain([b'a'; 200]).collect();
        stream.extend(&long);
        for pieces in 1..=stream.len() {
            let found = packets(256, &stream, pieces);
            let frames: Vec<_> = found.iter().map(|(frame, _)| frame.as_slice()).collect();
            assert_eq!(frames, [&[0xd0, 0][..], &[0x40, 2, 0, 7], &long], "{pieces}");
        }
    }

    #[test]
    fn a_packet_that_is_too_long_is_let_go_and_the_next_one_comes() {
        let mut stream: Vec<u8> = [0x30, 0xc8, 1].into_iter().chain([b'a'; 200]).collect();
        stream.extend([0xd0, 0]);
        for pieces in 1..=stream.len() {
            let found = packets(16, &stream, pieces);
            assert_eq!(found[0].1, 203, "{pieces}");
            assert_eq!(found[0].0.len(), 16);
            assert_eq!(found[1].0, [0xd0, 0]);
        }
    }

    #[test]
    fn a_length_without_an_end_is_refused() {
        let mut buffer = [0; 16];
        let mut inbox = Inbox::new(&mut buffer);
        assert_eq!(inbox.take(&[0x30, 0xff, 0xff, 0xff, 0xff]), Err(Malformed::Length));
    }
}
