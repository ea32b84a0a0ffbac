//! How fast images are decompressed on the desk, next to liblzma: `cargo run --release -p
//! updraft-image --example decompress_speed [FILE]`. Without a file it takes its own program.

use std::time::{Duration, Instant};

use liblzma::stream::{Action, Filters, LzmaOptions, Stream};
use updraft_image::{
    Decoder, Decompressed, Digest, Flags, HashKind, Header, RamWindow, TlvKind, TlvType, TlvWriter,
};

const ROUNDS: u32 = 20;

fn filters(filtered: bool) -> Filters {
    let mut options = LzmaOptions::new_preset(9).expect("preset 9");
    options.dict_size(128 << 10).literal_context_bits(3).literal_position_bits(1);
    let mut filters = Filters::new();
    if filtered {
        filters.arm_thumb();
    }
    filters.lzma2(&options);
    filters
}

fn compress(body: &[u8], filtered: bool) -> Vec<u8> {
    let mut encoder = Stream::new_raw_encoder(&filters(filtered)).expect("an encoder");
    let mut stream = Vec::with_capacity(body.len() + body.len() / 100 + 100);
    encoder.process_vec(body, &mut stream, Action::Finish).expect("a stream");
    stream
}

/// An image without hash or signature: only what decompression needs.
fn image(body: &[u8], stream: &[u8], filtered: bool) -> Vec<u8> {
    let (mut protected, mut unprotected) = ([0; 64], [0; 4]);
    let mut tlvs = TlvWriter::new(TlvKind::Protected, &mut protected).expect("room");
    let sha = Digest::of(HashKind::Sha256, body);
    tlvs.push(TlvType::DECOMP_SIZE, &(body.len() as u32).to_le_bytes()).expect("room");
    tlvs.push(TlvType::DECOMP_SHA, sha.as_bytes()).expect("room");
    let protected = tlvs.finish();
    let filter = if filtered { Flags::COMPRESSED_ARM_THUMB } else { Flags::default() };
    let header = Header {
        hdr_size: 32,
        protect_tlv_size: protected.len() as u16,
        img_size: stream.len() as u32 + 2,
        flags: Flags::COMPRESSED_LZMA2 | filter,
        ..Header::default()
    };
    let unprotected = TlvWriter::new(TlvKind::Unprotected, &mut unprotected).expect("room");
    [&header.emit(), [0x0a, 0x66].as_slice(), stream, protected, unprotected.finish()].concat()
}

/// The shortest of several rounds.
fn shortest(mut round: impl FnMut() -> usize, expected: usize) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        assert_eq!(round(), expected);
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

fn main() -> std::io::Result<()> {
    let path =
        std::env::args_os().nth(1).map_or_else(std::env::current_exe, |path| Ok(path.into()))?;
    let mut body = std::fs::read(path)?;
    body.truncate(1 << 20);
    println!("RAM of the decoder: {} bytes", Decoder::RAM);
    for (name, filtered) in [("lzma2", false), ("lzma2armthumb", true)] {
        let stream = compress(&body, filtered);
        let image = image(&body, &stream, filtered);
        let header = Header::parse(&image).expect("a header");
        let (mut decoder, mut ring, mut piece) =
            (Decoder::new(), vec![0; Decoder::RING], [0; 1024]);
        let ours = shortest(
            || {
                let window = RamWindow::new(image.as_slice(), &mut ring);
                let mut source = Decompressed::open(window, &header, &mut decoder, &mut piece)
                    .expect("an image");
                let mut len = 0;
                while let Some(piece) = source.next_piece().expect("a stream") {
                    len += piece.bytes.len();
                }
                len
            },
            body.len() + usize::from(header.hdr_size) + 4,
        );
        let theirs = shortest(
            || {
                let mut out = Vec::with_capacity(body.len());
                let mut decoder = Stream::new_raw_decoder(&filters(filtered)).expect("a decoder");
                decoder.process_vec(&stream, &mut out, Action::Finish).expect("a stream");
                out.len()
            },
            body.len(),
        );
        let speed = |time: Duration| body.len() as f64 / 1e6 / time.as_secs_f64();
        println!(
            "{name}: {} of {} bytes; {:.0} MB/s, liblzma {:.0} MB/s: {:.2} of its speed",
            stream.len(),
            body.len(),
            speed(ours),
            speed(theirs),
            theirs.as_secs_f64() / ours.as_secs_f64(),
        );
    }
    Ok(())
}
