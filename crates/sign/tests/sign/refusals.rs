//! What cannot be signed is refused with the cause and what to do about it.

use pem_rfc7468::LineEnding;
use updraft_image::{HashKind, Scheme, TlvType, UpgradeMode, Version};
use updraft_sign::{
    CustomTlvError, Key, KeyError, Padding, Placement, PrivateForm, SignError, SignOptions,
    dependencies, parse_custom_tlv, sign, sign_to_segments,
};

use crate::vectors::{file, text};

fn options() -> SignOptions {
    let options = SignOptions::new(Version::new(1, 0, 0, 0), 32, 0x8000);
    SignOptions { pad_header: true, ..options }
}

fn key(name: &str) -> Key {
    Key::from_pem(&text(&format!("keys/{name}.pem"))).unwrap()
}

#[test]
fn an_input_without_room_for_the_header() {
    let options = SignOptions { pad_header: false, ..options() };
    let mut input = vec![0; 100];
    input[7] = 9;
    let error = sign(&input, &options, None).unwrap_err();
    assert!(matches!(error, SignError::NoRoomForHeader { offset: 7, found: 9, .. }), "{error}");
    assert!(error.remedy().contains("--pad-header"));
    let error = sign(&input[..20], &options, None).unwrap_err();
    assert!(matches!(error, SignError::ShorterThanHeader { len: 20, .. }), "{error}");
}

#[test]
fn an_image_instead_of_a_build() {
    let image = file("img/ecdsa-p256.bin");
    for pad_header in [true, false] {
        let options = SignOptions { pad_header, ..options() };
        let error = sign(&image, &options, None).unwrap_err();
        assert!(matches!(error, SignError::AlreadyImage), "{error}");
    }
}

#[test]
fn an_image_that_does_not_fit_with_the_arithmetic() {
    // Header 32, hash 4 + 4 + 32, and the trailer of 128 sectors: 128 × 3 × 8 + 48.
    let options = SignOptions { align: 8, ..options() };
    let largest = 0x8000 - 3120 - 72;
    assert!(sign(&vec![1; largest], &options, None).is_ok());
    let error = sign(&vec![1; largest + 1], &options, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image does not fit: 29649 bytes + trailer 3120 = 32769 bytes, the slot has 32768: 1 \
         too many"
    );
    // Only magic, image_ok and copy_done are kept free when nothing is swapped.
    let options = SignOptions { mode: UpgradeMode::OverwriteOnly, ..options };
    assert!(sign(&vec![1; 0x8000 - 32 - 72], &options, None).is_ok());
    assert!(sign(&vec![1; 0x8000 - 32 - 71], &options, None).is_err());
}

#[test]
fn an_image_that_the_bootloader_cannot_exchange() {
    let options = SignOptions { max_image: Some(500), ..options() };
    assert!(sign(&[1; 500 - 72], &options, None).is_ok());
    let error = sign(&[1; 500 - 71], &options, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image has 501 bytes, the bootloader takes at most 500: 1 too many"
    );
}

#[test]
fn a_hash_that_does_not_go_with_the_key() {
    let with = |hash| SignOptions { hash: Some(hash), ..options() };
    for (name, hash, good) in [
        ("ecdsa-p256", HashKind::Sha256, true),
        ("ecdsa-p256", HashKind::Sha384, false),
        ("ecdsa-p256", HashKind::Sha512, false),
        ("ecdsa-p384", HashKind::Sha256, false),
        ("ecdsa-p384", HashKind::Sha384, true),
        ("ecdsa-p384", HashKind::Sha512, false),
        ("rsa-2048", HashKind::Sha256, true),
        ("rsa-3072", HashKind::Sha512, false),
        ("ed25519", HashKind::Sha256, true),
        ("ed25519", HashKind::Sha384, false),
        ("ed25519", HashKind::Sha512, true),
    ] {
        assert_eq!(sign(b"x", &with(hash), Some(&key(name))).is_ok(), good, "{name} {hash:?}");
    }
    for hash in HashKind::ALL {
        assert!(sign(b"x", &with(hash), None).is_ok());
    }
}

#[test]
fn an_rsa_key_whose_halves_do_not_belong_together() {
    let whole = key("rsa-2048").private_der(PrivateForm::Traditional, true).unwrap();
    let read = |der: &[u8]| {
        let pem = pem_rfc7468::encode_string("RSA PRIVATE KEY", LineEnding::LF, der).unwrap();
        Key::from_pem(&pem)
    };
    let image = sign(b"x", &options(), Some(&key("rsa-2048"))).unwrap();
    let minimal = sign(b"x", &options(), Some(&read(&whole).unwrap())).unwrap();
    assert_eq!(image.len(), minimal.len());
    // A bit of the private exponent.
    let mut damaged = whole.to_vec();
    damaged[4 + 3 + 261 + 5 + 4 + 100] ^= 1;
    let error = sign(b"x", &options(), Some(&read(&damaged).unwrap())).unwrap_err();
    assert!(error.to_string().contains("does not belong to its public one"), "{error}");
    // An even modulus, and another exponent.
    for (at, value) in [(4 + 3 + 260, 0), (4 + 3 + 261 + 4, 3)] {
        let mut damaged = whole.to_vec();
        damaged[at] = value;
        assert!(matches!(read(&damaged), Err(KeyError::Damaged { .. })));
    }
}

