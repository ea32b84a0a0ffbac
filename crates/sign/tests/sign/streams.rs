//! A build that goes through into its file makes the image that one in memory makes.

use std::io::{self, Read, Write};

use updraft_image::{HashKind, TlvType, Version};
use updraft_sign::{
    Compression, Encryption, Key, Padding, Recipient, SecurityCounter, SignError, SignOptions,
    Signer, StreamError, Written, sign, sign_stream,
};

use crate::vectors::text;

fn options() -> SignOptions {
    let options = SignOptions::new(Version::new(1, 2, 3, 4), 512, 0x8_0000);
    SignOptions { pad_header: true, ..options }
}

fn key(name: &str) -> Key {
    Key::from_pem(&text(&format!("keys/{name}.pem"))).unwrap()
}

fn build(len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at * at) >> 5) as u8).collect()
}

/// Gives a few bytes at a time, as pipes do.
struct Trickle<'b>(&'b [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(1000);
        self.0.read(&mut buf[..len])
    }
}

fn streamed(
    build: &[u8],
    options: &SignOptions,
    signer: Signer<'_>,
) -> Result<(Vec<u8>, Written), StreamError> {
    let mut image = Vec::new();
    let len = build.len();
    let written = sign_stream(&mut Trickle(build), len, options, signer, &mut image)?;
    Ok((image, written))
}

#[test]
fn the_image_is_the_same_whatever_its_size_and_options() {
    let (ecdsa, ed25519) = (key("ecdsa-p256"), key("ed25519"));
    let varied = [
        options(),
        SignOptions { header_size: 65535, ..options() },
        SignOptions { security_counter: Some(SecurityCounter::Value(7)), ..options() },
        SignOptions { custom_tlvs: vec![(TlvType(0xa1), vec![1, 2, 3])], ..options() },
        SignOptions { padding: Padding::Confirmed, ..options() },
        SignOptions { compression: Some(Compression::Lzma2), ..options() },
        SignOptions { hash: Some(HashKind::Sha512), ..options() },
        SignOptions { hash: Some(HashKind::Sha512), pure: true, ..options() },
    ];
    let mut run = 0;
    for options in varied {
        let key = if options.hash.is_some() { &ed25519 } else { &ecdsa };
        for len in [0, 1, 31, 65024, 65025, 65536, 200_000] {
            let build = build(len);
            let (image, written) = streamed(&build, &options, Signer::Key(key)).unwrap();
            assert!(image == sign(&build, &options, Some(key)).unwrap(), "{options:?} {len}");
            let signature = written.signature.unwrap();
            assert!(image.windows(signature.len()).any(|bytes| bytes == signature));
            assert_eq!(written.compressed.is_some(), options.compression.is_some());
            run += 1;
        }
    }
    // The build may begin with the room for the header itself.
    let options = SignOptions { pad_header: false, ..options() };
    let build = [vec![0; 512], build(100_000)].concat();
    let (image, written) = streamed(&build, &options, Signer::Nobody).unwrap();
    assert!(image == sign(&build, &options, None).unwrap());
    assert_eq!(written.signature, None);
    assert_eq!(run, 56);
}

#[test]
fn an_encrypted_image_has_the_signature_of_the_plaintext() {
    let key = key("ed25519");
    let recipient = key_of_device();
    let encryption = Some(Encryption::new(Recipient::Device(recipient.public().clone())));
    let encrypted = SignOptions { encryption, ..options() };
    let (image, written) = streamed(&build(999), &encrypted, Signer::Key(&key)).unwrap();
    assert!(!image.windows(16).any(|bytes| bytes == &build(999)[100..116]));
    assert!(image.windows(64).any(|bytes| bytes == written.signature.as_deref().unwrap()));
}

fn key_of_device() -> Key {
    Key::from_pem(&text("keys/enc-x25519.pem")).unwrap()
}

#[test]
fn what_cannot_be_signed_is_refused_as_in_memory() {
    let refused = |build: &[u8], options: &SignOptions| {
        let here = streamed(build, options, Signer::Nobody).unwrap_err().to_string();
        assert_eq!(here, sign(build, options, None).unwrap_err().to_string());
        here
    };
    let small = SignOptions { slot_size: 0x1_0000, ..options() };
    assert!(refused(&build(0x1_0000), &small).contains("does not fit"));
    let unpadded = SignOptions { pad_header: false, ..options() };
    refused(&build(9000), &unpadded);
    refused(&build(500), &unpadded);
    let image = sign(&build(90_000), &options(), None).unwrap();
    let long = SignOptions { header_size: 65535, ..options() };
    for options in [options(), long, unpadded] {
        let error = streamed(&image, &options, Signer::Nobody).unwrap_err();
        assert!(matches!(error, StreamError::Sign(SignError::AlreadyImage)), "{error}");
    }
}

#[test]
fn a_build_that_changes_on_its_way_is_refused() {
    for options in [options(), SignOptions { padding: Padding::Pending, ..options() }] {
        for len in [0, 99_999, 100_001, 1_000_000] {
            let build = build(100_000);
            let error =
                sign_stream(&mut &build[..], len, &options, Signer::Nobody, &mut io::sink());
            assert!(matches!(error, Err(StreamError::Length { said }) if said == len), "{error:?}");
        }
    }
}

#[test]
fn who_cannot_read_or_write_is_told_apart() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (options, build) = (options(), build(9));
    let read = sign_stream(&mut Broken, 9, &options, Signer::Nobody, &mut io::sink());
    assert!(matches!(read, Err(StreamError::Read(_))), "{read:?}");
    let written = sign_stream(&mut &build[..], 9, &options, Signer::Nobody, &mut Broken);
    assert!(matches!(written, Err(StreamError::Write(_))), "{written:?}");
}
