//! What a file is, told field by field.

use proptest::prelude::*;
use serde_json::Value;
use updraft_image::Version;
use updraft_sign::inspect::{RegionKind, SignatureState};
use updraft_sign::{Inspection, Key, NamedKey, Padding, SignOptions, inspect, sign};

use crate::vectors::{file, manifest, text};

const NAMES: [&str; 4] = ["ecdsa-p256", "ecdsa-p256-other", "ed25519", "ed25519-other"];

fn keys() -> Vec<NamedKey> {
    let named = |name: &str| {
        let key = Key::from_pem(&text(&format!("keys/{name}.pem"))).unwrap().public().clone();
        NamedKey { name: name.into(), key }
    };
    NAMES.map(named).into()
}

fn of(name: &str) -> Inspection {
    inspect(&file(name), &keys()).unwrap()
}

/// The regions follow one another from the first byte to the last.
fn covers_the_file(inspection: &Inspection) -> bool {
    let mut at = 0;
    let whole = inspection.regions.iter().all(|region| {
        let follows = region.offset == at && region.len > 0;
        at = region.offset + region.len;
        follows
    });
    whole && at == inspection.size
}

#[test]
fn every_recorded_image_is_explained_and_its_signature_checked() {
    let mut signatures = 0;
    for vector in manifest()["vectors"].as_array().unwrap() {
        let name = vector["file"].as_str().unwrap();
        let hex = name.ends_with(".hex");
        if hex || vector["kind"] == "vector-to-sign" || name == "img/bigendian.bin" {
            continue;
        }
        let Ok(inspection) = inspect(&file(name), &keys()) else {
            assert_eq!(vector["kind"], "bad", "{name}");
            continue;
        };
        assert!(covers_the_file(&inspection), "{name}: {:?}", inspection.regions);
        if vector["kind"] == "bad" {
            continue;
        }
        let expect = &vector["expect"];
        let tlvs = |list: &Value| list.as_array().unwrap().len();
        let all = tlvs(&expect["prot"]) + tlvs(&expect["unprot"]);
        assert_eq!(inspection.tlvs.len(), all, "{name}");
        assert_eq!(inspection.header.version, expect["header"]["version"].as_str().unwrap());
        assert_eq!(
            inspection.hash.as_ref().unwrap().stored,
            vector["image_hash"].as_str().unwrap()
        );
        let encrypted = vector["enc_key"].is_string();
        let clear = name.contains("clear");
        assert_eq!(inspection.hash.as_ref().unwrap().matches, !encrypted || clear, "{name}");
        assert_eq!(inspection.trailer.is_some(), vector["trailer"].is_object(), "{name}");
        if let Some(key) = vector["key"].as_str().filter(|key| NAMES.contains(key)) {
            let [signature] = inspection.signatures.as_slice() else { panic!("{name}") };
            assert_eq!(signature.state, SignatureState::Good, "{name}");
            assert_eq!(signature.key.as_deref(), Some(key), "{name}");
            signatures += 1;
        }
    }
    assert_eq!(signatures, 67);
}

#[test]
fn every_kind_of_tlv_is_put_into_words() {
    let words = |name: &str| -> Vec<(String, String)> {
        let tlvs = of(name).tlvs.into_iter();
        tlvs.map(|tlv| (tlv.name, tlv.meaning.unwrap_or_default())).collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(name, meaning)| ((*name).into(), (*meaning).into())).collect()
    };
    assert_eq!(
        words("img/allprot.bin"),
        pairs(&[
            ("SEC_CNT", "34210092"),
            ("BOOT_RECORD", "measured-boot record, CBOR"),
            ("DEPENDENCY", "image 1, at least 0.9.0+0"),
            ("UUID_VID", "e87866cc-7197-5614-b0a6-cbe3a2e70603"),
            ("0x00a5", ""),
            ("SHA256", "matches the content"),
            ("KEYHASH", "ed25519"),
            ("ED25519", "good, by ed25519"),
        ])
    );
    assert_eq!(words("img/customtlv.bin")[1], ("0x00ff".into(), "\"hello\"".into()));
    let pure = words("img/ed25519-pure.bin");
    assert_eq!(pure[1].1, "the signature covers the image itself");
    assert_eq!(pure[3].1, "good, by ed25519");
    assert_eq!(words("img/ecdsa-p256-fullkey.bin")[1].1, "ecdsa-p256");
    let forged = words("bad/ed25519-forged-keyhash.bin");
    assert_eq!(forged[2].1, "wrong for ed25519");
}

