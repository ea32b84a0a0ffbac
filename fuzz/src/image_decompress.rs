//! Decompression of an arbitrary stream in a well-formed image, or of an arbitrary image.
//!
//! ```text
//! 0  0x01 filter · 0x02 an image, not a stream · 0x04 large pieces
//! 1  length of a piece
//! 2  a stream: the size claimed (2, little-endian), then the stream; or an image
//! ```
//! Asserts: the output is the same whether it is looked back at in a slot or in a ring; a slot is
//! only looked at where it was written; nothing is read much more often than once.

use updraft_image::{
    CompressionError, Decoder, Decompressed, Flags, Header, OutOfRange, RamWindow, Source, TlvKind,
    TlvType, TlvWriter, Window,
};

/// Larger images only take longer.
const LARGEST: u32 = 1 << 18;

/// Takes one input.
pub fn run(data: &[u8]) {
    let [choice, piece, data @ ..] = data else { return };
    let image = match choice & 2 {
        0 => {
            let [low, high, stream @ ..] = data else { return };
            wrap(u16::from_le_bytes([*low, *high]), stream, choice & 1 != 0)
        }
        _ => data.to_vec(),
    };
    let piece = (usize::from(*piece) + 1) * if choice & 4 == 0 { 1 } else { 16 };
    let Ok(header) = Header::parse(&image) else { return };
    let in_slot = into_slot(&image, &header, piece);
    if matches!(in_slot, Err(CompressionError::NoRoom)) {
        return;
    }
    let in_ram = into_ram(&image, &header, piece);
    match (&in_slot, &in_ram) {
        (_, Err(CompressionError::Window { .. })) => {}
        _ => assert!(in_slot == in_ram, "slot {in_slot:?}, ring {in_ram:?}"),
    }
}

/// An image of `size` bytes, compressed to `stream`.
fn wrap(size: u16, stream: &[u8], filtered: bool) -> Vec<u8> {
    let (mut protected, mut unprotected) = ([0; 64], [0; 48]);
    let mut tlvs = TlvWriter::new(TlvKind::Protected, &mut protected).expect("room");
    tlvs.push(TlvType::DECOMP_SIZE, &u32::from(size).to_le_bytes()).expect("room");
    tlvs.push(TlvType::DECOMP_SHA, &[1; 32]).expect("room");
    let protected = tlvs.finish();
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut unprotected).expect("room");
    tlvs.push(TlvType::SHA256, &[2; 32]).expect("room");
    let filter = if filtered { Flags::COMPRESSED_ARM_THUMB } else { Flags::default() };
    let header = Header {
        hdr_size: 32,
        protect_tlv_size: protected.len() as u16,
        img_size: stream.len() as u32 + 2,
        flags: Flags::COMPRESSED_LZMA2 | filter,
        ..Header::default()
    };
    [&header.emit(), [0x0a, 0x66].as_slice(), stream, protected, tlvs.finish()].concat()
}

/// The image in one slot, what became of it in the other.
struct Slots<'i> {
    secondary: &'i [u8],
    primary: Vec<u8>,
    body: u32,
    read: usize,
}

impl Source for Slots<'_> {
    type Error = OutOfRange;

    fn size(&self) -> u32 {
        self.secondary.len() as u32
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.read += buf.len();
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
        let looked = primary.read(self.body + at, buf);
        looked.expect("only what was written is looked at");
        Ok(())
    }

    fn keep(&mut self, _: u32, _: &[u8]) -> Result<(), OutOfRange> {
        Ok(())
    }
}

type Outcome = Result<Vec<u8>, CompressionError<OutOfRange>>;

/// Everything, or [`CompressionError::NoRoom`] if that is too much.
fn into_slot(image: &[u8], header: &Header, piece: usize) -> Outcome {
    let (mut decoder, mut buf) = (Decoder::new(), vec![0; piece]);
    let body = header.hdr_size.into();
    let slots = Slots { secondary: image, primary: Vec::new(), body, read: 0 };
    let mut unpacked = Decompressed::open(slots, header, &mut decoder, &mut buf)?;
    if unpacked.size() > LARGEST {
        return Err(CompressionError::NoRoom);
    }
    let mut found = Vec::new();
    while let Some(piece) = unpacked.next_piece()? {
        found.extend_from_slice(piece.bytes);
        piece.window.primary.extend_from_slice(piece.bytes);
        // Header and TLVs are read a few times, the stream once.
        assert!(piece.window.read <= 6 * image.len() + 1000, "{} bytes read", piece.window.read);
    }
    assert_eq!(found.len(), unpacked.size() as usize);
    Ok(found)
}

fn into_ram(image: &[u8], header: &Header, piece: usize) -> Outcome {
    let (mut decoder, mut buf, mut ring) = (Decoder::new(), vec![0; piece], vec![0xa5; 1 << 17]);
    let window = RamWindow::new(image, &mut ring);
    let mut unpacked = Decompressed::open(window, header, &mut decoder, &mut buf)?;
    let mut found = Vec::new();
    while let Some(piece) = unpacked.next_piece()? {
        found.extend_from_slice(piece.bytes);
    }
    Ok(found)
}

/// imgtool's compressed images, their streams, and streams of few chunks.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (name, filtered) in [("lzma2.bin", 0), ("lzma2armthumb.bin", 1)] {
        let image = crate::repository_file(&format!("vectors/mcuboot/img/{name}"));
        let header = Header::parse(&image).expect("a header");
        let body = usize::from(header.hdr_size);
        let stream = &image[body + 2..body + header.img_size as usize];
        for piece in [0, 31, 255] {
            seeds.push([&[2, piece], &image[..]].concat());
            seeds.push([&[filtered, piece, 0x00, 0x40], stream].concat());
        }
    }
    // Stored chunks, with calls across pieces.
    let calls = [0x12, 0xf0, 0x34, 0xf8].repeat(4);
    seeds.push([&[1, 4, 32, 0, 1, 0, 15], &calls[..], &[2, 0, 15], &calls[..], &[0]].concat());
    seeds
}
