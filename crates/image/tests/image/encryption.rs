//! Encrypted images: content keys out of their TLVs, plaintext out of bodies, keys in trailers.

use std::sync::LazyLock;

use crate::vectors::{Manifest, Tally, Vector, file, manifest, unhex};
use proptest::prelude::*;
use updraft_image::encryption::{
    AesKeyWrap, EciesP256, EciesX25519, HmacSha256, HmacSha512, RsaOaep,
};
use updraft_image::{
    BodyCipher, ContentKey, Decrypted, Digest, Flags, HashKind, HashOnly, Header, HeaderError,
    KeyLength, KeySlot, KeyUnwrap, NoPrivateKey, Refusal, Rules, SavedKey, Source, TlvArea,
    TlvEntry, TlvKind, TlvType, TlvWriter, TrailerKeys, TrailerLayout, UnwrapError, UpgradeMode,
    WrapFormat, WrappedKey, image_hash, validate,
};

static MANIFEST: LazyLock<Manifest> = LazyLock::new(manifest);

fn encrypted() -> impl Iterator<Item = &'static Vector> {
    MANIFEST.vectors.iter().filter(|vector| vector.aes_key_hex.is_some())
}

fn vector(file: &str) -> &'static Vector {
    encrypted().find(|vector| vector.file == file).unwrap()
}

fn tlv(image: &[u8], wanted: impl Fn(TlvType) -> bool) -> TlvEntry {
    let mut source = image;
    let header = Header::parse(image).unwrap();
    let mut tlvs = TlvArea::open(&mut source, &header).unwrap().iter();
    loop {
        let entry = tlvs.next(&mut source).unwrap().expect("the TLV is there");
        if wanted(entry.kind) {
            return entry;
        }
    }
}

fn encryption_tlv(image: &[u8]) -> TlvEntry {
    tlv(image, TlvType::is_encryption)
}

fn length(header: &Header) -> KeyLength {
    KeyLength::ALL.into_iter().find(|length| header.flags.contains(length.flag())).unwrap()
}

/// The image of a vector, its header, and the device that it was encrypted for.
fn image_and_device(vector: &Vector) -> (Vec<u8>, Header, Box<dyn KeyUnwrap>) {
    let image = file(&vector.file);
    let header = Header::parse(&image).unwrap();
    let kind = encryption_tlv(&image).kind;
    let device = MANIFEST.device(vector.enc_key.as_ref().unwrap(), kind.0, length(&header));
    (image, header, device)
}

fn read(source: &mut impl Source, at: u32, len: u32) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    source.read(at, &mut bytes).unwrap_or_else(|_| panic!("{len} bytes at {at}"));
    bytes
}

#[test]
fn every_image_of_imgtool_gives_its_content_key_and_its_plaintext() {
    let mut tally = Tally::default();
    for vector in encrypted() {
        let name = &vector.file;
        let (image, header, mut device) = image_and_device(vector);
        tally.run();
        let format = device.format();
        let wrapped = WrappedKey::find(&mut &image[..], &header, format).unwrap().unwrap();
        let key = wrapped.unwrap(&mut *device).unwrap();
        assert_eq!(key.as_bytes(), unhex(vector.aes_key_hex.as_ref().unwrap()), "{name}");
        if name == "img/enc-p256-clear.bin" {
            // Made to be put into a primary slot: the flag and the TLV are there, the body is
            // not encrypted.
            let hash = image_hash(&mut &image[..], &header, HashKind::Sha256).unwrap();
            assert_eq!(Some(hash.to_string()), vector.image_hash);
            continue;
        }
        let mut plain = Decrypted::open(&image[..], &header, &mut *device).unwrap();
        let body = read(&mut plain, header.hdr_size.into(), header.img_size);
        if let Some(expected) = &vector.plain_sha256 {
            assert_eq!(&Digest::of(HashKind::Sha256, &body).to_string(), expected, "{name}");
        }
        let entry = tlv(&image, |kind| HashKind::from_tlv(kind).is_some());
        let kind = HashKind::from_tlv(entry.kind).unwrap();
        let hash = image_hash(&mut plain, &header, kind).unwrap();
        assert_eq!(hash.as_bytes(), &image[entry.offset as usize..][..kind.size()], "{name}");
    }
    assert_eq!(tally.report("encrypted images"), (15, 15));
}

