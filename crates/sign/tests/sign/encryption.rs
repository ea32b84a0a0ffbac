//! Encrypted images: imgtool's decrypted by us, ours by an implementation that shares nothing
//! with us, and the same structure from both.

use std::path::Path;
use std::process::Command;

use updraft_image::{
    Decrypted, Digest, Flags, HashKind, Header, KeyLength, Rules, Signed, Software, TlvArea,
    TlvKind, TlvType, Version, validate,
};
use updraft_sign::inspect::SignatureState;
use updraft_sign::{
    Compression, DecryptError, DecryptionKey, EncryptError, Encryption, Key, KeyError, KeyKind,
    NamedKey, Padding, Recipient, SignError, SignOptions, WrappingKey, decompress, decrypt,
    inspect, sign, wrap_format,
};

use crate::imgtool::{Random, folder, imgtool, succeed};
use crate::replay::RANDOM;
use crate::vectors::{Tally, file, manifest, path, text, unhex};

/// The private keys of devices, and a device's kind for each.
const DEVICES: [&str; 5] = [
    "keys/enc-ecdsa-p256.pem",
    "keys/enc-x25519.pem",
    "keys/enc-rsa-2048.pem",
    "keys/enc-aes128kw.b64",
    "keys/enc-aes256kw.b64",
];

fn decryption_key(name: &str) -> DecryptionKey {
    DecryptionKey::from_text(&text(name)).unwrap()
}

fn recipient(name: &str) -> Recipient {
    match decryption_key(name) {
        DecryptionKey::Device(key) => Recipient::Device(key.public().clone()),
        DecryptionKey::Shared(key) => Recipient::Shared(key),
    }
}

/// What two images have to have in common that were made of the same input: everything but random
/// numbers and what depends on them.
#[derive(Debug, PartialEq)]
pub struct Content {
    header: Vec<u8>,
    /// In plaintext, and decompressed.
    body: Vec<u8>,
    /// Signatures and content keys as their lengths, or as nothing where those vary.
    tlvs: Vec<(TlvKind, TlvType, Vec<u8>)>,
    /// What follows, from the first byte on that is not erased.
    trailer: Vec<u8>,
}

/// Of an image with a body in plaintext.
pub fn content(image: &[u8], erased: u8) -> Content {
    let mut source = image;
    let header = Header::parse(image).unwrap();
    let area = TlvArea::open(&mut source, &header).unwrap();
    let mut tlvs = Vec::new();
    let mut walk = area.iter_bounded();
    while let Some(entry) = walk.next(&mut source).unwrap() {
        let payload = &image[entry.offset as usize..][..entry.len.into()];
        let payload = match entry.kind {
            kind if RANDOM.contains(&kind) || kind == TlvType::DECOMP_SIGNATURE => Vec::new(),
            kind if kind.is_encryption() => entry.len.to_le_bytes().to_vec(),
            // A random signature is part of what the hash of a compressed image is over.
            TlvType::SHA256 if header.flags.intersects(Flags::COMPRESSED) => Vec::new(),
            _ => payload.to_vec(),
        };
        tlvs.push((entry.area, entry.kind, payload));
    }
    let (start, end) = (usize::from(header.hdr_size), area.end() as usize);
    let behind = image[end..].iter().skip_while(|byte| **byte == erased);
    let mut head = image[..start].to_vec();
    // The size of the protected TLVs, which may hold a signature.
    head[10..12].fill(0);
    Content {
        header: head,
        body: image[start..][..header.img_size as usize].to_vec(),
        tlvs,
        trailer: behind.copied().collect(),
    }
}

