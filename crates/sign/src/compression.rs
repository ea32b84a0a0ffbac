//! Compressed bodies, as imgtool writes them: raw LZMA2 of liblzma, preset 9 with a dictionary of
//! 128 KiB, 3 literal context bits, 1 literal position bit and 2 position bits.

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use updraft_image::{
    CompressionError, Decoder, Decompressed, Flags, Header, OutOfRange, RamWindow,
};

/// Larger than any slot.
const LARGEST: u32 = 64 << 20;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// LZMA2. (`lzma2`)
    Lzma2,
    /// LZMA2 behind the filter for ARM Thumb code. (`lzma2armthumb`)
    Lzma2ArmThumb,
}

impl Compression {
    /// What stands before the stream: dictionary size and properties, encoded.
    pub(crate) const PARAMETERS: [u8; 2] = [0x0a, 0x66];

    /// The flags of an image that is compressed so.
    pub const fn flags(self) -> Flags {
        match self {
            Self::Lzma2 => Flags::COMPRESSED_LZMA2,
            Self::Lzma2ArmThumb => Flags(Flags::COMPRESSED_LZMA2.0 | Flags::COMPRESSED_ARM_THUMB.0),
        }
    }

    /// The raw stream. `Err` tells what liblzma lacks: memory, in practice.
    pub(crate) fn compress(self, body: &[u8]) -> Result<Vec<u8>, String> {
        let told = |error: liblzma::stream::Error| error.to_string();
        let mut options = LzmaOptions::new_preset(9).map_err(told)?;
        options.dict_size(128 << 10).literal_context_bits(3).literal_position_bits(1);
        let mut filters = Filters::new();
        if self == Self::Lzma2ArmThumb {
            filters.arm_thumb();
        }
        filters.lzma2(options.position_bits(2));
        let mut encoder = Stream::new_raw_encoder(&filters).map_err(told)?;
        let mut stream = Vec::with_capacity(body.len() / 2 + 64);
        loop {
            let taken = usize::try_from(encoder.total_in()).unwrap_or(usize::MAX);
            let left = body.get(taken..).unwrap_or_default();
            match encoder.process_vec(left, &mut stream, Action::Finish).map_err(told)? {
                Status::StreamEnd => return Ok(stream),
                _ => stream.reserve(body.len() / 8 + 64),
            }
        }
    }
}

/// Why an image cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It has no header.
    #[error(transparent)]
    Header(#[from] updraft_image::HeaderError),
    /// It is not compressed, or damaged.
    #[error(transparent)]
    Image(#[from] CompressionError<OutOfRange>),
    /// It claims to be larger than any slot.
    #[error("decompresses to {0} bytes, which no slot holds")]
    TooLarge(u32),
}

/// The image that the compressed image at the beginning of `file` was made of: what a bootloader
/// writes to the primary slot.
pub fn decompress(file: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let header = Header::parse(file)?;
    let (mut decoder, mut ring, mut piece) = (Decoder::new(), vec![0; Decoder::RING], [0; 4096]);
    let window = RamWindow::new(file, &mut ring);
    let mut image = Decompressed::open(window, &header, &mut decoder, &mut piece)?;
    if image.size() > LARGEST {
        return Err(DecompressError::TooLarge(image.size()));
    }
    let mut found = Vec::new();
    while let Some(piece) = image.next_piece()? {
        found.extend_from_slice(piece.bytes);
    }
    Ok(found)
}
