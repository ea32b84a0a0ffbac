//! Which releases are admitted: whole, valid images, for the board that they name, signed by those
//! who are trusted, and by nobody that everybody can sign as.

use proptest::prelude::*;
use serde_json::Value;
use updraft_board::Board;
use updraft_fleet::model::{
    ArtifactId, Policy, Reason, Refused, Signature, SubmittedImage, TrustError,
};
use updraft_image::{HashOnly, Header, validate};
use updraft_sign::{Key, KeyFormat, SignOptions, rules_of, sign};

use crate::support::*;

#[test]
fn images_of_published_keys_are_refused_unless_server_and_request_allow_them() {
    let strict = Policy::new();
    let lenient = Policy::new().allowing_sample_keys();
    for (file, key) in SAMPLES {
        for (policy, request) in [(&strict, false), (&strict, true), (&lenient, false)] {
            let mut submission = submission("1.2.3", None, vec![sample(file)]);
            submission.allow_sample_key = request;
            let Refused { image, reason } = policy.admit(&submission, NOW).unwrap_err();
            assert_eq!(image, Some(0));
            assert_eq!(reason.code(), "sample-key");
            assert!(reason.to_string().contains(key), "{reason}");
            assert!(reason.hint().contains("updraft key new"), "{}", reason.hint());
        }
        let mut submission = submission("1.2.3", None, vec![sample(file)]);
        submission.allow_sample_key = true;
        let release = lenient.admit(&submission, NOW).unwrap();
        assert_eq!(release.images[0].sample_key.as_deref(), Some(key));
    }
}

#[test]
fn the_hint_says_which_side_does_not_allow_it() {
    let (server, request) = (Policy::new(), true);
    let mut submission = submission("1.2.3", None, vec![sample(SAMPLES[0].0)]);
    submission.allow_sample_key = request;
    let hint = server.admit(&submission, NOW).unwrap_err().reason.hint();
    assert!(hint.contains("this server takes none"), "{hint}");
    submission.allow_sample_key = false;
    let lenient = Policy::new().allowing_sample_keys();
    let hint = lenient.admit(&submission, NOW).unwrap_err().reason.hint();
    assert!(hint.contains("ask for it: --allow-sample-key"), "{hint}");
}

#[test]
fn a_published_key_is_told_by_the_whole_key_too() {
    for (scheme, file) in [("ed25519", "sample-ed25519"), ("ecdsa", "sample-ecdsa-p256")] {
        let path = vectors(&format!("../firmware/keys/{file}.pem"));
        let key = Key::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap();
        for key_format in [KeyFormat::Hash, KeyFormat::Full] {
            let version = "1.0.0".parse().unwrap();
            let options = SignOptions {
                pad_header: true,
                key_format,
                ..SignOptions::new(version, 0x20, 1 << 20)
            };
            let image = sign(&firmware(600, 7), &options, Some(&key)).unwrap();
            let reason = admit(&Policy::new(), None, image).unwrap_err();
            assert_eq!(reason.code(), "sample-key", "{scheme}, {key_format:?}");
        }
    }
}

#[test]
fn a_published_key_is_trusted_by_a_server_for_tests_alone() {
    let path = vectors("../firmware/keys/sample-ed25519.pem");
    let key = Key::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap();
    let refused = Policy::new().trusting(named("sample", &key)).unwrap_err();
    assert!(matches!(refused, TrustError::SampleKey(..)), "{refused}");
    Policy::new().allowing_sample_keys().trusting(named("sample", &key)).unwrap();
    let refused = Policy::new().trusting(golden_key("x25519")).unwrap_err();
    assert!(matches!(refused, TrustError::DoesNotSign(_)), "{refused}");
}