#[test]
fn an_encrypted_image_is_valid_as_plaintext_only() {
    let (image, header, mut device) = image_and_device(vector("img/enc-unsigned-x25519.bin"));
    let rules = Rules { supported: Flags::ENCRYPTED, ..Rules::default() };
    let slot = [&image[..], &[0xff; 100]].concat();
    let refusal = validate(&mut &slot[..], &header, &rules, &mut HashOnly).unwrap_err();
    assert!(matches!(refusal, Refusal::Hash { .. }), "{refusal}");
    let mut plain = Decrypted::open(&slot[..], &header, &mut *device).unwrap();
    validate(&mut plain, &header, &rules, &mut HashOnly).unwrap();

    // What a bootloader leaves in the primary slot: plaintext, with the flag.
    let primary = read(&mut plain, 0, slot.len() as u32);
    validate(&mut &primary[..], &header, &rules, &mut HashOnly).unwrap();
    let refusal = validate(&mut &primary[..], &header, &Rules::default(), &mut HashOnly);
    let flags = Flags::ENCRYPTED_AES128;
    assert_eq!(refusal, Err(Refusal::Header(HeaderError::Flags { flags })));
}

#[test]
fn an_image_without_the_flag_is_read_as_it_is() {
    let image = file("img/unsigned.bin");
    let header = Header::parse(&image).unwrap();
    let mut plain = Decrypted::open(&image[..], &header, &mut NoPrivateKey).unwrap();
    assert_eq!(read(&mut plain, 0, image.len() as u32), image);
    assert!(WrappedKey::find(&mut &image[..], &header, None).unwrap().is_none());
}

#[test]
fn what_cannot_be_unwrapped_says_why() {
    let (image, header, mut device) = image_and_device(vector("img/enc-x25519-128.bin"));
    let open = |image: &[u8], device: &mut dyn KeyUnwrap| {
        let header = Header::parse(image).unwrap();
        Decrypted::open(image, &header, device).map(|_| ()).unwrap_err()
    };
    let entry = encryption_tlv(&image);
    let changed = |at: u32, byte: u8| {
        let mut image = image.clone();
        image[(entry.offset + at) as usize] ^= byte;
        image
    };
    assert_eq!(open(&image, &mut NoPrivateKey), Refusal::ContentKey(UnwrapError::NoPrivateKey));
    for at in [0, 32, 63, 64, 79] {
        assert_eq!(open(&changed(at, 1), &mut *device), Refusal::ContentKey(UnwrapError::Tag));
    }
    let mut zero = image.clone();
    zero[entry.offset as usize..][..32].fill(0);
    assert_eq!(open(&zero, &mut *device), Refusal::ContentKey(UnwrapError::PublicKey));

    let other = |name, kind: TlvType| MANIFEST.device(name, kind.0, KeyLength::Aes128);
    assert_eq!(
        open(&image, &mut *other("x25519-other", TlvType::ENCX25519)),
        Refusal::ContentKey(UnwrapError::Tag)
    );
    for (name, expected) in
        [("enc-ecdsa-p256", TlvType::ENCEC256), ("enc-x25519", TlvType::ENCX25519_SHA512)]
    {
        let found = TlvType::ENCX25519;
        assert_eq!(
            open(&image, &mut *other(name, expected)),
            Refusal::ContentKey(UnwrapError::Type { found, expected })
        );
    }
    // A device for longer content keys takes no shorter ones.
    let mut longer = <EciesX25519>::from_pkcs8(&MANIFEST.private("enc-x25519"), KeyLength::Aes256);
    assert_eq!(open(&image, longer.as_mut().unwrap()), Refusal::TlvLength { entry });
    assert_eq!(
        longer.unwrap().unwrap(entry.kind, &image[entry.offset as usize..][..80]).unwrap_err(),
        UnwrapError::Length { found: 80, expected: 96 }
    );
    // No encryption TLV at all: the type is changed to one of no meaning.
    let mut none = image.clone();
    none[entry.offset as usize - 4..][..2].copy_from_slice(&0x00a0_u16.to_le_bytes());
    let expected = TlvType::ENCX25519;
    assert_eq!(open(&none, &mut *device), Refusal::NoContentKey { expected });

    let mut both = header;
    both.flags = Flags::ENCRYPTED;
    let both = [&both.emit()[..], &image[32..]].concat();
    let flags = Flags::ENCRYPTED;
    assert_eq!(open(&both, &mut *device), Refusal::Header(HeaderError::Flags { flags }));
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let (image, header, mut device) = image_and_device(vector("img/enc-p256-128.bin"));
    let entry = encryption_tlv(&image);
    for at in [0, 1, 64] {
        let mut image = image.clone();
        image[entry.offset as usize + at] ^= 1;
        let mut device = MANIFEST.device("enc-ecdsa-p256", 0x32, KeyLength::Aes128);
        let refusal = Decrypted::open(&image[..], &header, &mut *device).map(|_| ()).unwrap_err();
        assert_eq!(refusal, Refusal::ContentKey(UnwrapError::PublicKey), "byte {at}");
    }
    Decrypted::open(&image[..], &header, &mut *device).unwrap();
}

