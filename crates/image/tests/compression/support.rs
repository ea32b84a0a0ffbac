//! Bodies of many kinds, compressed by liblzma, wrapped into images, and windows to watch.

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use updraft_image::{
    CompressionError, Decoder, Decompressed, Digest, Flags, HashKind, Header, OutOfRange,
    RamWindow, Source, TlvKind, TlvType, TlvWriter, Window,
};

pub type Error = CompressionError<OutOfRange>;

/// What imgtool compresses with.
pub const IMGTOOL: Parameters = Parameters { dictionary: 128 << 10, lc: 3, lp: 1, pb: 2 };
/// How far before a byte the filter has to look.
pub const MARGIN: usize = 3;

/// Parameters of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    pub dictionary: u32,
    pub lc: u32,
    pub lp: u32,
    pub pb: u32,
}

impl Parameters {
    fn filters(&self, filtered: bool) -> Filters {
        let mut options = LzmaOptions::new_preset(9).unwrap();
        options.dict_size(self.dictionary).literal_context_bits(self.lc);
        options.literal_position_bits(self.lp).position_bits(self.pb);
        let mut filters = Filters::new();
        if filtered {
            filters.arm_thumb();
        }
        filters.lzma2(&options);
        filters
    }

    /// The raw stream.
    pub fn compress(&self, body: &[u8], filtered: bool) -> Vec<u8> {
        let mut stream = Stream::new_raw_encoder(&self.filters(filtered)).unwrap();
        // Stored bytes take three more for 64 KiB.
        let mut out = Vec::with_capacity(body.len() + body.len() / 1000 + 1000);
        assert_eq!(stream.process_vec(body, &mut out, Action::Finish).unwrap(), Status::StreamEnd);
        out
    }

    /// What liblzma makes of a raw stream that should give `len` bytes and nothing more.
    pub fn decompress(&self, stream: &[u8], filtered: bool, len: usize) -> Option<Vec<u8>> {
        let mut decoder = Stream::new_raw_decoder(&self.filters(filtered)).unwrap();
        let mut out = Vec::with_capacity(len + 1);
        let end = decoder.process_vec(stream, &mut out, Action::Finish);
        let whole = decoder.total_in() == stream.len() as u64 && out.len() == len;
        (matches!(end, Ok(Status::StreamEnd)) && whole).then_some(out)
    }

    /// The two bytes in front of a stream.
    pub fn encode(&self) -> [u8; 2] {
        let size = |code: u8| (2 | u32::from(code & 1)) << (code / 2 + 11);
        let code = (0..40).find(|code| size(*code) >= self.dictionary).unwrap();
        [code, ((self.pb * 5 + self.lp) * 9 + self.lc) as u8]
    }
}

/// Random numbers from a seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 8) as usize % end.max(1)
    }
}

/// Bytes that look like Thumb code: every fourth instruction is a call, to one of few functions.
pub fn code(random: &mut Random, len: usize) -> Vec<u8> {
    let functions: Vec<usize> = (0..20).map(|_| random.below(len) & !1).collect();
    let mut out = Vec::with_capacity(len + 4);
    while out.len() < len {
        if random.below(4) == 0 {
            let to = functions[random.below(functions.len())];
            let distance = (to.wrapping_sub(out.len() + 4) >> 1) as u32;
            let [high, low] = [0xf000 | (distance >> 11) & 0x7ff, 0xf800 | distance & 0x7ff];
            out.extend_from_slice(&(high as u16).to_le_bytes());
            out.extend_from_slice(&(low as u16).to_le_bytes());
        } else {
            out.push(random.below(8) as u8 * 0x11);
            out.push([0x46, 0x47, 0xbd, 0x20, 0x68, 0xf0, 0xf8][random.below(7)]);
        }
    }
    out.truncate(len);
    out
}

/// A body of one of several kinds.
pub fn body(random: &mut Random, len: usize) -> Vec<u8> {
    let noise = |random: &mut Random, len| (0..len).map(|_| random.next() as u8).collect();
    match random.below(7) {
        0 => vec![random.next() as u8; len],
        1 => noise(random, len),
        2 => {
            let text: Vec<u8> = noise(random, 1 + random.0 as usize % 300);
            text.iter().copied().cycle().take(len).collect()
        }
        3 => code(random, len),
        // Nothing but marks of calls.
        4 => (0..len).map(|_| [0xf0, 0xf8, 0xf7, 0xff][random.below(4)]).collect(),
        5 => {
            // Repeats from as far back as a dictionary reaches, or further.
            let mut out: Vec<u8> = noise(random, 1 + len / 4);
            while out.len() < len {
                let from = random.below(out.len());
                let n = (1 + random.below(400)).min(out.len() - from);
                out.extend_from_within(from..from + n);
                if random.below(3) == 0 {
                    out.push(random.next() as u8);
                }
            }
            out.truncate(len);
            out
        }
        _ => {
            let mut out: Vec<u8> = noise(random, len / 3);
            out.extend(vec![0; len / 3]);
            let rest = len - out.len();
            out.extend(code(random, rest));
            out
        }
    }
}

/// An image to be compressed, as imgtool makes it without a key.
#[derive(Clone)]
pub struct Plain {
    pub header_size: usize,
    pub body: Vec<u8>,
    pub protected: Vec<(TlvType, Vec<u8>)>,
}