#[test]
fn one_of_the_trusted_keys_has_to_have_signed() {
    let (ours, other) = (key(), key());
    let policy = Policy::new().trusting(named("other", &other)).unwrap();
    let policy = policy.trusting(named("ours", &ours)).unwrap();
    let good = image("1.2.3", Some(&ours), &firmware(600, 1));
    let release = admit(&policy, None, good.clone()).unwrap();
    assert_eq!(release.images[0].signature, Signature::Good("ours".into()));
    // Allowing published keys is no trust in them.
    let lenient = Policy::new().allowing_sample_keys().trusting(named("ours", &ours)).unwrap();
    let mut of_sample = submission("1", None, vec![sample(SAMPLES[0].0)]);
    of_sample.allow_sample_key = true;
    let reason = lenient.admit(&of_sample, NOW).unwrap_err().reason;
    assert_eq!(reason.code(), "invalid-image");
    for (image, word) in [
        (image("1.2.3", None, &firmware(600, 1)), "not signed"),
        (image("1.2.3", Some(&key()), &firmware(600, 1)), "is not trusted"),
        (flipped(&good, good.len() - 1), "signature is not valid"),
        (flipped(&good, 100), "damaged"),
    ] {
        let reason = admit(&policy, None, image).unwrap_err();
        assert!(reason.to_string().contains(word), "{reason}");
    }
    // Without a trusted key the hash is what is left to check.
    let anybody = Policy::new();
    let unsigned = admit(&anybody, None, image("1.2.3", None, &firmware(600, 1))).unwrap();
    assert_eq!(unsigned.images[0].signature, Signature::None);
    let signed = admit(&anybody, None, good.clone()).unwrap();
    assert_eq!(signed.images[0].signature, Signature::Unchecked);
    assert!(admit(&anybody, None, flipped(&good, 100)).is_err());
}

#[test]
fn a_release_says_what_its_images_say_of_themselves() {
    let key = key();
    let first = image("1.2.3+4", Some(&key), &firmware(600, 1));
    let second = image("0.9.0", None, &firmware(800, 2));
    let mut submission = submission("blinky-1.2.3", None, vec![first.clone(), second]);
    submission.images.reverse();
    let release = Policy::new().admit(&submission, NOW).unwrap();
    assert_eq!(release.name.as_str(), "blinky-1.2.3");
    assert_eq!((release.version.as_str(), release.created), ("1.2.3+4", NOW));
    assert_eq!(release.images.iter().map(|image| image.number).collect::<Vec<_>>(), [0, 1]);
    let image = &release.images[0];
    assert_eq!(image.sha256, ArtifactId::of(&first));
    assert_eq!(image.size, first.len() as u64);
    assert_eq!(image.version, "1.2.3+4");
    let hash = key.public().hash(updraft_image::HashKind::Sha256).to_string();
    assert_eq!(image.key_hash.as_ref(), Some(&hash));
    assert_eq!(image.image_hash.len(), 64);
    assert!(first.windows(32).any(|window| in_hex(window) == image.image_hash));
}

#[test]
fn a_release_needs_images_with_numbers_of_their_own() {
    let image = image("1.0.0", None, &firmware(600, 1));
    let policy = Policy::new();
    let none = policy.admit(&submission("empty", None, vec![]), NOW).unwrap_err();
    assert_eq!((none.image, none.reason), (None, Reason::NoImage));
    let mut twice = submission("twice", None, vec![image.clone()]);
    twice.images.push(SubmittedImage { number: 0, bytes: image });
    let refused = policy.admit(&twice, NOW).unwrap_err();
    assert_eq!((refused.image, refused.reason), (None, Reason::Twice(0)));
}

#[test]
fn what_is_cut_off_or_no_image_is_told_so() {
    let good = image("1.0.0", None, &firmware(600, 1));
    let policy = Policy::new();
    for len in [0, 31] {
        let reason = admit(&policy, None, good[..len].to_vec()).unwrap_err();
        assert_eq!(reason.code(), "not-an-image");
    }
    for len in 32..good.len() {
        let reason = admit(&policy, None, good[..len].to_vec()).unwrap_err();
        assert_eq!(reason.code(), "cut-off", "{len} of {}", good.len());
    }
}