/// Checks an encrypted image by decrypting it the way the desk does and the way a bootloader does.
fn check(image: &[u8], key: &DecryptionKey, signer: &Key, signed: Signed) -> Vec<u8> {
    let plain = decrypt(image, key).unwrap();
    let header = Header::parse(image).unwrap();
    let format = wrap_format(image).unwrap();
    let hash = signer.scheme().and_then(|it| it.usual_hash(signed == Signed::Image)).unwrap();
    let supported = format.key().flag() | Flags::COMPRESSED;
    let rules = Rules { hash, signed, supported, ..Rules::default() };
    let keys = [signer.public().as_embedded().unwrap()];
    let mut device = match key {
        DecryptionKey::Device(key) => key.device(format).unwrap(),
        DecryptionKey::Shared(_) => {
            // newt's files hold the bare key.
            let name = DEVICES[if format.key() == KeyLength::Aes128 { 3 } else { 4 }];
            let bytes = base64(&text(name));
            Box::new(updraft_image::encryption::AesKeyWrap::from_slice(&bytes).unwrap())
        }
    };
    let slot = [image, &[0xff]].concat();
    let mut source = Decrypted::open(&slot[..], &header, &mut *device).unwrap();
    let valid = validate(&mut source, &header, &rules, &mut Software::new(&keys)).unwrap();
    // What a bootloader writes to the primary slot is valid as it lies there.
    let primary = [&plain[..], &[0xff]].concat();
    let again = validate(&mut &primary[..], &header, &rules, &mut Software::new(&keys)).unwrap();
    assert_eq!(valid, again);
    plain
}

fn base64(text: &str) -> Vec<u8> {
    let pem = format!("-----BEGIN KEY-----\n{}\n-----END KEY-----\n", text.trim());
    pem_rfc7468::decode_vec(pem.as_bytes()).unwrap().1
}

#[test]
fn every_recorded_image_is_decrypted() {
    let mut tally = Tally::default();
    for vector in manifest()["vectors"].as_array().unwrap() {
        let Some(device) = vector["enc_key"].as_str().filter(|_| vector["kind"] != "bad") else {
            continue;
        };
        let name = vector["file"].as_str().unwrap();
        let end = if device.contains("kw") { "b64" } else { "pem" };
        let image = file(name);
        tally.run();
        let plain = decrypt(&image, &decryption_key(&format!("keys/{device}.{end}"))).unwrap();
        let header = Header::parse(&plain).unwrap();
        let start = usize::from(header.hdr_size);
        let body = &plain[start..][..header.img_size as usize];
        if let Some(hash) = vector["plain_sha256"].as_str() {
            assert_eq!(Digest::of(HashKind::Sha256, body).to_string(), hash, "{name}");
        }
        let seen = inspect(&plain, &[]).unwrap();
        // That one was made with --clear: decrypting makes a mess of it.
        let clear = name == "img/enc-p256-clear.bin";
        assert_eq!(seen.hash.unwrap().matches, !clear, "{name}");
        assert_eq!(inspect(&image, &[]).unwrap().hash.unwrap().matches, clear, "{name}");
    }
    assert_eq!(tally.report("recorded encrypted images"), (15, 15));
}

fn options() -> SignOptions {
    SignOptions { pad_header: true, ..SignOptions::new(Version::new(1, 2, 3, 4), 0x20, 0x8000) }
}

fn signer() -> Key {
    Key::from_pem(&text("keys/ed25519.pem")).unwrap()
}

fn encrypted_for(name: &str) -> Encryption {
    Encryption::new(recipient(name))
}

/// Runs `decrypt.py`.
fn decrypt_with_python(imgtool: &Path, key: &Path, image: &Path) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sign/decrypt.py");
    let python = imgtool.with_file_name("python");
    let output = Command::new(python).arg(script).args([key, image]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", image.display());
    output.stdout
}

