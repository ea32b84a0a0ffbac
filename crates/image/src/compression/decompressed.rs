//! The uncompressed image, piece by piece.

use super::error::CompressionError;
use super::layout::{Layout, Tail};
use super::lzma2::Decoder;
use super::thumb;
use super::window::{Past, RamWindow, Window};
use crate::{Header, Refusal, Rules, Source, Validated, Verifier, validate};

/// Bytes of the body kept as they were before the filter, behind which it is all in the window.
const EDGE: usize = thumb::BEHIND + 1;
/// Bytes decoded ahead, so that a call at the end of a piece is seen as a whole.
const AHEAD: usize = thumb::BEHIND;
/// Bytes decompressed at a time where nothing but their hash is wanted.
const HASHED_AT_ONCE: usize = 256;

/// A compressed image, decompressed on the way: exactly the bytes that were signed before
/// compression, header and TLVs included.
///
/// There are two ways to use it. [`Decompressed::next_piece`] gives the image from its beginning to
/// its end, to be written to a slot or to RAM. With a [`RamWindow`] it is a [`Source`] as well, so
/// that everything that reads images can read it; reading backwards in the body begins again.
///
/// ```text
/// header · padding │ body                      │ protected TLVs · unprotected TLVs
/// ───────┬─────────┴──────────────┬────────────┴─────────────┬────────────────────
///  piece │  piece                 │  piece                   │  last piece
/// ```
#[derive(Debug)]
pub struct Decompressed<'b, W> {
    window: W,
    decoder: &'b mut Decoder,
    piece: &'b mut [u8],
    layout: Layout,
    body: Body,
    tail: Tail,
    /// Where the piece in `piece` begins in the image, and its length.
    loaded: (u32, usize),
    /// Where the next piece begins.
    next: u32,
}

/// A piece of the uncompressed image.
#[derive(Debug)]
pub struct Piece<'p, W> {
    /// Where it belongs in the image: a multiple of the length that pieces have.
    pub offset: u32,
    /// All pieces have the same length, but for the last one.
    pub bytes: &'p [u8],
    /// What was given to [`Decompressed::open`], for writing the piece to where the window is.
    pub window: &'p mut W,
}

impl<'b, W: Window> Decompressed<'b, W> {
    /// Reads header and TLVs of the compressed image in `window`, whose header is `header`.
    ///
    /// `piece` is as long as the pieces will be: a multiple of what the flash writes at once, if
    /// they are written there. Nothing is decompressed yet, and nothing is verified.
    pub fn open(
        mut window: W,
        header: &Header,
        decoder: &'b mut Decoder,
        piece: &'b mut [u8],
    ) -> Result<Self, CompressionError<W::Error>> {
        if piece.is_empty() {
            return Err(CompressionError::NoRoom);
        }
        let layout = Layout::open(&mut window, header)?;
        let (needed, reach) = (layout.reach(), window.reach());
        if needed > reach {
            return Err(CompressionError::Window { needed, reach });
        }
        let (body, tail) = (Body::default(), Tail::new(&layout));
        let mut image =
            Self { window, decoder, piece, layout, body, tail, loaded: (0, 0), next: 0 };
        image.rewind();
        Ok(image)
    }

    /// The header of the uncompressed image.
    pub fn header(&self) -> &Header {
        &self.layout.header
    }

    /// Size of the uncompressed image with its TLVs, in bytes.
    pub fn size(&self) -> u32 {
        self.layout.size
    }

    /// Begins again.
    pub fn rewind(&mut self) {
        let (start, end) = self.layout.stream;
        self.decoder.begin(start, end, self.layout.dictionary);
        self.body = Body::default();
        (self.loaded, self.next) = ((0, 0), 0);
    }

