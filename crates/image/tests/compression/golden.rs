//! Images that imgtool compressed: what they are made of, and that the image they were made of is
//! found again.

use std::path::PathBuf;

use serde_json::Value;
use updraft_image::{
    CompressionError, ContentKey, Decoder, Decompressed, Decrypted, Flags, Header, PublicKey,
    RamWindow, Refusal, Rules, Software, Source, TlvArea, TlvType, validate, validate_compressed,
};

use crate::support::{Slots, into_ram, into_slot};

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest() -> Value {
    serde_json::from_slice(&file("manifest.json")).unwrap()
}

pub fn key(name: &str) -> Vec<u8> {
    let manifest = manifest();
    unhex(manifest["keys"][name]["embedded_pub_der_hex"].as_str().unwrap())
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn rules() -> Rules {
    let supported = Flags::COMPRESSED_LZMA2 | Flags::COMPRESSED_ARM_THUMB;
    Rules { supported, ..Rules::default() }
}

fn tlv(image: &[u8], kind: TlvType) -> Option<Vec<u8>> {
    let (header, mut source) = (Header::parse(image).unwrap(), image);
    let area = TlvArea::open(&mut source, &header).unwrap();
    let entry = area.iter_bounded().find(&mut source, kind).unwrap()?;
    let mut payload = vec![0; entry.len.into()];
    source.read(entry.offset, &mut payload).unwrap();
    Some(payload)
}

#[test]
fn the_uncompressed_image_is_found_whole_and_signed() {
    for (name, signer) in [("img/lzma2.bin", "ecdsa-p256"), ("img/lzma2armthumb.bin", "ed25519")] {
        let image = file(name);
        let header = Header::parse(&image).unwrap();
        let der = key(signer);
        let keys = [PublicKey::from_der(&der).unwrap()];
        let (mut decoder, mut ring) = (Decoder::new(), vec![0; Decoder::RING]);
        let verdict = validate_compressed(
            &mut image.as_slice(),
            &header,
            &rules(),
            &mut Software::new(&keys),
            &mut decoder,
            &mut ring,
        )
        .unwrap();

        let found = into_slot(&image, 512).unwrap();
        assert!(into_ram(&image, 100, 16 << 10).unwrap() == found);
        let unpacked = Header::parse(&found).unwrap();
        assert_eq!(unpacked.flags, Flags::default());
        assert_eq!((unpacked.img_size, unpacked.protect_tlv_size), (16384, 0));
        let body = usize::from(unpacked.hdr_size);
        assert!(found[body..].starts_with(&file("payload/comp.bin")), "{name}");
        // What was in the protected area is now where an ordinary image has it.
        assert_eq!(tlv(&image, TlvType::DECOMP_SHA), tlv(&found, TlvType::SHA256));
        let signature = keys[0].scheme().tlv();
        assert_eq!(tlv(&image, TlvType::DECOMP_SIGNATURE), tlv(&found, signature));

        let ordinary = Rules::default();
        let mut slot = found.clone();
        slot.resize(found.len() + 1000, 0xff);
        let again = validate(&mut slot.as_slice(), &unpacked, &ordinary, &mut Software::new(&keys));
        assert_eq!(again, Ok(verdict));
        assert_eq!(verdict.size as usize, found.len());
    }
}

#[test]
fn a_key_that_is_not_the_signers_opens_nothing() {
    let image = file("img/lzma2.bin");
    let header = Header::parse(&image).unwrap();
    let der = key("ecdsa-p256-other");
    let keys = [PublicKey::from_der(&der).unwrap()];
    let (mut decoder, mut ring) = (Decoder::new(), vec![0; Decoder::RING]);
    let verdict = validate_compressed(
        &mut image.as_slice(),
        &header,
        &rules(),
        &mut Software::new(&keys),
        &mut decoder,
        &mut ring,
    );
    assert_eq!(verdict, Err(Refusal::NoSignature { unknown_key: true }));
}

#[test]
fn an_encrypted_image_is_decrypted_on_the_way() {
    let image = file("img/lzma2-enc.bin");
    let header = Header::parse(&image).unwrap();
    let manifest = manifest();
    let mut vectors = manifest["vectors"].as_array().unwrap().iter();
    let vector = vectors.find(|vector| vector["file"] == "img/lzma2-enc.bin").unwrap();
    let content_key = ContentKey::from_slice(&unhex(vector["aes_key_hex"].as_str().unwrap()));
    let content_key = content_key.unwrap();
    let der = key("ecdsa-p256");
    let keys = [PublicKey::from_der(&der).unwrap()];

    // Verified before anything is written …
    let rules = Rules { supported: Flags::COMPRESSED | Flags::ENCRYPTED, ..Rules::default() };
    let mut plain = Decrypted::with_key(image.as_slice(), &header, Some(&content_key)).unwrap();
    let (mut decoder, mut ring) = (Decoder::new(), vec![0; Decoder::RING]);
    let verdict = validate_compressed(
        &mut plain,
        &header,
        &rules,
        &mut Software::new(&keys),
        &mut decoder,
        &mut ring,
    )
    .unwrap();

    // … and where it is written, by way of the slot.
    let slots = Decrypted::with_key(Slots::new(&image), &header, Some(&content_key)).unwrap();
    let mut piece = [0; 512];
    let mut unpacked = Decompressed::open(slots, &header, &mut decoder, &mut piece).unwrap();
    let mut found = Vec::new();
    while let Some(piece) = unpacked.next_piece().unwrap() {
        piece.window.source_mut().primary.extend_from_slice(piece.bytes);
        found.extend_from_slice(piece.bytes);
    }
    let unpacked = Header::parse(&found).unwrap();
    // The flag stays where the body is plaintext, as it does in every primary slot.
    assert_eq!(unpacked.flags, Flags::ENCRYPTED_AES128);
    assert_eq!(tlv(&image, TlvType::ENCEC256), tlv(&found, TlvType::ENCEC256));
    let mut slot = found.clone();
    slot.resize(found.len() + 1000, 0xff);
    let again = validate(&mut slot.as_slice(), &unpacked, &rules, &mut Software::new(&keys));
    assert_eq!(again, Ok(verdict));
}

#[test]
fn an_image_that_imgtool_could_not_compress_is_an_ordinary_one() {
    let image = file("img/lzma2-incompressible.bin");
    let error = into_slot(&image, 512).unwrap_err();
    assert_eq!(error, CompressionError::Flags { flags: Flags::default() });
}

#[test]
fn the_source_of_an_uncompressed_image_can_be_read_in_any_order() {
    let image = file("img/lzma2armthumb.bin");
    let header = Header::parse(&image).unwrap();
    let expected = into_slot(&image, 4096).unwrap();
    let (mut decoder, mut ring, mut piece) = (Decoder::new(), vec![0; Decoder::RING], [0; 100]);
    let window = RamWindow::new(image.as_slice(), &mut ring);
    let mut source = Decompressed::open(window, &header, &mut decoder, &mut piece).unwrap();
    assert_eq!(source.size() as usize, expected.len());
    let len = expected.len();
    for (from, to) in [(0, len), (len - 3, len), (0, 40), (20, 2000), (len / 2, len), (5, 5)] {
        let mut found = vec![0; to - from];
        source.read(from as u32, &mut found).unwrap();
        assert!(found == expected[from..to], "{from}..{to}");
    }
    let size = source.size();
    assert_eq!(
        source.read(size, &mut [0]),
        Err(CompressionError::OutOfRange { offset: size, size })
    );
}

#[test]
fn an_image_that_grows_too_large_is_refused_before_it_is_decompressed() {
    let image = file("img/lzma2.bin");
    let header = Header::parse(&image).unwrap();
    let rules = Rules { max_size: 16 << 10, ..rules() };
    let der = key("ecdsa-p256");
    let keys = [PublicKey::from_der(&der).unwrap()];
    let (mut decoder, mut ring) = (Decoder::new(), vec![0; Decoder::RING]);
    let verdict = validate_compressed(
        &mut image.as_slice(),
        &header,
        &rules,
        &mut Software::new(&keys),
        &mut decoder,
        &mut ring,
    );
    let size = into_slot(&image, 512).unwrap().len() as u32;
    assert_eq!(verdict, Err(Refusal::TooLarge { size, max: 16 << 10 }));
}

#[test]
fn a_decoder_takes_less_than_28_and_a_half_kibibytes() {
    println!("RAM of a decoder: {} bytes", Decoder::RAM);
    const { assert!(Decoder::RAM <= 28 * 1024 + 512) };
}
