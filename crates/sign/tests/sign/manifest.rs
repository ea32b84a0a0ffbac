//! Manifests: signed with every type of key, read by another implementation, and bound to one file.

use std::process::Command;

use updraft_image::Version;
use updraft_sign::manifest::{Manifest, ManifestError, Resource};
use updraft_sign::{Key, KeyKind, PublicKey, SignOptions, inspect, sign};

use crate::imgtool::{folder, imgtool};
use crate::vectors::text;

fn image() -> Vec<u8> {
    let version = Version { major: 1, minor: 2, revision: 3, build: 4 };
    let options = SignOptions { pad_header: true, ..SignOptions::new(version, 0x20, 0x2_0000) };
    sign(&[7; 900], &options, None).unwrap()
}

fn manifest(file: &[u8]) -> Manifest {
    let mut manifest =
        Manifest::new("app.signed.bin", file, &inspect(file, &[]).unwrap(), Some("my-board"));
    manifest.predicate.sbom = Some(Resource::of("bom.json", b"{}"));
    manifest
}

fn signing() -> impl Iterator<Item = KeyKind> {
    KeyKind::ALL.into_iter().filter(|kind| kind.scheme().is_some())
}

fn key(kind: KeyKind) -> Key {
    Key::from_pem(&text(&format!("keys/{}.pem", kind.name()))).unwrap()
}

#[test]
fn every_key_that_signs_images_signs_manifests() {
    let file = image();
    let ring: Vec<PublicKey> = signing().map(|kind| key(kind).public().clone()).collect();
    for kind in signing() {
        let text = manifest(&file).sign(&key(kind)).unwrap();
        let read = Manifest::open(&text, &ring).unwrap();
        assert_eq!(read, manifest(&file), "{kind}");
        assert_eq!(read.subject(), "app.signed.bin");
        read.check(&file).unwrap();
        let others: Vec<_> = ring.iter().filter(|key| key.kind() != kind).cloned().collect();
        assert!(matches!(Manifest::open(&text, &others), Err(ManifestError::Signature)));
    }
}

#[test]
fn a_manifest_vouches_for_one_file_and_cannot_be_altered() {
    let file = image();
    let signer = key(KeyKind::Ed25519);
    let ring = [signer.public().clone()];
    let text = manifest(&file).sign(&signer).unwrap();
    let read = Manifest::open(&text, &ring).unwrap();
    let mut other = file.clone();
    other[100] ^= 1;
    assert!(matches!(read.check(&other), Err(ManifestError::OtherFile { .. })));
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(altered) = String::from_utf8(bytes) else { continue };
        // What is not signed, such as a blank or the name of the key, may change.
        if let Ok(opened) = Manifest::open(&altered, &ring) {
            assert_eq!(opened, read, "byte {at}");
        }
    }
    for text in ["", "{}", "[]", "{\"payloadType\":\"x\",\"payload\":\"!\",\"signatures\":[]}"] {
        assert!(matches!(Manifest::open(text, &ring), Err(ManifestError::Format(_))), "{text}");
    }
    let encrypts = key(KeyKind::X25519);
    assert!(matches!(manifest(&file).sign(&encrypts), Err(ManifestError::Key(_))));
}

#[test]
fn another_implementation_verifies_manifests() {
    let Some(imgtool) = imgtool() else { return };
    let folder = folder("manifests");
    let (file, image) = (folder.join("image"), image());
    std::fs::write(&file, &image).unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sign/dsse.py");
    for kind in signing() {
        let key = key(kind);
        let (envelope, public) = (folder.join("manifest.json"), folder.join("key.pem"));
        std::fs::write(&envelope, manifest(&image).sign(&key).unwrap()).unwrap();
        std::fs::write(&public, key.public().to_pem()).unwrap();
        let output = Command::new(imgtool.with_file_name("python"))
            .args([&script, &envelope, &public, &file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), "1.2.3+4", "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