#[test]
fn a_board_asks_for_what_its_bootloader_asks_for() {
    let (key, board) = (key(), Some("virtual-nor-4k"));
    let body = firmware(4000, 1);
    let good = image_for("virtual-nor-4k", "1.0.0", &key, &body);
    let policy = Policy::new();
    let release = admit(&policy, board, good.clone()).unwrap();
    assert_eq!(release.board.as_deref(), Some("virtual-nor-4k"));
    let reason = |board, image| {
        let reason = admit(&policy, Some(board), image).unwrap_err();
        (reason.code(), reason.to_string())
    };
    let (code, text) = reason("virtual-xip", good.clone());
    assert_eq!(code, "invalid-image");
    assert!(text.contains("made for another board"), "{text}");
    let (code, text) = reason("virtual-nor-4k", image("1.0.0", None, &body));
    assert_eq!(code, "not-signed", "{text}");
    let p256 = Key::generate(updraft_sign::KeyKind::EcdsaP256).unwrap();
    let (code, text) = reason("virtual-nor-4k", image("1.0.0", Some(&p256), &body));
    assert_eq!(code, "not-signed", "{text}");
    let large = firmware(Board::load("virtual-nor-4k").unwrap().capacity(0).max_image as usize, 1);
    let (_, text) = reason("virtual-nor-4k", image("1.0.0", Some(&key), &large));
    assert!(text.contains("the slots can exchange"), "{text}");
    let (code, text) = reason("virtual-nor-4k", image("1.0.0", Some(&key), &[1; 500_000]));
    assert_eq!(code, "unsuited", "{text}");
    // A vector table that was linked for somewhere else.
    let mut elsewhere = [0x2000_2000u32.to_le_bytes(), 0x0800_0001u32.to_le_bytes()].concat();
    elsewhere.resize(4096, 0);
    let (code, text) =
        reason("virtual-nor-4k", image_for("virtual-nor-4k", "1.0.0", &key, &elsewhere));
    assert_eq!(code, "unsuited");
    assert!(text.contains("linked for another place"), "{text}");
    let mut second = submission("second", board, vec![good.clone()]);
    second.images[0].number = 1;
    let refused = policy.admit(&second, NOW).unwrap_err();
    assert_eq!(refused.reason.code(), "no-such-image");
}

#[test]
fn a_board_is_known_by_its_name_and_never_by_a_file() {
    let image = image("1.0.0", None, &firmware(600, 1));
    for name in ["virtual-nor-4", "", "../boards/virtual-nor-4k.toml", "/etc/passwd", "x.toml"] {
        let reason = admit(&Policy::new(), Some(name), image.clone()).unwrap_err();
        assert_eq!(reason.code(), "unknown-board");
        let text = format!("{reason}: {}", reason.hint());
        assert!(!text.contains("cannot read"), "{text}");
    }
    let near = admit(&Policy::new(), Some("virtual-nor-4"), image.clone()).unwrap_err();
    assert!(near.hint().contains("virtual-nor-4k"), "{}", near.hint());
    // One of the server's own.
    let text = Board::load("virtual-nor-4k").unwrap().to_toml();
    let own = Board::parse(&text.replace("name = \"virtual-nor-4k\"", "name = \"ours\""), "ours");
    let policy = Policy::new().with_board(own.unwrap());
    assert_eq!(policy.board("ours").unwrap().name(), "ours");
}

#[test]
fn an_encrypted_image_is_admitted_for_its_signature_alone() {
    let (plain, trusting) = (Policy::new(), trusting_all());
    let encrypted = vector("mcuboot/img/enc-x25519-128.bin");
    assert_eq!(admit(&plain, None, encrypted.clone()).unwrap_err(), Reason::Sealed);
    let release = admit(&trusting, None, encrypted.clone()).unwrap();
    assert!(release.images[0].encrypted);
    assert!(matches!(release.images[0].signature, Signature::Good(_)));
    // Signed by nobody who is trusted.
    let unsigned = vector("mcuboot/img/enc-unsigned-x25519.bin");
    assert_eq!(admit(&trusting, None, unsigned).unwrap_err().code(), "invalid-image");
}

#[test]
fn a_signature_without_a_key_is_nobodys() {
    let nameless = vector("mcuboot/bad/ed25519-sig-before-key.bin");
    assert_eq!(admit(&Policy::new(), None, nameless).unwrap_err(), Reason::NoKeyNamed);
    let nameless = vector("mcuboot/bad/ecdsap384-no-keyhash.bin");
    assert_eq!(admit(&Policy::new(), None, nameless).unwrap_err(), Reason::NoKeyNamed);
}

/// The C code boots these with any key whose hash begins so: a published one, too.
#[test]
fn the_beginning_of_a_hash_names_no_key() {
    for kind in ["ed25519", "p256", "rsa2048", "ecdsap384"] {
        for part in ["empty", "short"] {
            let image = vector(&format!("mcuboot/bad/{kind}-keyhash-{part}.bin"));
            assert_eq!(admit(&Policy::new(), None, image).unwrap_err(), Reason::NoKeyNamed);
        }
    }
}

/// Golden images that are not admitted, and why.
const NOT_ADMITTED: [(&str, &str); 7] = [
    // No bootloader of these boards reads it either.
    ("bigendian.bin", "not-an-image"),
    // Only bootloaders that keep key hashes in hardware take the whole key from an image.
    ("ecdsa-p256-fullkey.bin", "invalid-image"),
    ("ecdsa-p384-fullkey.bin", "invalid-image"),
    ("ed25519-fullkey.bin", "invalid-image"),
    ("rsa-2048-fullkey.bin", "invalid-image"),
    ("rsa-3072-fullkey.bin", "invalid-image"),
    // Neither hash nor signature can be checked.
    ("enc-unsigned-x25519.bin", "sealed"),
];