#[test]
fn a_length_that_reaches_past_the_slot_is_refused_before_it_is_read() {
    let (image, header, mut device) = image_and_device(vector("img/enc-p256-128.bin"));
    for cut in [1, 100, 300, 5000, image.len() - 33] {
        let slot = &image[..image.len() - cut];
        let refusal = Decrypted::open(slot, &header, &mut *device).map(|_| ()).unwrap_err();
        assert!(!matches!(refusal, Refusal::ContentKey(_)), "{cut}: {refusal}");
    }
}

/// The bytes of a C array.
fn listing(name: &str) -> Vec<u8> {
    let text = String::from_utf8(file(name)).unwrap();
    text.split("0x").skip(1).map(|digits| unhex(&digits[..2])[0]).collect()
}

#[test]
fn private_keys_are_read_with_and_without_their_public_halves() {
    let aes128 = KeyLength::Aes128;
    for (keys, len) in [("priv-pkcs8", 138), ("priv-pkcs8-min", 67)] {
        let bytes = listing(&format!("keyout/ecdsa-p256.{keys}"));
        assert_eq!(bytes.len(), len);
        let key = EciesP256::from_pkcs8(&bytes, aes128).unwrap();
        assert_eq!(format!("{key:?}"), "EciesP256(AES-128)");
        for damaged in 0..bytes.len() {
            assert!(EciesP256::from_pkcs8(&bytes[..damaged], aes128).is_err());
        }
        assert!(<EciesX25519>::from_pkcs8(&bytes, aes128).is_err());
    }
    for (keys, len) in [("priv-openssl", 1193), ("priv-openssl-min", 797)] {
        let bytes = listing(&format!("keyout/rsa-2048.{keys}"));
        assert_eq!(bytes.len(), len);
        RsaOaep::from_pkcs1(&bytes, aes128).unwrap();
        for damaged in (0..len).step_by(13) {
            assert!(RsaOaep::from_pkcs1(&bytes[..damaged], aes128).is_err());
        }
    }
    let rsa_3072 = listing("keyout/rsa-3072.priv-openssl");
    assert!(RsaOaep::from_pkcs1(&rsa_3072, aes128).is_err(), "only RSA-2048 has a TLV");
    let x25519 = MANIFEST.private("enc-x25519");
    <EciesX25519>::from_pkcs8(&x25519, aes128).unwrap();
    assert!(EciesP256::from_pkcs8(&x25519, aes128).is_err());
    let ed25519 = MANIFEST.private("ed25519");
    let error = <EciesX25519>::from_pkcs8(&ed25519, aes128).unwrap_err();
    assert_eq!(error.len, 48);
}