    /// The next piece; `None` behind the last one. After an error it begins again.
    ///
    /// Where the window is the slot that the image is written to, the piece has to be written
    /// before the next one is asked for.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_, W>>, CompressionError<W::Error>> {
        let loaded = self.load();
        if loaded.is_err() {
            self.rewind();
        }
        let (offset, len) = loaded?;
        let bytes = self.piece.get(..len).unwrap_or_default();
        Ok((len > 0).then_some(Piece { offset, bytes, window: &mut self.window }))
    }

    /// Makes the next piece; returns its offset and length.
    fn load(&mut self) -> Result<(u32, usize), CompressionError<W::Error>> {
        let Self { window, decoder, piece, layout, body, tail, .. } = self;
        let start = self.next;
        let left = usize::try_from(layout.size - start).unwrap_or(usize::MAX);
        let len = piece.len().min(left);
        let piece = piece.get_mut(..len).unwrap_or_default();
        // Up to 4 GiB: `layout.size` is a u32.
        let end = start + len as u32;

        let within = |offset: u32| (offset.clamp(start, end) - start) as usize;
        let (body_at, tail_at) = (within(layout.body()), within(layout.tail()));
        let (rest, tail_part) = piece.split_at_mut(tail_at);
        let (head_part, body_part) = rest.split_at_mut(body_at);
        if !head_part.is_empty() {
            layout.read_head(window, start, head_part)?;
        }
        if !body_part.is_empty() {
            body.read(window, decoder, layout, body_part)?;
        }
        if !tail_part.is_empty() {
            tail.read(layout, window, start + tail_at as u32, tail_part)?;
        }
        self.next = end;
        self.loaded = (start, len);
        Ok(self.loaded)
    }
}

/// How far the body has come.
#[derive(Debug, Default)]
struct Body {
    /// Bytes that were given away.
    at: u32,
    /// The last of them, as they were before the filter.
    edge: [u8; EDGE],
    edge_len: usize,
    /// What follows them, if it is decoded already.
    ahead: [u8; AHEAD],
    ahead_len: usize,
}

impl Body {
    /// Fills `out` with what follows.
    fn read<W: Window>(
        &mut self,
        window: &mut W,
        decoder: &mut Decoder,
        layout: &Layout,
        out: &mut [u8],
    ) -> Result<(), CompressionError<W::Error>> {
        let claimed = layout.header.img_size;
        let len = out.len() as u32;
        let filled = self.take_ahead(out);
        let edge = self.edge;
        let edge = edge.get(EDGE - self.edge_len..).unwrap_or_default();
        if filled < out.len() {
            let filtered = layout.filtered;
            let mut past = Past { window, filtered, edge, piece: &[], at: self.at };
            decode(decoder, &mut past, out, filled, claimed)?;
        }
        if layout.filtered {
            let left = claimed.saturating_sub(self.at).saturating_sub(len);
            let wanted = usize::try_from(left).unwrap_or(AHEAD).min(AHEAD);
            let ahead = self.ahead.get_mut(..wanted).unwrap_or_default();
            let mut past = Past { window, filtered: true, edge, piece: out, at: self.at };
            decode(decoder, &mut past, ahead, self.ahead_len, claimed)?;
            self.ahead_len = wanted;
            self.remember(out);
            thumb::decode(edge, out, self.ahead.get(..wanted).unwrap_or_default(), self.at);
        }
        window.keep(self.at, out).map_err(CompressionError::Read)?;
        self.at += len;
        if self.at == claimed && !decoder.ends(window)? {
            return Err(CompressionError::TooLong { claimed });
        }
        Ok(())
    }

    /// Begins `out` with what was decoded ahead; returns how much that is.
    fn take_ahead(&mut self, out: &mut [u8]) -> usize {
        let n = self.ahead_len.min(out.len());
        for (to, from) in out.iter_mut().zip(self.ahead.iter().take(n)) {
            *to = *from;
        }
        for _ in 0..n {
            let [_, b, c] = self.ahead;
            self.ahead = [b, c, 0];
        }
        self.ahead_len -= n;
        n
    }

    /// Keeps the end of what was given away, `out`, not yet filtered.
    fn remember(&mut self, out: &[u8]) {
        for byte in out.iter().skip(out.len().saturating_sub(EDGE)) {
            let [_, b, c, d] = self.edge;
            self.edge = [b, c, d, *byte];
        }
        self.edge_len = self.edge_len.saturating_add(out.len()).min(EDGE);
    }
}

