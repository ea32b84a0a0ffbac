//! What a bootloader may ask for beyond a hash and a signature.

use crate::vectors::{file, manifest, unhex};
use updraft_image::{
    BoardIds, Digest, HashKind, HashOnly, Header, HeaderError, OutOfRange, PublicKey, Refusal,
    Rules, Scheme, Signed, Software, Strictness, TlvEntry, TlvKind, TlvType, Validated, validate,
};

fn ask(image: &[u8], key: &str, rules: &Rules) -> Result<Validated, Refusal<OutOfRange>> {
    let der = manifest().key(key);
    let keys = [PublicKey::from_der(&der).unwrap()];
    let header = Header::parse(image).unwrap();
    let mut source = image;
    // A slot is larger than its image.
    let mut slot = image.to_vec();
    slot.resize(0x8000, 0xff);
    if image.len() < slot.len() {
        source = &slot;
    }
    validate(&mut source, &header, rules, &mut Software::new(&keys))
}

fn counter(minimum: u32, strictness: Strictness) -> Rules {
    Rules { security_counter: Some(minimum), strictness, ..Rules::default() }
}

#[test]
fn accepts_a_security_counter_that_is_high_enough_and_reports_it() {
    let image = file("img/seccnt-num.bin");
    let accepted = ask(&image, "ecdsa-p256", &counter(0x1234, Strictness::Strict)).unwrap();
    assert_eq!(accepted.security_counter, Some(0x1234));
    assert_eq!(accepted.key, Some(0));
    assert_eq!(accepted.size as usize, image.len());
    assert_eq!(
        ask(&image, "ecdsa-p256", &counter(0x1235, Strictness::Strict)),
        Err(Refusal::SecurityCounter { found: 0x1234, minimum: 0x1235 })
    );
    assert_eq!(ask(&image, "ecdsa-p256", &Rules::default()).unwrap().security_counter, None);
}

#[test]
fn refuses_an_image_without_security_counter_where_one_is_asked_for() {
    let image = file("img/ecdsa-p256.bin");
    let refused = ask(&image, "ecdsa-p256", &counter(0, Strictness::Strict));
    assert_eq!(refused, Err(Refusal::NoSecurityCounter));
}

#[test]
fn refuses_a_security_counter_that_nobody_signed_unless_it_imitates() {
    let image = file("bad/p256-unprot-seccnt.bin");
    let strict = ask(&image, "ecdsa-p256", &counter(0, Strictness::Strict));
    let Err(Refusal::NotAllowed { entry: TlvEntry { kind, area, .. } }) = strict else {
        panic!("{strict:?}");
    };
    assert_eq!((kind, area), (TlvType::SEC_CNT, TlvKind::Unprotected));
    assert!(ask(&image, "ecdsa-p256", &counter(0, Strictness::Imitate)).is_ok());
}

/// The original compares as many bytes as there are: nothing at all names the first key.
#[test]
fn refuses_the_beginning_of_a_key_hash_unless_it_imitates() {
    for (key, name) in [("ecdsa-p256", "p256"), ("ed25519", "ed25519")] {
        for part in ["empty", "short"] {
            let image = file(&format!("bad/{name}-keyhash-{part}.bin"));
            let rules = |strictness| Rules { strictness, ..Rules::default() };
            assert!(ask(&image, key, &rules(Strictness::Imitate)).is_ok(), "{name}, {part}");
            let refused = ask(&image, key, &rules(Strictness::Strict));
            assert!(refused.is_err(), "{name}, {part}: {refused:?}");
        }
    }
}

/// The original forgets a wrong signature when a right one comes behind it.
#[test]
fn refuses_a_wrong_signature_before_a_right_one_unless_it_imitates() {
    for (key, name) in [("ecdsa-p256", "p256"), ("ed25519", "ed25519")] {
        let image = file(&format!("bad/{name}-bad-then-good-sig.bin"));
        let rules = |strictness| Rules { strictness, ..Rules::default() };
        assert!(ask(&image, key, &rules(Strictness::Imitate)).is_ok(), "{name}");
        let refused = ask(&image, key, &rules(Strictness::Strict));
        assert!(matches!(refused, Err(Refusal::Signature { .. })), "{name}: {refused:?}");
        let image = file(&format!("bad/{name}-good-then-bad-sig.bin"));
        assert!(ask(&image, key, &rules(Strictness::Imitate)).is_err(), "{name}");
    }
}