#[test]
fn keys_are_never_printed() {
    let key = ContentKey::from_slice(&[0xa5; 16]).unwrap();
    let wrapping = AesKeyWrap::from_slice(&[0x5a; 16]).unwrap();
    let wrapped = wrapping.seal(&key).unwrap();
    let saved = TrailerKeys::Plain(KeyLength::Aes128).save(&wrapped, &key);
    let printed = format!("{key:?} {wrapping:?} {saved:?}");
    assert_eq!(printed, "ContentKey(AES-128) AesKeyWrap(AES-128) SavedKey(16 bytes)");
}

#[test]
fn key_wrap_is_that_of_the_rfc() {
    // RFC 3394, 4.1 and 4.6.
    let kek = unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let data = unhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    for (len, expected) in [
        (16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"),
    ] {
        let mut wrapping = AesKeyWrap::from_slice(&kek[..len]).unwrap();
        let key = ContentKey::from_slice(&data[..len]).unwrap();
        let wrapped = wrapping.seal(&key).unwrap();
        assert_eq!(wrapped.as_bytes(), unhex(expected));
        assert_eq!(wrapped.unwrap(&mut wrapping).unwrap().as_bytes(), key.as_bytes());
        assert_eq!(wrapped.kind(), TlvType::ENCKW);
        for at in 0..wrapped.as_bytes().len() {
            let mut changed = wrapped.as_bytes().to_vec();
            changed[at] ^= 0x80;
            let refused = wrapping.unwrap(TlvType::ENCKW, &changed).unwrap_err();
            assert_eq!(refused, UnwrapError::Tag);
        }
    }
    assert!(AesKeyWrap::from_slice(&kek[..24]).is_none());
    let key = ContentKey::from_slice(&data[..16]).unwrap();
    assert!(AesKeyWrap::from_slice(&kek).unwrap().seal(&key).is_none());
}

/// An unsigned image of `body` behind a header of `hdr_size` bytes, encrypted with `key` when
/// that is asked for.
fn image(hdr_size: u16, body: &[u8], key: &ContentKey, wrapped: Option<&WrappedKey>) -> Vec<u8> {
    let header = Header {
        hdr_size,
        img_size: body.len() as u32,
        flags: key.length().flag(),
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.resize(hdr_size.into(), 0);
    image.extend_from_slice(body);
    let hash = Digest::of(HashKind::Sha256, &image);
    let mut area = [0; 400];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).unwrap();
    tlvs.push(TlvType::SHA256, hash.as_bytes()).unwrap();
    if let Some(wrapped) = wrapped {
        tlvs.push(wrapped.kind(), wrapped.as_bytes()).unwrap();
        BodyCipher::new(key, &header).unwrap().apply(0, &mut image);
    }
    image.extend_from_slice(tlvs.finish());
    image.push(0xff);
    image
}

fn content_key() -> impl Strategy<Value = Vec<u8>> {
    any::<([u8; 32], bool)>().prop_map(|(key, long)| key[..if long { 32 } else { 16 }].to_vec())
}

/// Wraps `key` for the golden keys in every way.
fn sealed(random: &[u8; 32], key: &ContentKey) -> [(WrappedKey, &'static str); 5] {
    let point = &MANIFEST.key("enc-ecdsa-p256")[26..];
    let x25519 = MANIFEST.key("enc-x25519")[12..].try_into().unwrap();
    let rsa = MANIFEST.key("enc-rsa-2048");
    let kek = match key.length() {
        KeyLength::Aes128 => "enc-aes128kw",
        KeyLength::Aes256 => "enc-aes256kw",
    };
    let wrapping = AesKeyWrap::from_slice(&MANIFEST.private(kek)).unwrap();
    [
        // One number in 2³² is no private key.
        (EciesP256::seal(random, point, key).unwrap(), "enc-ecdsa-p256"),
        (EciesX25519::<HmacSha256>::seal(random, &x25519, key).unwrap(), "enc-x25519"),
        (EciesX25519::<HmacSha512>::seal(random, &x25519, key).unwrap(), "enc-x25519"),
        (RsaOaep::seal(random, &rsa, key).unwrap(), "enc-rsa-2048"),
        (wrapping.seal(key).unwrap(), kek),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_is_sealed_opens_for_its_recipient_alone(
        random in any::<[u8; 32]>(),
        key in content_key(),
        hdr_size in 32..200_u16,
        body in prop::collection::vec(any::<u8>(), 0..600),
        at in any::<prop::sample::Index>(),
    ) {
        let key = ContentKey::from_slice(&key).unwrap();
        let length = key.length();
        let rules = Rules { supported: length.flag(), ..Rules::default() };
        for (wrapped, name) in sealed(&random, &key) {
            let mut device = MANIFEST.device(name, wrapped.kind().0, length);
            let format = device.format().unwrap();
            prop_assert_eq!((format.kind(), format.key()), (wrapped.kind(), length));
            prop_assert_eq!(format.payload_len(), wrapped.as_bytes().len());

            let mut changed = wrapped.as_bytes().to_vec();
            changed[at.index(format.payload_len())] ^= 1;
            let refused = device.unwrap(format.kind(), &changed).unwrap_err();
            prop_assert!(matches!(refused, UnwrapError::Tag | UnwrapError::PublicKey));

            let image = image(hdr_size, &body, &key, Some(&wrapped));
            let header = Header::parse(&image).unwrap();
            let mut plain = Decrypted::open(&image[..], &header, &mut *device).unwrap();
            prop_assert!(validate(&mut plain, &header, &rules, &mut HashOnly).is_ok());
            prop_assert_eq!(read(&mut plain, hdr_size.into(), body.len() as u32), &body[..]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_body_is_decrypted_from_any_byte_on_and_nothing_else_is(
        key in content_key(),
        hdr_size in 32..100_u16,
        body in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let key = ContentKey::from_slice(&key).unwrap();
        let wrapped = AesKeyWrap::from_slice(&[1; 32][..key.as_bytes().len()]).unwrap().seal(&key);
        let encrypted = image(hdr_size, &body, &key, wrapped.as_ref());
        let header = Header::parse(&encrypted).unwrap();
        let (start, end) = (usize::from(hdr_size), header.tlv_offset().unwrap() as usize);
        let mut plain = Decrypted::with_key(&encrypted[..], &header, Some(&key)).unwrap();
        let whole = read(&mut plain, 0, encrypted.len() as u32);
        prop_assert_eq!(&whole[..start], &encrypted[..start]);
        prop_assert_eq!(&whole[start..end], &body[..]);
        prop_assert_eq!(&whole[end..], &encrypted[end..]);

        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(encrypted.len())).collect();
        cuts.extend([0, encrypted.len()]);
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            let part = read(&mut plain, piece[0] as u32, (piece[1] - piece[0]) as u32);
            prop_assert_eq!(&part[..], &whole[piece[0]..piece[1]]);
        }
        // Encrypting is the same operation.
        let mut again = whole;
        BodyCipher::new(&key, &header).unwrap().apply(0, &mut again);
        prop_assert_eq!(again, encrypted);
    }
}

#[test]
fn the_counter_is_the_block_number_in_the_body() {
    let key = ContentKey::from_slice(&unhex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
    let header = Header { hdr_size: 40, img_size: u32::MAX - 40, ..Header::default() };
    let cipher = BodyCipher::new(&key, &header).unwrap();
    // AES-128 of the counter blocks 0, 1 and 0x01020304, from another implementation.
    for (block, expected) in [
        (0, "7df76b0c1ab899b33e42f047b91b546f"),
        (1, "57127d4034b1bebfaef466b9c7726fc6"),
        (0x0102_0304, "617ee84907badaf6f33dafef93e5d45f"),
    ] {
        let mut stream = [0; 16];
        cipher.apply(40 + block * 16, &mut stream);
        assert_eq!(stream.to_vec(), unhex(expected), "block {block:#x}");
    }
}

#[test]
fn the_end_of_the_address_space_is_no_trouble() {
    let key = ContentKey::from_slice(&[3; 32]).unwrap();
    let header = Header { hdr_size: 32, img_size: u32::MAX - 32, ..Header::default() };
    let cipher = BodyCipher::new(&key, &header).unwrap();
    let mut piece = [0; 64];
    cipher.apply(u32::MAX - 16, &mut piece);
    assert_eq!(piece[16..], [0; 48], "nothing behind the body is touched");
    assert_ne!(piece[..16], [0; 16]);
    let header = Header { hdr_size: 33, img_size: u32::MAX - 32, ..Header::default() };
    assert_eq!(BodyCipher::new(&key, &header).unwrap_err(), HeaderError::Overflow);
}

#[test]
fn keys_are_saved_as_they_are_or_wrapped() {
    let (image, header, mut device) = image_and_device(vector("img/enc-p256-128.bin"));
    let format = device.format().unwrap();
    let wrapped = WrappedKey::find(&mut &image[..], &header, Some(format)).unwrap().unwrap();
    let key = wrapped.unwrap(&mut *device).unwrap();

    let plain = TrailerKeys::Plain(KeyLength::Aes128);
    let saved = plain.save(&wrapped, &key);
    assert_eq!(saved.as_bytes(), key.as_bytes());
    let restored = plain.restore(&saved, &mut NoPrivateKey).unwrap();
    assert_eq!(restored.as_bytes(), key.as_bytes());
    let longer = TrailerKeys::Plain(KeyLength::Aes256);
    let refused = longer.restore(&saved, &mut NoPrivateKey).unwrap_err();
    assert_eq!(refused, UnwrapError::KeyLength { found: 16 });

    let tlvs = TrailerKeys::Wrapped(format);
    let saved = tlvs.save(&wrapped, &key);
    assert_eq!(saved.as_bytes(), wrapped.as_bytes());
    let refused = tlvs.restore(&saved, &mut NoPrivateKey).unwrap_err();
    assert_eq!(refused, UnwrapError::NoPrivateKey);
    assert_eq!(tlvs.restore(&saved, &mut *device).unwrap().as_bytes(), key.as_bytes());

    let absent = SavedKey::absent(tlvs);
    assert!(!absent.is_present(0xff) && !absent.is_present(0));
    assert!(saved.is_present(0xff) && saved.is_present(0));
}

#[test]
fn key_fields_lie_below_the_swap_size_key_0_above_key_1() {
    const SLOT: u32 = 0x2_0000;
    let wrap = |kind, key| TrailerKeys::Wrapped(WrapFormat::new(kind, key).unwrap());
    let (aes128, aes256) = (KeyLength::Aes128, KeyLength::Aes256);
    for (keys, max_align, field) in [
        (TrailerKeys::Plain(aes128), 8, 16),
        (TrailerKeys::Plain(aes256), 8, 32),
        (TrailerKeys::Plain(aes128), 32, 32),
        (wrap(TlvType::ENCEC256, aes128), 8, 120),
        (wrap(TlvType::ENCEC256, aes256), 8, 136),
        (wrap(TlvType::ENCEC256, aes256), 32, 160),
        (wrap(TlvType::ENCX25519, aes128), 8, 80),
        (wrap(TlvType::ENCX25519_SHA512, aes256), 8, 128),
        (wrap(TlvType::ENCKW, aes256), 16, 48),
        (wrap(TlvType::ENCRSA2048, aes128), 8, 256),
    ] {
        assert_eq!(keys.field_size(max_align), field, "{keys:?}");
        for mode in UpgradeMode::ALL {
            let without = TrailerLayout::new(SLOT, mode, 128, 8, max_align).unwrap();
            let with = without.with_keys(Some(keys)).unwrap();
            assert_eq!(with.size(), without.size() + 2 * field);
            assert_eq!(with.swap_size(), without.swap_size());
            assert_eq!(with.key(KeySlot::Primary), Some(with.swap_size() - field));
            assert_eq!(with.key(KeySlot::Secondary), Some(with.swap_size() - 2 * field));
            assert!(with.status() <= with.swap_size() - 2 * field);
            assert_eq!(without.key(KeySlot::Primary), None);
            assert_eq!(with.with_keys(None), Some(without));
            assert_eq!(with.with_keys(Some(keys)), Some(with));
        }
    }
    let small = TrailerLayout::new(3120, UpgradeMode::SwapMove, 128, 8, 8).unwrap();
    assert_eq!(small.with_keys(Some(TrailerKeys::Plain(aes128))), None);
}