#[test]
fn an_unknown_key_is_told_by_its_hash() {
    let inspection = inspect(&file("img/ed25519.bin"), &[]).unwrap();
    assert_eq!(inspection.signatures[0].state, SignatureState::UnknownKey);
    let name = inspection.tlvs[1].meaning.as_deref().unwrap();
    assert!(name.starts_with("an unknown key, adcc4befb652140e"), "{name}");
}

#[test]
fn padding_and_trailer_are_told_from_the_image() {
    for (name, max_align, image_ok) in [
        ("img/pad-align8.bin", 8, "unset"),
        ("img/confirm-align8.bin", 8, "set"),
        ("img/confirm-align16.bin", 16, "set"),
        ("img/confirm-align32.bin", 32, "set"),
        ("img/pad-erased0.bin", 8, "unset"),
    ] {
        let inspection = of(name);
        let trailer = inspection.trailer.unwrap();
        assert_eq!((trailer.max_align, trailer.image_ok), (max_align, image_ok), "{name}");
        assert_eq!(trailer.copy_done, "unset");
        let kinds: Vec<_> = inspection.regions.iter().map(|region| region.kind).collect();
        let [.., RegionKind::Tlvs, RegionKind::Padding, RegionKind::Trailer] = kinds.as_slice()
        else {
            panic!("{name}: {kinds:?}");
        };
        assert_eq!(inspection.findings, [""; 0], "{name}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let found = |name: &str, text: &str| {
        let findings = of(name).findings;
        assert!(findings.iter().any(|finding| finding.contains(text)), "{name}: {findings:?}");
    };
    found("bad/p256-flip-body-mid.bin", "damaged or altered");
    found("bad/p256-flip-ecdsasig-last.bin", "signature is wrong");
    found("bad/p256-trailing-garbage.bin", "17 bytes follow the image");
    found("bad/p256-tlvtot-ffff.bin", "cannot be read to their end");
    found("bad/p256-trunc-lastbyte.bin", "the file ends 1 bytes early");
    found("bad/p256-no-hash.bin", "no image hash");
    found("bad/p256-hdrsize-0.bin", "header size 0 is below 32");
    found("img/unsigned.bin", "not signed");
    found("img/enc-p256-128.bin", "encrypted");
    assert!(inspect(b"no image", &[]).is_err());
}

#[test]
fn a_published_key_is_pointed_out() {
    // The key hash of MCUboot's sample key; the signature cannot be made here.
    let mut image = file("img/ed25519.bin");
    let inspection = inspect(&image, &[]).unwrap();
    let at = inspection.tlvs[1].offset as usize;
    let sample = "c1907fa4eac7fae3840a78902b6f0710b037e9968e5c6274a12a28790c7d4e3c";
    image[at..at + 32].copy_from_slice(&crate::vectors::unhex(sample));
    let findings = inspect(&image, &[]).unwrap().findings;
    assert!(findings[0].contains("root-ed25519"), "{findings:?}");
}

proptest! {
    #[test]
    fn mutated_images_are_explained_from_end_to_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        len in 0..900usize,
        near_header in any::<bool>(),
    ) {
        let options = SignOptions {
            pad_header: true,
            padding: Padding::Confirmed,
            max_sectors: 4,
            custom_tlvs: vec![(updraft_image::TlvType(0xa0), b"text".to_vec())],
            ..SignOptions::new(Version::new(1, 2, 3, 4), 40, 904)
        };
        let key = Key::from_pem(&text("keys/ed25519.pem")).unwrap();
        let mut image = sign(&[7; 50], &options, Some(&key)).unwrap();
        let range = if near_header { 32 } else { image.len() };
        for (at, value) in changes {
            image[at.index(range)] = value;
        }
        image.truncate(len);
        if let Ok(inspection) = inspect(&image, &keys()) {
            prop_assert!(covers_the_file(&inspection), "{:?}", inspection.regions);
            prop_assert!(serde_json::to_string(&inspection).is_ok());
        }
    }
}
