//! Where matches are copied from: the output so far.
//!
//! A match may reach back as far as the dictionary is large, 128 KiB in imgtool's images. A chip
//! that has no RAM for that has the output in the slot that it is being written to.

use super::thumb::{self, Direction};
use crate::Source;

/// A compressed image that is being decompressed: where it is read from, and its output so far.
///
/// [`RamWindow`] keeps the output in RAM. Where it is written to a slot instead, the slot is the
/// window: read the image from the one slot, look back into the other, and let
/// [`Window::keep`] do nothing, as every piece is written before the next one is asked for.
pub trait Window: Source {
    /// How far back the output can be looked at, in bytes from its end.
    fn reach(&self) -> u32;

    /// Fills `buf` with the output from `at` on, counted from the first byte of the decompressed
    /// body. `buf` ends where the output ends or before, and begins within reach.
    fn look_back(&mut self, at: u32, buf: &mut [u8]) -> Result<(), Self::Error>;

    /// Takes in `bytes`, which are the output from `at` on.
    fn keep(&mut self, at: u32, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<W: Window> Window for &mut W {
    fn reach(&self) -> u32 {
        (**self).reach()
    }

    fn look_back(&mut self, at: u32, buf: &mut [u8]) -> Result<(), Self::Error> {
        (**self).look_back(at, buf)
    }

    fn keep(&mut self, at: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).keep(at, bytes)
    }
}

/// A source, and a ring in RAM that keeps the last of the output.
#[derive(Debug)]
pub struct RamWindow<'r, S> {
    source: S,
    ring: &'r mut [u8],
}

impl<'r, S: Source> RamWindow<'r, S> {
    /// Reads the image from `source` and keeps its output in `ring`, whose content does not matter.
    pub fn new(source: S, ring: &'r mut [u8]) -> Self {
        Self { source, ring }
    }

    /// Splits `len` bytes from `at` on into runs of the ring, at most two for a window's worth.
    fn runs(&self, at: u32, len: usize) -> impl Iterator<Item = core::ops::Range<usize>> + use<S> {
        let size = self.ring.len();
        let mut start = (at as usize).checked_rem(size).unwrap_or(0);
        let mut left = if size == 0 { 0 } else { len };
        core::iter::from_fn(move || {
            let n = left.min(size - start);
            let run = (n > 0).then_some(start..start + n);
            left -= n;
            start = 0;
            run
        })
    }
}

impl<S: Source> Source for RamWindow<'_, S> {
    type Error = S::Error;

    fn size(&self) -> u32 {
        self.source.size()
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), S::Error> {
        self.source.read(offset, buf)
    }
}

impl<S: Source> Window for RamWindow<'_, S> {
    fn reach(&self) -> u32 {
        u32::try_from(self.ring.len()).unwrap_or(u32::MAX)
    }

    fn look_back(&mut self, at: u32, mut buf: &mut [u8]) -> Result<(), S::Error> {
        for run in self.runs(at, buf.len()) {
            let (now, later) = buf.split_at_mut(run.len());
            now.copy_from_slice(self.ring.get(run).unwrap_or_default());
            buf = later;
        }
        Ok(())
    }

    fn keep(&mut self, at: u32, mut bytes: &[u8]) -> Result<(), S::Error> {
        for run in self.runs(at, bytes.len()) {
            let (now, later) = bytes.split_at(run.len());
            if let Some(ring) = self.ring.get_mut(run) {
                ring.copy_from_slice(now);
            }
            bytes = later;
        }
        Ok(())
    }
}

/// Everything that was decoded before the bytes that are being decoded now, as the decoder needs
/// it: as it was before the filter.
///
/// ```text
///  0                     at − edge      at              at + piece
///  │ the window, filtered │ edge, not    │ piece, not    │ being decoded
/// ```
/// The last bytes in the window are kept unfiltered as well: whether they belong to a call may
/// depend on what follows.
pub(super) struct Past<'a, W> {
    pub window: &'a mut W,
    /// Whether what is in the window went through the filter.
    pub filtered: bool,
    pub edge: &'a [u8],
    pub piece: &'a [u8],
    /// Where the piece begins, in the body.
    pub at: u32,
}

/// Bytes looked at together in a filtered window.
const CHUNK: usize = 64;

impl<W: Window> Past<'_, W> {
    /// Fills `out` with what was decoded from `from` on.
    pub fn copy(&mut self, mut from: u32, mut out: &mut [u8]) -> Result<(), W::Error> {
        while !out.is_empty() {
            let edge_at = self.at.saturating_sub(self.edge.len() as u32);
            let n = if let Some(into) = from.checked_sub(self.at) {
                copy_some(self.piece, into, out)
            } else if let Some(into) = from.checked_sub(edge_at) {
                copy_some(self.edge, into, out)
            } else {
                let n = out.len().min((edge_at - from) as usize);
                self.look_back(from, out.get_mut(..n).unwrap_or_default())?
            };
            if n == 0 {
                // Nobody asks for what is not there yet.
                break;
            }
            from += n as u32;
            out = out.split_at_mut(n).1;
        }
        Ok(())
    }

    /// The beginning of `out` from the window; returns how much.
    fn look_back(&mut self, from: u32, out: &mut [u8]) -> Result<usize, W::Error> {
        if !self.filtered {
            self.window.look_back(from, out)?;
            return Ok(out.len());
        }
        // With all of the calls that the bytes may belong to.
        let start = (from & !1).saturating_sub(2);
        let skip = (from - start) as usize;
        let n = out.len().min(CHUNK - skip - thumb::BEHIND);
        let end = (from + n as u32).saturating_add(thumb::BEHIND as u32).min(self.at);
        let mut chunk = [0; CHUNK];
        let chunk = chunk.get_mut(..(end - start) as usize).unwrap_or_default();
        self.window.look_back(start, chunk)?;
        thumb::convert_span(chunk, start, Direction::Encode);
        let n = copy_some(chunk, skip as u32, out.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}

/// Copies as much as there is from `into` on; returns how much.
fn copy_some(from: &[u8], into: u32, out: &mut [u8]) -> usize {
    let from = from.get(into as usize..).unwrap_or_default();
    let n = from.len().min(out.len());
    for (to, from) in out.iter_mut().zip(from) {
        *to = *from;
    }
    n
}
