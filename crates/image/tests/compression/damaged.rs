//! Streams that are cut off, altered or made up: an error, the same one that liblzma finds, and
//! never a panic or an endless loop.

use proptest::prelude::*;
use updraft_image::{CompressionError, TlvType};

use crate::support::{IMGTOOL, Parameters, Plain, Random, body, code, into_ram, into_slot};

/// Bodies that make short streams of several chunks: stored, and of LZMA.
fn short() -> [(Vec<u8>, Parameters); 3] {
    let noise = |seed, len| {
        let mut random = Random(seed);
        (0..len).map(|_| random.next() as u8).collect::<Vec<u8>>()
    };
    [
        (code(&mut Random(1), 400), IMGTOOL),
        (noise(2, 90), IMGTOOL),
        ([b"abcabcabcabc".repeat(9), noise(3, 40)].concat(), Parameters { lp: 0, ..IMGTOOL }),
    ]
}

/// Decompresses `stream` and compares with what liblzma says. Returns whether it is one.
fn as_liblzma(plain: &Plain, stream: &[u8], parameters: &Parameters, filtered: bool) -> bool {
    let image = plain.wrap(stream, parameters, filtered);
    let ours = into_slot(&image, 128);
    assert_eq!(into_ram(&image, 77, plain.body.len()).is_ok(), ours.is_ok());
    let theirs = parameters.decompress(stream, filtered, plain.body.len());
    match (&ours, &theirs) {
        (Ok(found), Some(expected)) => {
            let start = plain.header_size;
            assert!(found[start..start + expected.len()] == expected[..]);
        }
        (Err(_), None) => {}
        _ => panic!("ours {:?}, liblzma's {}", ours.map(drop), theirs.is_some()),
    }
    ours.is_ok()
}

#[test]
fn every_cut_off_stream_is_refused() {
    for (body, parameters) in short() {
        for filtered in [false, true] {
            let plain = Plain::new(body.clone());
            let stream = parameters.compress(&plain.body, filtered);
            for len in 0..stream.len() {
                assert!(!as_liblzma(&plain, &stream[..len], &parameters, filtered), "{len}");
            }
            assert!(as_liblzma(&plain, &stream, &parameters, filtered));
        }
    }
}

#[test]
fn every_flipped_bit_is_found_where_liblzma_finds_it() {
    let (mut streams, mut refused) = (0, 0);
    for (body, parameters) in short() {
        let plain = Plain::new(body);
        let stream = parameters.compress(&plain.body, false);
        for bit in 0..stream.len() * 8 {
            let mut stream = stream.clone();
            stream[bit / 8] ^= 1 << (bit % 8);
            streams += 1;
            refused += usize::from(!as_liblzma(&plain, &stream, &parameters, false));
        }
    }
    println!("streams with a flipped bit: {refused} of {streams} refused as streams");
}

#[test]
fn bytes_behind_the_end_of_the_stream_are_refused() {
    let plain = Plain::new(vec![7; 100]);
    let mut stream = IMGTOOL.compress(&plain.body, false);
    stream.push(0);
    assert!(!as_liblzma(&plain, &stream, &IMGTOOL, false));
}

#[test]
fn a_stream_that_is_shorter_or_longer_than_claimed_is_refused() {
    for (claimed, error) in [
        (999, CompressionError::TooLong { claimed: 999 }),
        (1001, CompressionError::TooShort { claimed: 1001, found: 1000 }),
    ] {
        for filtered in [false, true] {
            let stream = IMGTOOL.compress(&vec![7; 1000], filtered);
            let image = Plain::new(vec![7; claimed]).wrap(&stream, &IMGTOOL, filtered);
            assert_eq!(into_slot(&image, 256), Err(error));
        }
    }
}

#[test]
fn matches_from_before_the_beginning_are_refused() {
    // A chunk of LZMA that begins with a match: its first bit is 1.
    let stream = [0xe0, 0, 9, 0, 9, 0x66, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
    let image = Plain::new(vec![0; 10]).wrap(&stream, &IMGTOOL, false);
    assert!(matches!(into_slot(&image, 64), Err(CompressionError::Stream { .. })));
}

#[test]
fn matches_from_further_back_than_the_dictionary_are_refused() {
    let mut random = Random(5);
    let noise: Vec<u8> = (0..5000).map(|_| random.next() as u8).collect();
    let plain = Plain::new([noise.clone(), noise].concat());
    let stream = IMGTOOL.compress(&plain.body, false);
    let small = Parameters { dictionary: 4096, ..IMGTOOL };
    let image = plain.wrap(&stream, &small, false);
    assert!(matches!(into_slot(&image, 64), Err(CompressionError::Stream { .. })));
    assert!(into_slot(&plain.wrap(&stream, &IMGTOOL, false), 64).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn altered_streams_end_as_they_do_for_liblzma(
        seed: u64,
        size in 1usize..3000,
        filtered: bool,
        changes in 1usize..5,
    ) {
        let mut random = Random(seed);
        let plain = Plain::new(body(&mut random, size));
        let mut stream = IMGTOOL.compress(&plain.body, filtered);
        for _ in 0..changes {
            let at = random.below(stream.len());
            match random.below(4) {
                0 => stream.truncate(at.max(1)),
                1 => stream[at] = random.next() as u8,
                2 => stream.insert(at, random.next() as u8),
                _ => stream[at] ^= 1 << random.below(8),
            }
        }
        as_liblzma(&plain, &stream, &IMGTOOL, filtered);
    }

    #[test]
    fn made_up_streams_end_as_they_do_for_liblzma(
        chunks in prop::collection::vec(
            (
                prop_oneof![Just(1u8), Just(2), Just(0xe0), Just(0xc0), Just(0xa0), Just(0x80), any::<u8>()],
                1usize..60,
                1usize..60,
                prop::collection::vec(any::<u8>(), 60),
            ),
            1..6,
        ),
        properties in prop_oneof![Just(0x66u8), 0u8..=225],
    ) {
        let (mut stream, mut size) = (Vec::new(), 0);
        for (control, unpacked, packed, bytes) in chunks {
            stream.push(control);
            stream.extend(((unpacked - 1) as u16).to_be_bytes());
            size += unpacked;
            if control < 0x80 {
                stream.extend(&bytes[..unpacked]);
                continue;
            }
            stream.extend(((packed - 1) as u16).to_be_bytes());
            if control >= 0xc0 {
                stream.push(properties);
            }
            stream.push(0);
            stream.extend(&bytes[1..packed]);
        }
        stream.push(0);
        as_liblzma(&Plain::new(vec![0; size]), &stream, &IMGTOOL, false);
    }

    #[test]
    fn images_with_damage_anywhere_are_answered(seed: u64, size in 40usize..2000, filtered: bool) {
        let mut random = Random(seed);
        let mut plain = Plain::new(body(&mut random, size));
        plain.protected.push((TlvType::SEC_CNT, vec![1, 0, 0, 0]));
        let mut image = plain.compressed(&IMGTOOL, filtered);
        for _ in 0..1 + random.below(3) {
            // The magic stays; without it there is no header to begin with.
            let at = 4 + random.below(image.len() - 4);
            image[at] = random.next() as u8;
        }
        if random.below(4) == 0 {
            image.truncate(32 + random.below(image.len()));
        }
        let (piece, ring) = (1 + random.below(300), random.below(3000));
        let _ = into_slot(&image, piece);
        let _ = into_ram(&image, piece, ring);
    }
}