/// Fills all of `buf`.
fn decode<W: Window>(
    decoder: &mut Decoder,
    past: &mut Past<'_, W>,
    buf: &mut [u8],
    filled: usize,
    claimed: u32,
) -> Result<(), CompressionError<W::Error>> {
    if decoder.decode(past, buf, filled)? < buf.len() {
        return Err(CompressionError::TooShort { claimed, found: decoder.produced() });
    }
    Ok(())
}

/// The uncompressed image as a source.
impl<S: Source> Source for Decompressed<'_, RamWindow<'_, S>> {
    type Error = CompressionError<S::Error>;

    fn size(&self) -> u32 {
        self.layout.size
    }

    fn read(&mut self, mut offset: u32, mut buf: &mut [u8]) -> Result<(), Self::Error> {
        let size = self.layout.size;
        let len = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(CompressionError::OutOfRange { offset, size });
        }
        while !buf.is_empty() {
            let until = |end: u32| buf.len().min((end - offset) as usize);
            let n = if offset < self.layout.body() {
                let n = until(self.layout.body());
                let part = buf.get_mut(..n).unwrap_or_default();
                self.layout.read_head(&mut self.window, offset, part)?;
                n
            } else if offset < self.layout.tail() {
                let n = until(self.layout.tail());
                self.read_body(offset, buf.get_mut(..n).unwrap_or_default())?
            } else {
                self.tail.read(&self.layout, &mut self.window, offset, buf)?;
                buf.len()
            };
            offset += n as u32;
            buf = buf.split_at_mut(n).1;
        }
        Ok(())
    }
}

impl<S: Source> Decompressed<'_, RamWindow<'_, S>> {
    /// The beginning of `buf` from the piece that has it; returns how much.
    fn read_body(
        &mut self,
        offset: u32,
        buf: &mut [u8],
    ) -> Result<usize, CompressionError<S::Error>> {
        if offset < self.loaded.0 {
            self.rewind();
        }
        loop {
            let (start, len) = self.loaded;
            let into = (offset - start) as usize;
            if let Some(bytes) = self.piece.get(into..len).filter(|bytes| !bytes.is_empty()) {
                buf.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                return Ok(bytes.len().min(buf.len()));
            }
            self.next_piece()?;
        }
    }
}

/// Checks a compressed image and the image that it was made of, both against `rules` and the keys
/// of `verifier`, before anything is written: nothing that the image claims is trusted, and
/// nothing of the uncompressed image is kept. Returns what was found of the uncompressed one.
///
/// This needs a `ring` as large as the image's dictionary and 3 bytes ([`Decoder::RING`] for
/// imgtool's images), or as the body if that is smaller; otherwise the answer is
/// [`CompressionError::Window`]. A chip without that much RAM can check the compressed image
/// with [`validate`] (its signature covers DECOMP_SHA and DECOMP_SIGNATURE), and the uncompressed
/// one where it has been written to.
pub fn validate_compressed<S: Source, V: Verifier>(
    source: &mut S,
    header: &Header,
    rules: &Rules,
    verifier: &mut V,
    decoder: &mut Decoder,
    ring: &mut [u8],
) -> Result<Validated, Refusal<CompressionError<S::Error>>> {
    let mut stored = Stored(source);
    validate(&mut stored, header, rules, verifier)?;
    let mut piece = [0; HASHED_AT_ONCE];
    let window = RamWindow::new(stored.0, ring);
    let mut image =
        Decompressed::open(window, header, decoder, &mut piece).map_err(Refusal::Read)?;
    if rules.max_size != 0 && image.size() > rules.max_size {
        // Before all of it is decompressed for nothing.
        return Err(Refusal::TooLarge { size: image.size(), max: rules.max_size });
    }
    let header = *image.header();
    validate(&mut image, &header, rules, verifier)
}

/// The compressed image, with the errors of the uncompressed one.
struct Stored<'s, S>(&'s mut S);

impl<S: Source> Source for Stored<'_, S> {
    type Error = CompressionError<S::Error>;

    fn size(&self) -> u32 {
        self.0.size()
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(offset, buf).map_err(CompressionError::Read)
    }
}