impl Plain {
    pub fn new(body: Vec<u8>) -> Self {
        Self { header_size: 32, body, protected: Vec::new() }
    }

    fn assemble(&self, body: &[u8], flags: Flags, protected: &[(TlvType, Vec<u8>)]) -> Vec<u8> {
        let protected = match protected {
            [] => Vec::new(),
            tlvs => area(TlvKind::Protected, tlvs),
        };
        let header = Header {
            hdr_size: self.header_size as u16,
            protect_tlv_size: protected.len() as u16,
            img_size: body.len() as u32,
            flags,
            ..Header::default()
        };
        let mut image = header.emit().to_vec();
        image.resize(self.header_size, 0xff);
        image.extend_from_slice(body);
        image.extend_from_slice(&protected);
        let hash = Digest::of(HashKind::Sha256, &image);
        let hash = (TlvType::SHA256, hash.as_bytes().to_vec());
        image.extend_from_slice(&area(TlvKind::Unprotected, &[hash]));
        image
    }

    /// The image, not compressed.
    pub fn image(&self) -> Vec<u8> {
        self.assemble(&self.body, Flags::default(), &self.protected)
    }

    /// The image with `stream` for its body, whatever that may be.
    pub fn wrap(&self, stream: &[u8], parameters: &Parameters, filtered: bool) -> Vec<u8> {
        let image = self.image();
        let hashed = image.len() - 4 - 4 - 32;
        let sha = Digest::of(HashKind::Sha256, &image[..hashed]);
        let mut protected = self.protected.clone();
        let size = (self.body.len() as u32).to_le_bytes().to_vec();
        // Others may stand between and behind them.
        let at = protected.len() / 2;
        protected.insert(at, (TlvType::DECOMP_SIZE, size));
        protected.insert(at + 1, (TlvType::DECOMP_SHA, sha.as_bytes().to_vec()));
        let filter = if filtered { Flags::COMPRESSED_ARM_THUMB } else { Flags::default() };
        let body = [&parameters.encode(), stream].concat();
        self.assemble(&body, Flags::COMPRESSED_LZMA2 | filter, &protected)
    }

    /// The image compressed.
    pub fn compressed(&self, parameters: &Parameters, filtered: bool) -> Vec<u8> {
        self.wrap(&parameters.compress(&self.body, filtered), parameters, filtered)
    }
}

pub fn area(kind: TlvKind, tlvs: &[(TlvType, Vec<u8>)]) -> Vec<u8> {
    let mut buf = vec![0; 0xffff];
    let mut writer = TlvWriter::new(kind, &mut buf).unwrap();
    for (kind, payload) in tlvs {
        writer.push(*kind, payload).unwrap();
    }
    writer.finish().to_vec()
}

/// Two slots: the compressed image in the one, the window into the other, which gets the pieces.
/// It is watched whether anything is looked at that was not written.
pub struct Slots<'i> {
    pub secondary: &'i [u8],
    pub primary: Vec<u8>,
    pub body: usize,
}

impl<'i> Slots<'i> {
    pub fn new(secondary: &'i [u8]) -> Self {
        let body = Header::parse(secondary).map_or(0, |header| header.hdr_size.into());
        Self { secondary, primary: Vec::new(), body }
    }
}

impl Source for Slots<'_> {
    type Error = OutOfRange;

    fn size(&self) -> u32 {
        self.secondary.len() as u32
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), OutOfRange> {
        let mut secondary = self.secondary;
        secondary.read(offset, buf)
    }
}

impl Window for Slots<'_> {
    fn reach(&self) -> u32 {
        u32::MAX
    }

    fn look_back(&mut self, at: u32, buf: &mut [u8]) -> Result<(), OutOfRange> {
        let mut primary = self.primary.as_slice();
        primary.read(self.body as u32 + at, buf)
    }

    fn keep(&mut self, _: u32, _: &[u8]) -> Result<(), OutOfRange> {
        Ok(())
    }
}

/// Decompresses with the primary slot for a window.
pub fn into_slot(image: &[u8], piece: usize) -> Result<Vec<u8>, Error> {
    let header = Header::parse(image).unwrap();
    let (mut decoder, mut buf) = (Decoder::new(), vec![0; piece]);
    let mut unpacked = Decompressed::open(Slots::new(image), &header, &mut decoder, &mut buf)?;
    let size = unpacked.size() as usize;
    let mut found = Vec::new();
    while let Some(piece) = unpacked.next_piece()? {
        assert_eq!(piece.offset as usize, found.len());
        found.extend_from_slice(piece.bytes);
        piece.window.primary.extend_from_slice(piece.bytes);
    }
    assert_eq!(found.len(), size);
    Ok(found)
}

/// Decompresses with a ring that is no larger than needed.
pub fn into_ram(image: &[u8], piece: usize, ring: usize) -> Result<Vec<u8>, Error> {
    let header = Header::parse(image).unwrap();
    let (mut decoder, mut buf, mut ring) = (Decoder::new(), vec![0; piece], vec![0xa5; ring]);
    let window = RamWindow::new(image, &mut ring);
    let mut unpacked = Decompressed::open(window, &header, &mut decoder, &mut buf)?;
    let mut found = Vec::new();
    while let Some(piece) = unpacked.next_piece()? {
        found.extend_from_slice(piece.bytes);
    }
    Ok(found)
}