#[test]
fn every_good_image_of_imgtool_is_admitted_but_for_those_that_are_listed() {
    let (trusting, anybody) = (trusting_all(), Policy::new());
    let (mut run, mut admitted) = (0, 0);
    for golden in golden("good").filter(|golden| file(golden).ends_with(".bin")) {
        run += 1;
        let file = file(&golden);
        let policy = if golden["key"].is_null() { &anybody } else { &trusting };
        let listed = NOT_ADMITTED.iter().find(|(known, _)| file.ends_with(&format!("/{known}")));
        match (admit(policy, None, vector(&format!("mcuboot/{file}"))), listed) {
            (Ok(_), None) => admitted += 1,
            (Err(reason), Some((_, code))) if reason.code() == *code => {
                println!("{file} is not admitted: {reason}");
            }
            (verdict, _) => panic!("{file}: {verdict:?}"),
        }
    }
    println!("{admitted} of {run} golden images admitted");
    assert_eq!(run - admitted, NOT_ADMITTED.len());
}

/// Only a device with its private key can tell these from good images.
const ADMITTED: [&str; 4] =
    ["flip-cipher.bin", "flip-encpub.bin", "flip-enctag.bin", "flip-enckey.bin"];

#[test]
fn what_no_bootloader_takes_is_not_admitted_but_for_what_only_devices_can_read() {
    let policy = trusting_all();
    let (mut run, mut refused) = (0, 0);
    for golden in golden("bad") {
        let taken = |verdict: &Value| verdict["valid"] != 0;
        if golden["bootutil"].as_object().is_none_or(|it| it.values().any(taken)) {
            continue;
        }
        run += 1;
        let file = file(&golden);
        let sealed = file.starts_with("bad/enc-") && ADMITTED.iter().any(|end| file.ends_with(end));
        match admit(&policy, None, vector(&format!("mcuboot/{file}"))) {
            Err(_) => refused += 1,
            Ok(release) if sealed => assert!(release.images[0].encrypted),
            Ok(_) => panic!("{file} is admitted: {}", golden["mutation"]),
        }
    }
    println!("{refused} of {run} damaged images refused; {} are encrypted", run - refused);
    assert!(run > 300 && run - refused == 12, "{refused} of {run}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = admit(&Policy::new(), None, bytes.clone());
        let _ = admit(&Policy::new(), Some("virtual-nor-4k"), bytes);
    }

    /// Whatever is done to an image, what is admitted of it is valid, and no published key's.
    #[test]
    fn what_is_admitted_of_a_damaged_image_is_valid(
        file in 0..SAMPLES.len() + 1,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = match SAMPLES.get(file) {
            Some((file, _)) => sample(file),
            None => vector("mcuboot/img/ed25519-small.bin"),
        };
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        match admit(&Policy::new(), None, bytes.clone()) {
            Ok(release) => {
                let header = Header::parse(&bytes).unwrap();
                let rules = rules_of(&bytes, &header);
                validate(&mut bytes.as_slice(), &header, &rules, &mut HashOnly).unwrap();
                prop_assert_eq!(&release.images[0].sample_key, &None);
            }
            Err(reason) => prop_assert!(!reason.hint().is_empty()),
        }
    }
}

fn trusting_all() -> Policy {
    let keys = ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"];
    let others = ["ed25519-other", "ecdsa-p256-other", "ecdsa-p384-other", "rsa-2048-other"];
    let keys = keys.into_iter().chain(others).chain(["rsa-3072-other"]);
    // One of them is a sample, which everybody has.
    let policy = Policy::new().allowing_sample_keys();
    keys.fold(policy, |policy, name| policy.trusting(golden_key(name)).unwrap())
}

/// The golden images of a kind, as their manifest describes them.
fn golden(kind: &'static str) -> impl Iterator<Item = Value> {
    let mut manifest: Value = serde_json::from_slice(&vector("mcuboot/manifest.json")).unwrap();
    let all = std::mem::take(manifest["vectors"].as_array_mut().unwrap());
    all.into_iter().filter(move |golden| golden["kind"] == kind)
}

fn file(golden: &Value) -> String {
    golden["file"].as_str().unwrap().to_owned()
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