#[test]
fn a_pure_signature_without_ed25519() {
    let pure = SignOptions { pure: true, ..options() };
    assert!(sign(b"x", &pure, Some(&key("ed25519"))).is_ok());
    let error = sign(b"x", &pure, Some(&key("ecdsa-p256"))).unwrap_err();
    assert!(
        matches!(error, SignError::PureNeedsEd25519 { scheme: Some(Scheme::EcdsaP256) }),
        "{error}"
    );
    assert!(sign(b"x", &pure, None).unwrap_err().to_string().contains("missing"));
    let pure = SignOptions { hash: Some(HashKind::Sha256), ..pure };
    let error = sign(b"x", &pure, Some(&key("ed25519"))).unwrap_err();
    assert!(matches!(error, SignError::PureHash(HashKind::Sha256)), "{error}");
}

#[test]
fn custom_tlvs_that_are_not_free() {
    let with = |kinds: &[u16]| {
        let custom_tlvs = kinds.iter().map(|kind| (TlvType(*kind), vec![1])).collect();
        sign(b"x", &SignOptions { custom_tlvs, ..options() }, None)
    };
    assert!(with(&[0xa0, 0xfffe]).is_ok());
    for kind in [0x50, 0x9f, 0xffff] {
        let error = with(&[kind]).unwrap_err();
        assert!(matches!(error, SignError::CustomTlv(CustomTlvError::Type(_))), "{error}");
    }
    let error = with(&[0xa0, 0xa1, 0xa0]).unwrap_err();
    assert!(matches!(error, SignError::CustomTlv(CustomTlvError::Twice(0xa0))), "{error}");
    let long = SignOptions { custom_tlvs: vec![(TlvType(0xa0), vec![0; 65536])], ..options() };
    assert!(sign(b"x", &long, None).is_err());
    let many: Vec<_> = (0xa0..0xa4).map(|kind| (TlvType(kind), vec![0; 20000])).collect();
    let many = SignOptions { custom_tlvs: many, slot_size: 0x10_0000, ..options() };
    assert!(matches!(sign(b"x", &many, None), Err(SignError::TooManyTlvs)));
}

#[test]
fn odd_numbers() {
    let refused = |options: SignOptions| sign(b"x", &options, None).unwrap_err();
    for header_size in [0, 31, 65536] {
        let error = refused(SignOptions { header_size, ..options() });
        assert!(matches!(error, SignError::HeaderSize(_)), "{error}");
    }
    for (align, max_align) in [(3, None), (0, None), (64, None), (16, Some(8)), (8, Some(64))] {
        let padding = Padding::Pending;
        let error = refused(SignOptions { align, max_align, padding, ..options() });
        assert!(matches!(error, SignError::Align { .. }), "{error}");
    }
    // Without a trailer there is nothing that would not fit.
    assert!(sign(b"x", &SignOptions { align: 16, max_align: Some(8), ..options() }, None).is_ok());
    for placement in [Placement::RamLoad(0), Placement::RomFixed(0)] {
        let error = refused(SignOptions { placement, ..options() });
        assert!(matches!(error, SignError::ZeroAddress), "{error}");
    }
    let boot_record = Some("THIRTEEN_CHRS".into());
    let error = refused(SignOptions { boot_record, ..options() });
    assert!(matches!(error, SignError::BootRecord(_)), "{error}");
    let error = refused(SignOptions { slot_size: 0, padding: Padding::Pending, ..options() });
    assert!(matches!(error, SignError::TooLarge { .. }), "{error}");
}

#[test]
fn texts_that_are_no_options() {
    for text in ["1, 1.2.3", "(1, x)", "", "(1)", "(1, 1.0", "(1, 1.0) (2, 1.0)", "(300, 1.0)"] {
        assert!(dependencies(text).is_err(), "{text:?}");
    }
    assert_eq!(dependencies(" (1, 1.2.3+4),(0,9) ").unwrap().len(), 2);
    for text in ["0x1", "0xg0", "0x0 "] {
        assert!(parse_custom_tlv(text).is_err(), "{text:?}");
    }
    assert_eq!(parse_custom_tlv("0x"), Ok(vec![]));
    assert_eq!(parse_custom_tlv("0X00"), Ok(b"0X00".to_vec()));
}

#[test]
fn padding_in_a_slot_whose_trailer_the_bootloader_finds_elsewhere() {
    // The bootloader rounds positions down to multiples of 16, imgtool counts from the end.
    let slot_size = 0x8008;
    let options = SignOptions { slot_size, max_align: Some(16), ..options() };
    assert!(sign(&[1; 64], &options, None).is_ok(), "nothing is written to the trailer");
    for padding in [Padding::Pending, Padding::Confirmed] {
        let options = SignOptions { padding, ..options.clone() };
        let error = sign(&[1; 64], &options, None).unwrap_err();
        assert_eq!(error.to_string(), "a slot of 32776 bytes is no multiple of 16: 8 over");
        let fits = SignOptions { max_align: Some(8), ..options };
        assert_eq!(sign(&[1; 64], &fits, None).unwrap().len(), 0x8008);
    }
}

#[test]
fn addresses_past_four_gib() {
    let options = SignOptions { padding: Padding::Confirmed, ..options() };
    assert!(sign_to_segments(&[1; 64], &options, None, 0xffff_8000).is_ok());
    let error = sign_to_segments(&[1; 64], &options, None, 0xffff_8001).unwrap_err();
    assert!(matches!(error, SignError::Address { len: 0x8000, .. }), "{error}");
    let options = SignOptions { padding: Padding::None, ..options };
    assert!(sign_to_segments(&[1; 64], &options, None, 0xffff_8001).is_ok());
    assert!(sign_to_segments(&[1; 64], &options, None, 0xffff_fff0).is_err());
}
