//! Compressed images: what they are made of, and what inspection tells of them.

use updraft_image::{CompressionError, Flags, Header, TlvType, Version};
use updraft_sign::{
    Compression, DecompressError, Key, NamedKey, Padding, SignError, SignOptions, decompress,
    inspect, sign,
};

use crate::vectors::{file, text};

fn key() -> Key {
    Key::from_pem(&text("keys/ed25519.pem")).unwrap()
}

fn options() -> SignOptions {
    SignOptions { pad_header: true, ..SignOptions::new(Version::new(1, 2, 3, 4), 0x80, 0x8000) }
}

fn compressed(options: &SignOptions) -> (SignOptions, Vec<u8>) {
    let options = SignOptions { compression: Some(Compression::Lzma2ArmThumb), ..options.clone() };
    let image = sign(&file("payload/comp.bin"), &options, Some(&key())).unwrap();
    (options, image)
}

fn flags(image: &[u8]) -> Flags {
    Header::parse(image).unwrap().flags
}

#[test]
fn a_compressed_image_decompresses_to_the_image_without_compression() {
    let plain = sign(&file("payload/comp.bin"), &options(), Some(&key())).unwrap();
    let (_, image) = compressed(&options());
    assert!(image.len() < plain.len() / 20);
    assert!(decompress(&image).unwrap() == plain);
    assert!(image == file("img/lzma2armthumb.bin"));
}

#[test]
fn flags_that_the_signature_covers_are_kept() {
    let plain = SignOptions { non_bootable: true, ..options() };
    let (_, image) = compressed(&plain);
    assert!(flags(&image).contains(Flags::NON_BOOTABLE | Flags::COMPRESSED_LZMA2));
    let expected = sign(&file("payload/comp.bin"), &plain, Some(&key())).unwrap();
    assert!(decompress(&image).unwrap() == expected);
}

#[test]
fn what_compression_does_not_make_smaller_stays_as_it_is() {
    let noise = file("payload/a.bin");
    for options in [options(), SignOptions { padding: Padding::Confirmed, ..options() }] {
        let plain = sign(&noise, &options, Some(&key())).unwrap();
        let options = SignOptions { compression: Some(Compression::Lzma2), ..options };
        assert!(sign(&noise, &options, Some(&key())).unwrap() == plain);
    }
    assert!(sign(&[], &compressed(&options()).0, None).is_ok());
}

#[test]
fn an_image_that_fits_only_compressed_is_refused() {
    // It ends up in a primary slot, uncompressed.
    let options = SignOptions {
        compression: Some(Compression::Lzma2),
        ..SignOptions::new(Version::default(), 32, 0x4000)
    };
    let options = SignOptions { pad_header: true, ..options };
    let error = sign(&file("payload/comp.bin"), &options, None).unwrap_err();
    assert!(matches!(error, SignError::TooLarge { slot: 0x4000, .. }), "{error}");
}

#[test]
fn inspection_looks_inside() {
    let keys = [NamedKey { name: "ed25519".into(), key: key().public().clone() }];
    let (_, image) = compressed(&options());
    let inspection = inspect(&image, &keys).unwrap();
    let words: Vec<_> = inspection
        .tlvs
        .iter()
        .map(|tlv| (tlv.name.as_str(), tlv.meaning.as_deref().unwrap_or_default()))
        .collect();
    let expected = [
        ("DECOMP_SIZE", "16384 bytes of body when decompressed"),
        ("DECOMP_SHA", "matches the decompressed image"),
        ("DECOMP_SIGNATURE", "good, by ed25519, of the decompressed image"),
        ("SHA256", "matches the content"),
        ("KEYHASH", "ed25519"),
        ("ED25519", "good, by ed25519"),
    ];
    assert_eq!(words, expected);
    assert_eq!(inspection.findings, [""; 0]);
    assert_eq!(inspection.uncompressed.unwrap().body_size, 16384);

    let encrypted = inspect(&file("img/lzma2-enc.bin"), &keys).unwrap();
    let size = encrypted.tlvs.iter().find(|tlv| tlv.kind == TlvType::COMP_DEC_SIZE.0).unwrap();
    let meaning = size.meaning.as_deref();
    assert_eq!(meaning, Some("194 bytes of compressed body before encryption"));
    assert!(encrypted.uncompressed.is_none());
}

#[test]
fn what_does_not_decompress_to_what_was_signed_is_found() {
    let found = |change: fn(&mut Vec<u8>)| {
        let (_, mut image) = compressed(&options());
        change(&mut image);
        inspect(&image, &[]).unwrap().findings
    };
    // Header, two bytes, stream, info, DECOMP_SIZE, then 4 bytes and DECOMP_SHA.
    let findings = found(|image| image[0x80 + 194 + 4 + 8 + 4] ^= 1);
    let text = "the body does not decompress to what DECOMP_SHA says";
    assert!(findings.iter().any(|finding| finding == text), "{findings:?}");
    let findings = found(|image| image[0x80 + 100] ^= 0x55);
    assert!(findings.iter().any(|finding| finding.contains("decompress")), "{findings:?}");
}

#[test]
fn what_is_not_compressed_is_not_decompressed() {
    let plain = sign(&file("payload/comp.bin"), &options(), None).unwrap();
    let flags = Flags::default();
    assert_eq!(decompress(&plain), Err(DecompressError::Image(CompressionError::Flags { flags })));
    assert!(matches!(decompress(b"short"), Err(DecompressError::Header(_))));
}