#[test]
fn ours_are_decrypted_by_another_implementation() {
    let Some(imgtool) = imgtool() else {
        return;
    };
    let folder = folder("python-decrypts");
    let mut random = Random::from_clock("python decrypts");
    for name in DEVICES {
        for key_length in KeyLength::ALL {
            for sha512 in [false, true] {
                let encryption = Encryption { key_length, sha512, ..encrypted_for(name) };
                if encryption.format().is_err() {
                    continue;
                }
                let len = 1 + random.below(5000);
                let (input, pure) = (random.bytes(len), random.one_in(2));
                let options = SignOptions {
                    header_size: 32 + random.below(100) as u32,
                    encryption: Some(encryption),
                    pure,
                    custom_tlvs: vec![(TlvType(0xa0), random.bytes(len % 40))],
                    padding: random.of(&[Padding::None, Padding::Confirmed]),
                    ..options()
                };
                let image = sign(&input, &options, Some(&signer())).unwrap();
                let path_of_image = folder.join("image.bin");
                std::fs::write(&path_of_image, &image).unwrap();
                let theirs = decrypt_with_python(&imgtool, &path(name), &path_of_image);
                let signed = if pure { Signed::Image } else { Signed::Hash };
                let ours = check(&image, &decryption_key(name), &signer(), signed);
                assert!(ours == theirs, "{name} {key_length} {sha512}");
                let start = options.header_size as usize;
                assert_eq!(ours[start..][..input.len()], input, "{name} {key_length}");
                assert_ne!(image[start..][..input.len()], input, "{name} {key_length}");
            }
        }
    }
}

#[test]
fn imgtool_makes_the_same_image_but_for_random_numbers() {
    let Some(imgtool) = imgtool() else {
        return;
    };
    let folder = folder("imgtool-encrypts");
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let [input_file, output_file] = ["in.bin", "out.bin"].map(|file| folder.join(file));
    let mut random = Random::from_clock("imgtool encrypts");
    for number in 0..16 {
        // imgtool wants both keys of one type, unless it signs with Ed25519.
        let (signer, device) = random.of(&[
            ("keys/ecdsa-p256.pem", DEVICES[0]),
            ("keys/rsa-2048.pem", DEVICES[2]),
            ("keys/ed25519.pem", DEVICES[0]),
            ("keys/ed25519.pem", DEVICES[1]),
            ("keys/ed25519.pem", DEVICES[2]),
        ]);
        let mut encryption = encrypted_for(device);
        let mut o = options();
        let mut args = vec!["sign".into(), "-k".into(), name(&path(signer))];
        let mut arg = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        arg(&["-v", "1.2.3+4", "-S", "0x8000", "--pad-header"]);
        let public = device.replace(".pem", ".pub.pem");
        arg(&["-E", &name(&path(&public))]);
        o.header_size = 32 + random.below(200) as u32;
        arg(&["-H", &o.header_size.to_string()]);
        if random.one_in(2) {
            encryption.key_length = KeyLength::Aes256;
            arg(&["--encrypt-keylen", "256"]);
        }
        if device.contains("x25519") && random.one_in(2) {
            encryption.sha512 = true;
            arg(&["--hmac-sha", "512"]);
        }
        if random.one_in(4) {
            encryption.clear = true;
            arg(&["--clear"]);
        }
        if random.one_in(2) {
            encryption.save_wrapped = true;
            arg(&["--save-enctlv"]);
        }
        if random.one_in(3) {
            o.custom_tlvs.push((TlvType(0xa1), b"text".to_vec()));
            arg(&["--custom-tlv", "0xa1", "text"]);
        }
        if random.one_in(3) {
            o.padding = Padding::Pending;
            arg(&["--pad"]);
        }
        let compress = random.one_in(3);
        if compress {
            o.compression = Some(Compression::Lzma2);
            arg(&["--compression", "lzma2"]);
        }
        let len = 200 + random.below(5000);
        let mut input = random.bytes(len);
        if compress {
            input = input.repeat(2 + 6000 / input.len());
        }
        std::fs::write(&input_file, &input).unwrap();
        args.extend([name(&input_file), name(&output_file)]);
        let line = args.join(" ");
        println!("  {number}: imgtool {line}");
        succeed(&imgtool, &args);
        let theirs = std::fs::read(&output_file).unwrap();
        let clear = encryption.clear;
        o.encryption = Some(encryption);
        let signer = Key::from_pem(&text(signer)).unwrap();
        let ours = sign(&input, &o, Some(&signer)).unwrap();
        let [ours, theirs] = [ours, theirs].map(|image| match clear {
            true => image,
            false => check(&image, &decryption_key(device), &signer, Signed::Hash),
        });
        assert_eq!(content(&ours, 0xff), content(&theirs, 0xff), "imgtool {line}");
        if compress {
            let [ours, theirs] = [ours, theirs].map(|image| decompress(&image).unwrap());
            assert_eq!(content(&ours, 0xff), content(&theirs, 0xff), "imgtool {line}");
        }
    }
}