/// A protected TLV that is longer than its area swallows the beginning of the next one. The
/// original walks on behind it.
#[test]
fn refuses_a_protected_tlv_that_reaches_out_of_its_area_unless_it_imitates() {
    let header = Header {
        hdr_size: Header::SIZE as u16,
        protect_tlv_size: 8,
        img_size: 64,
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.resize(Header::SIZE + 64, 0x11);
    // The area ends with the head of a TLV of 4 bytes: those that head the unprotected area.
    let (vendor, hash) = ([0xa5, 0x00], [0x10, 0x00]);
    image.extend([[0x08, 0x69], [8, 0], vendor, [4, 0]].as_flattened());
    let digest = Digest::of(HashKind::Sha256, &image);
    image.extend([[0x07, 0x69], [40, 0], hash, [32, 0]].as_flattened());
    image.extend(digest.as_bytes());
    image.resize(1024, 0xff);
    let ask = |strictness| {
        let rules = Rules { strictness, ..Rules::default() };
        validate(&mut image.as_slice(), &header, &rules, &mut HashOnly)
    };
    assert!(ask(Strictness::Imitate).is_ok());
    let refused = ask(Strictness::Strict);
    assert!(matches!(refused, Err(Refusal::Tlv(_))), "{refused:?}");
}

#[test]
fn refuses_an_image_for_another_board() {
    let image = file("img/uuid-raw.bin");
    let ids = |vendor, class| {
        let id = |text| Some(unhex(text).try_into().unwrap());
        let board = BoardIds { vendor: id(vendor), class: id(class), required: false };
        Rules { board: Some(board), ..Rules::default() }
    };
    let vendor = "12345678123456781234567812345678";
    let class = "00112233445566778899aabbccddeeff";
    let rules = ids(vendor, class);
    let validated = ask(&image, "ecdsa-p256", &rules).unwrap();
    assert!(ask(&image, "ecdsa-p256", &Rules::default()).is_ok());
    // What is to be started is asked again, with nothing of this to rely on.
    let is_for = |rules: &Rules| validated.is_for(rules.board.as_ref());
    assert!(validated.stands() && is_for(&rules) && is_for(&Rules::default()));
    assert!(!is_for(&ids(vendor, vendor)) && !is_for(&ids(class, class)));
    let other = ask(&image, "ecdsa-p256", &ids(vendor, vendor)).unwrap_err();
    assert!(matches!(other, Refusal::OtherBoard { kind: TlvType::UUID_CID, .. }), "{other:?}");
    let other = ask(&image, "ecdsa-p256", &ids(class, class)).unwrap_err();
    assert!(matches!(other, Refusal::OtherBoard { kind: TlvType::UUID_VID, .. }), "{other:?}");
    assert!(other.to_string().contains("12345678"), "{other}");
}

#[test]
fn asks_for_the_ids_that_the_board_has_where_they_are_required() {
    let image = file("img/ecdsa-p256.bin");
    let ids = |vendor, class, required| {
        let board = BoardIds { vendor, class, required };
        Rules { board: Some(board), ..Rules::default() }
    };
    let id = Some([7; 16]);
    assert!(ask(&image, "ecdsa-p256", &ids(id, id, false)).is_ok());
    assert!(ask(&image, "ecdsa-p256", &ids(None, None, true)).is_ok());
    for (vendor, class, kind) in
        [(id, None, TlvType::UUID_VID), (None, id, TlvType::UUID_CID), (id, id, TlvType::UUID_VID)]
    {
        let refused = ask(&image, "ecdsa-p256", &ids(vendor, class, true));
        assert_eq!(refused, Err(Refusal::NoBoardId { kind }));
    }
    let image = file("img/uuid-raw.bin");
    let vendor = unhex("12345678123456781234567812345678").try_into().unwrap();
    assert!(ask(&image, "ecdsa-p256", &ids(Some(vendor), None, true)).is_ok());
}

#[test]
fn a_board_id_that_nobody_signed_counts_only_where_it_imitates() {
    // The same TLV behind the signed part: an id that anybody can write there.
    let mut image = file("img/ecdsa-p256.bin");
    let info = image.len() - usize::from(unprotected_len(&image));
    let id = [[0x74, 0, 16, 0].as_slice(), &[7; 16]].concat();
    image.extend_from_slice(&id);
    let total = unprotected_len(&file("img/ecdsa-p256.bin")) + id.len() as u16;
    image[info + 2..info + 4].copy_from_slice(&total.to_le_bytes());
    let board = Some(BoardIds { vendor: Some([7; 16]), class: None, required: true });
    let rules = |strictness| Rules { board, strictness, ..Rules::default() };
    let strict = ask(&image, "ecdsa-p256", &rules(Strictness::Strict));
    assert!(matches!(strict, Err(Refusal::NotAllowed { .. })), "{strict:?}");
    assert!(ask(&image, "ecdsa-p256", &rules(Strictness::Imitate)).is_ok());
}

/// Bytes of the unprotected TLVs of an image without protected ones, information included.
fn unprotected_len(image: &[u8]) -> u16 {
    let header = Header::parse(image).unwrap();
    let info = usize::from(header.hdr_size) + header.img_size as usize;
    u16::from_le_bytes([image[info + 2], image[info + 3]])
}

#[test]
fn tells_an_unknown_key_from_no_signature() {
    let refused = ask(&file("img/ecdsa-p256.bin"), "ecdsa-p256-other", &Rules::default());
    assert_eq!(refused, Err(Refusal::NoSignature { unknown_key: true }));
    let refused = ask(&file("img/unsigned.bin"), "ecdsa-p256", &Rules::default());
    assert_eq!(refused, Err(Refusal::NoSignature { unknown_key: false }));
}

#[test]
fn accepts_the_largest_image_of_the_mode_and_none_that_is_larger() {
    let image = file("img/ecdsa-p256.bin");
    let size = image.len() as u32;
    let max = |max_size| Rules { max_size, ..Rules::default() };
    assert!(ask(&image, "ecdsa-p256", &max(size)).is_ok());
    let refused = ask(&image, "ecdsa-p256", &max(size - 1));
    assert_eq!(refused, Err(Refusal::TooLarge { size, max: size - 1 }));
}

/// The image is to blame, and not the flash that has nothing there.
#[test]
fn an_image_whose_tlvs_would_begin_at_the_end_of_the_slot_is_too_large() {
    let slot = 0x8000;
    for behind in 1..=3 {
        let mut image = file("img/unsigned.bin");
        let header = Header::parse(&image).unwrap();
        let img_size = slot - behind - u32::from(header.hdr_size);
        image[12..16].copy_from_slice(&img_size.to_le_bytes());
        for strictness in [Strictness::Strict, Strictness::Imitate] {
            let rules = Rules { strictness, ..Rules::default() };
            let refused = ask(&image, "ecdsa-p256", &rules);
            let size = slot - behind + 4;
            let too_large = HeaderError::TooLarge { size, slot };
            assert_eq!(refused, Err(Refusal::Header(too_large)), "{behind}");
        }
    }
}

#[test]
fn checks_images_hashed_with_sha_384_and_sha_512() {
    let hashed = |hash| Rules { hash, ..Rules::default() };
    for (name, hash) in [
        ("img/unsigned-sha384.bin", HashKind::Sha384),
        ("img/unsigned-sha512.bin", HashKind::Sha512),
    ] {
        let image = file(name);
        let header = Header::parse(&image).unwrap();
        let mut source = image.as_slice();
        let accepted = validate(&mut source, &header, &hashed(hash), &mut HashOnly).unwrap();
        assert_eq!(accepted.hash.kind(), hash);
        let refused = validate(&mut source, &header, &hashed(HashKind::Sha256), &mut HashOnly);
        assert_eq!(refused, Err(Refusal::NoHash { expected: HashKind::Sha256 }));
    }
    let image = file("img/ed25519-sha512.bin");
    assert!(ask(&image, "ed25519", &hashed(HashKind::Sha512)).is_ok());
}

#[test]
fn a_signature_over_the_image_counts_only_where_it_is_asked_for() {
    let pure = Rules { hash: HashKind::Sha512, signed: Signed::Image, ..Rules::default() };
    assert!(ask(&file("img/ed25519-pure-prot.bin"), "ed25519", &pure).is_ok());
    let over_hash = ask(&file("img/ed25519-sha512.bin"), "ed25519", &pure);
    assert!(over_hash.is_err(), "{over_hash:?}");
    let hash = Rules { hash: HashKind::Sha512, ..Rules::default() };
    let over_image = ask(&file("img/ed25519-pure.bin"), "ed25519", &hash);
    assert_eq!(over_image, Err(Refusal::Signature { key: 0 }));
}

#[test]
fn refuses_a_header_that_overlaps_the_body_unless_it_imitates() {
    let mut image = file("img/unsigned.bin");
    image[8..10].copy_from_slice(&16u16.to_le_bytes());
    let header = Header::parse(&image).unwrap();
    let mut source = image.as_slice();
    let strict = validate(&mut source, &header, &Rules::default(), &mut HashOnly);
    assert_eq!(strict, Err(Refusal::Header(HeaderError::HeaderSize { hdr_size: 16 })));
    let rules = Rules { strictness: Strictness::Imitate, ..Rules::default() };
    let imitated = validate(&mut source, &header, &rules, &mut HashOnly);
    assert!(!matches!(imitated, Err(Refusal::Header(_))), "{imitated:?}");
}

#[test]
fn a_key_is_known_by_its_form() {
    let keys = [
        ("rsa-2048", Scheme::Rsa2048, 256),
        ("rsa-3072", Scheme::Rsa3072, 384),
        ("ecdsa-p256", Scheme::EcdsaP256, 65),
        ("ecdsa-p384", Scheme::EcdsaP384, 97),
        ("ed25519", Scheme::Ed25519, 32),
    ];
    assert_eq!(keys.map(|(_, scheme, _)| scheme), Scheme::ALL);
    for (name, scheme, len) in keys {
        assert_eq!(name, scheme.name());
        let der = manifest().key(name);
        let key = PublicKey::from_der(&der).unwrap();
        assert_eq!((key.scheme(), key.raw().len()), (scheme, len));
        assert!(PublicKey::from_der(&der[..der.len() - 1]).is_err());
        assert!(PublicKey::from_der(&der[1..]).is_err());
    }
    assert!(PublicKey::from_der(&manifest().key("x25519")).is_err());
    assert!(PublicKey::from_der(&[]).is_err());
    // Another exponent.
    let mut rsa = manifest().key("rsa-2048");
    rsa[267] = 2;
    assert!(PublicKey::from_der(&rsa).is_err());
}
