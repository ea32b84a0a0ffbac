//! Whatever liblzma compresses is decompressed to the same bytes, into whatever pieces and with
//! whatever window.

use proptest::prelude::*;

use crate::support::{IMGTOOL, MARGIN, Parameters, Plain, Random, body, code, into_ram, into_slot};

fn parameters() -> impl Strategy<Value = Parameters> {
    let dictionary = (12u32..18, any::<bool>())
        .prop_map(|(power, half)| (1 << power) + if half { 1 << (power - 1) } else { 0 });
    (dictionary, 0u32..=4, 0u32..=4, 0u32..=4).prop_map(|(dictionary, lc, lp, pb)| Parameters {
        dictionary,
        lc: lc.min(4 - lp),
        lp,
        pb,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_stream_of_liblzma_is_decompressed_to_what_it_was(
        seed: u64,
        parameters in parameters(),
        size in prop_oneof![1usize..300, 300usize..20_000, 20_000usize..300_000],
        header_size in prop_oneof![Just(32usize), 32usize..80],
        filtered: bool,
        piece in prop_oneof![1usize..9, 9usize..300, Just(512), 300usize..5000],
    ) {
        let mut random = Random(seed);
        let plain = Plain { header_size, ..Plain::new(body(&mut random, size)) };
        let image = plain.compressed(&parameters, filtered);
        // Small pieces take long in large images.
        let piece = piece.max(size / 20_000);
        prop_assert!(into_slot(&image, piece).unwrap() == plain.image());
        let ring = (parameters.dictionary as usize + MARGIN).min(size);
        prop_assert!(into_ram(&image, piece, ring).unwrap() == plain.image());
    }
}

#[test]
fn a_dictionary_that_begins_anew_forgets_what_was_before() {
    let mut random = Random(1);
    let parts: Vec<Vec<u8>> = (0..4).map(|_| body(&mut random, 30_000)).collect();
    for filtered in [false, true] {
        // Streams in one another's place, without the end marks between them. The filter goes by
        // position and runs through, so it is applied to all of them at once.
        let plain = Plain::new(parts.concat());
        let through = if filtered { encoded(&plain.body) } else { plain.body.clone() };
        let mut stream = Vec::new();
        for part in through.chunks(30_000) {
            stream.extend(IMGTOOL.compress(part, false));
            assert_eq!(stream.pop(), Some(0));
        }
        stream.push(0);
        let image = plain.wrap(&stream, &IMGTOOL, filtered);
        assert!(into_slot(&image, 256).unwrap() == plain.image());
        assert!(into_ram(&image, 256, 120_000).unwrap() == plain.image());
    }
}

/// What the filter makes of `body`: a stream that liblzma is told has no filter.
fn encoded(body: &[u8]) -> Vec<u8> {
    let stream = IMGTOOL.compress(body, true);
    IMGTOOL.decompress(&stream, false, body.len()).unwrap()
}

#[test]
fn calls_are_seen_across_the_ends_of_pieces_and_of_the_window() {
    let plain = Plain { header_size: 33, ..Plain::new(code(&mut Random(2), 9_000)) };
    let parameters = Parameters { dictionary: 4096, ..IMGTOOL };
    let image = plain.compressed(&parameters, true);
    for piece in 1..40 {
        assert!(into_slot(&image, piece).unwrap() == plain.image(), "pieces of {piece}");
        assert!(into_ram(&image, piece, 4096 + MARGIN).unwrap() == plain.image());
    }
}