#[test]
fn every_image_has_a_content_key_of_its_own() {
    for name in DEVICES {
        let options = SignOptions { encryption: Some(encrypted_for(name)), ..options() };
        let [one, other] = [(); 2].map(|()| sign(&[0; 64], &options, Some(&signer())).unwrap());
        assert_ne!(one[32..96], other[32..96], "{name}");
        let [one, other] = [one, other].map(|it| decrypt(&it, &decryption_key(name)).unwrap());
        assert_eq!(one[..96], other[..96], "{name}");
    }
}

#[test]
fn a_clear_image_is_valid_in_a_primary_slot_and_can_be_encrypted_there() {
    let key = decryption_key(DEVICES[1]);
    let clear = Encryption { clear: true, ..encrypted_for(DEVICES[1]) };
    let options = SignOptions { encryption: Some(clear), ..options() };
    let image = sign(b"firmware", &options, Some(&signer())).unwrap();
    assert_eq!(image[32..40], *b"firmware");
    let seen = inspect(&image, &[]).unwrap();
    assert!(seen.hash.unwrap().matches);
    assert!(seen.findings.iter().any(|finding| finding.contains("for a primary slot alone")));
    // Decrypting is encrypting: what a swap makes of it on its way out.
    let out = decrypt(&image, &key).unwrap();
    check(&out, &key, &signer(), Signed::Hash);
}

#[test]
fn an_image_that_compression_does_not_shrink_is_encrypted_all_the_same() {
    let encryption = Some(encrypted_for(DEVICES[0]));
    let compression = Some(Compression::Lzma2);
    let options = SignOptions { encryption, compression, ..options() };
    let noise = file("payload/a.bin");
    let image = sign(&noise, &options, Some(&signer())).unwrap();
    assert!(!Header::parse(&image).unwrap().flags.intersects(Flags::COMPRESSED));
    let plain = check(&image, &decryption_key(DEVICES[0]), &signer(), Signed::Hash);
    assert_eq!(plain[32..][..noise.len()], noise);
}

#[test]
fn inspection_tells_of_the_content_key() {
    let named = [NamedKey { name: "key".into(), key: signer().public().clone() }];
    for (name, meaning) in [
        (DEVICES[0], "AES-128 content key, wrapped by ECIES-P256"),
        (DEVICES[1], "AES-128 content key, wrapped by ECIES-X25519"),
        (DEVICES[2], "AES-128 content key, wrapped by RSA-OAEP"),
        (DEVICES[4], "AES-256 content key, wrapped by AES key wrap"),
    ] {
        let options = SignOptions { encryption: Some(encrypted_for(name)), ..options() };
        let image = sign(b"firmware", &options, Some(&signer())).unwrap();
        let seen = inspect(&image, &named).unwrap();
        let tlv = seen.tlvs.iter().find(|tlv| (0x30..0x35).contains(&tlv.kind)).unwrap();
        assert_eq!(tlv.meaning.as_deref(), Some(meaning));
        assert_eq!(seen.signatures[0].state, SignatureState::Good, "it is over the stored hash");

        let options = SignOptions { pure: true, ..options };
        let image = sign(b"firmware", &options, Some(&signer())).unwrap();
        let state = |image: &[u8]| inspect(image, &named).unwrap().signatures[0].state;
        assert_eq!(state(&image), SignatureState::Encrypted);
        let plain = decrypt(&image, &decryption_key(name)).unwrap();
        assert_eq!(state(&plain), SignatureState::Good);
    }
}

#[test]
fn saved_tlvs_take_their_room_from_the_image() {
    // As recorded of imgtool: 1536 bytes of records, 48 of fields, and 2 × 16 or 2 × 120 of keys.
    let fits = |len: usize, save_wrapped| {
        let encryption = Encryption { save_wrapped, ..encrypted_for(DEVICES[0]) };
        let options =
            SignOptions { align: 4, max_sectors: 128, encryption: Some(encryption), ..options() };
        match sign(&vec![1; len], &options, Some(&signer())) {
            Ok(_) => true,
            Err(SignError::TooLarge { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let largest =
        |save_wrapped| (1..0x8000 / 16).take_while(|n| fits(16 * n, save_wrapped)).count();
    assert_eq!(16 * (largest(false) - largest(true)), 208, "2 × 120 − 2 × 16");
}

#[test]
fn what_cannot_be_encrypted_says_why() {
    let refused = |encryption| {
        let options = SignOptions { encryption: Some(encryption), ..options() };
        match sign(b"firmware", &options, Some(&signer())) {
            Err(SignError::Encryption(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let ed25519 = Recipient::Device(signer().public().clone());
    assert!(matches!(
        refused(Encryption::new(ed25519)),
        EncryptError::Key(KeyError::DoesNotDecrypt { .. })
    ));
    let sha512 = Encryption { sha512: true, ..encrypted_for(DEVICES[0]) };
    assert!(matches!(refused(sha512), EncryptError::Sha512));
    let longer = Encryption { key_length: KeyLength::Aes256, ..encrypted_for(DEVICES[3]) };
    assert!(matches!(refused(longer), EncryptError::WrappingLength { .. }));
    // Everybody agrees on zero with a point of small order.
    let x25519 = text("keys/enc-x25519.pub.pem");
    let der = updraft_sign::PublicKey::from_pem(&x25519).unwrap().as_der().to_vec();
    let zero = updraft_sign::PublicKey::from_der(&[&der[..12], &[0; 32]].concat()).unwrap();
    let refused = refused(Encryption::new(Recipient::Device(zero)));
    assert!(matches!(refused, EncryptError::Recipient));
}

#[test]
fn what_cannot_be_decrypted_says_why() {
    let image = file("img/enc-x25519-128.bin");
    let key = |name| decryption_key(name);
    let refused = |image: &[u8], key: &DecryptionKey| decrypt(image, key).unwrap_err().to_string();
    assert!(refused(&image, &key("keys/x25519.pem")).contains("another device"));
    assert!(refused(&image, &key(DEVICES[0])).contains("another type of key"));
    assert!(refused(&image, &key(DEVICES[3])).contains("another type of key"));
    assert!(refused(&image, &key("keys/ed25519.pem")).contains("does not decrypt"));
    assert!(matches!(
        decrypt(&file("img/unsigned.bin"), &key(DEVICES[0])),
        Err(DecryptError::NotEncrypted)
    ));
    assert!(matches!(
        decrypt(&file("bad/p256-flip-hdr-flags-enc.bin"), &key(DEVICES[0])),
        Err(DecryptError::NoContentKey)
    ));
    for len in [0, 31, 40, 5000, image.len() - 1] {
        decrypt(&image[..len], &key(DEVICES[1])).unwrap_err();
    }
    let error = DecryptionKey::from_text("no key").unwrap_err();
    assert!(matches!(error, KeyError::NoPem));
    let error = DecryptionKey::from_text(&text("keys/x25519.pub.pem")).unwrap_err();
    assert!(matches!(error, KeyError::PublicOnly));
}

#[test]
fn keys_in_base64_are_of_16_or_32_bytes() {
    let key = WrappingKey::from_base64("NbJ4ZES+mPqw9U+6o1dVcw==\n").unwrap();
    assert_eq!(key, WrappingKey::from_slice(&unhex("35b2786444be98fab0f54fbaa3575573")).unwrap());
    assert_eq!(format!("{key:?}"), "WrappingKey(AES-128)");
    for text in ["", "NbJ4", "NbJ4ZES+mPqw9U+6o1dVc", "-----BEGIN KEY-----"] {
        assert_eq!(WrappingKey::from_base64(text), None, "{text:?}");
    }
}

#[test]
fn a_key_that_does_not_sign_makes_no_image() {
    let key = Key::generate(KeyKind::X25519).unwrap();
    let error = sign(b"firmware", &options(), Some(&key)).unwrap_err();
    assert!(matches!(error, SignError::Key(KeyError::DoesNotSign { .. })), "{error}");
}
