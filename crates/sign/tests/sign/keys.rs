//! Key files, and the encodings that bootloaders embed.

use updraft_image::{HashKind, Rules, Software, Version, validate};
use updraft_sign::{
    Key, KeyError, KeyKind, Language, PrivateForm, PublicKey, SignOptions, WrappingKey, known_key,
    listing, sign,
};

use crate::command::words;
use crate::vectors::{Tally, file, manifest, text, unhex};

const KEYS: [(&str, KeyKind); 15] = [
    ("ecdsa-p256", KeyKind::EcdsaP256),
    ("ecdsa-p256-other", KeyKind::EcdsaP256),
    ("enc-ecdsa-p256", KeyKind::EcdsaP256),
    ("ecdsa-p384", KeyKind::EcdsaP384),
    ("ecdsa-p384-other", KeyKind::EcdsaP384),
    ("ed25519", KeyKind::Ed25519),
    ("ed25519-other", KeyKind::Ed25519),
    ("x25519", KeyKind::X25519),
    ("x25519-other", KeyKind::X25519),
    ("enc-x25519", KeyKind::X25519),
    ("rsa-2048", KeyKind::Rsa2048),
    ("rsa-2048-other", KeyKind::Rsa2048),
    ("enc-rsa-2048", KeyKind::Rsa2048),
    ("rsa-3072", KeyKind::Rsa3072),
    ("rsa-3072-other", KeyKind::Rsa3072),
];

#[test]
fn key_files_of_imgtool_are_read_and_written_alike() {
    let manifest = manifest();
    for (name, kind) in KEYS {
        let (private, public) =
            (text(&format!("keys/{name}.pem")), text(&format!("keys/{name}.pub.pem")));
        let key = Key::from_pem(&private).unwrap();
        assert_eq!(key.kind(), kind);
        assert_eq!(*key.to_pem(), private, "{name}");
        assert_eq!(key.public().to_pem(), public, "{name}");
        assert_eq!(&PublicKey::from_pem(&public).unwrap(), key.public());
        assert_eq!(&PublicKey::from_pem(&private).unwrap(), key.public());
        if let Some(der) = manifest["keys"][name]["embedded_pub_der_hex"].as_str() {
            assert_eq!(key.public().as_der(), unhex(der));
        }
        for (kind, field) in [
            (HashKind::Sha256, "sha256"),
            (HashKind::Sha384, "sha384"),
            (HashKind::Sha512, "sha512"),
        ] {
            if let Some(hash) = manifest["keys"][name][field].as_str() {
                assert_eq!(key.public().hash(kind).to_string(), hash, "{name}");
            }
        }
    }
}

/// What one of imgtool's key commands prints, made by us; an error names what is left out.
fn print(words: &[String]) -> Result<Result<Vec<u8>, KeyError>, &'static str> {
    let option = |names: &[&str]| {
        let at = words.iter().position(|word| names.contains(&word.as_str()))?;
        words.get(at + 1).map(String::as_str)
    };
    let file = option(&["-k"]).unwrap();
    let pem = text(file);
    let suffix = option(&["--name-suffix"]).unwrap_or_default();
    let public = PublicKey::from_pem(&pem).unwrap();
    let source = |language, what: &str, bytes: &[u8]| {
        let name = format!("{}_{what}", public.short_name());
        listing(language, &name, suffix, bytes).into_bytes()
    };
    let encoding = option(&["-e"]).unwrap_or("lang-c");
    Ok(Ok(match (words[1].as_str(), encoding) {
        ("getpub", "lang-c") => source(Language::C, "pub_key", public.as_der()),
        ("getpub", "lang-rust") => source(Language::Rust, "pub_key", public.as_der()),
        ("getpub", "pem") => public.to_pem().into_bytes(),
        ("getpub", "raw") => public.as_der().to_vec(),
        ("getpubhash", encoding) => {
            let hash = public.hash(HashKind::Sha256);
            match encoding {
                "raw" => hash.as_bytes().to_vec(),
                _ => source(Language::C, "pub_key_hash", hash.as_bytes()),
            }
        }
        ("getpriv", _) => {
            let form = match option(&["-f"]) {
                Some("openssl") => PrivateForm::Traditional,
                Some(_) => PrivateForm::Pkcs8,
                None => public.kind().usual_form(),
            };
            let minimal = words.iter().any(|word| word == "--minimal");
            return Ok(Key::from_pem(&pem)
                .unwrap()
                .private_der(form, minimal)
                .map(|der| listing(Language::C, "enc_priv_key", "", &der).into_bytes()));
        }
        _ => return Err("keyinfo: asked of the type itself"),
    }))
}

#[test]
fn every_encoding_of_imgtool_is_printed_alike() {
    let mut tally = Tally::default();
    for case in manifest()["keyout"].as_array().unwrap() {
        let line = case["command"].as_str().unwrap();
        let printed = match print(&words(line)) {
            Ok(printed) => printed,
            Err(reason) => {
                tally.exclude(reason);
                continue;
            }
        };
        tally.run();
        match case["rc"].as_u64() {
            Some(0) => {
                let expected = file(case["stdout_file"].as_str().unwrap());
                assert_eq!(
                    String::from_utf8_lossy(&printed.unwrap()),
                    String::from_utf8_lossy(&expected),
                    "{line}"
                );
            }
            _ => assert!(matches!(printed, Err(KeyError::NoSuchForm { .. })), "{line}"),
        }
    }
    let (run, total) = tally.report("recorded key commands");
    assert_eq!((run, total), (97, 109));
}

#[test]
fn a_fresh_key_signs_and_survives_its_file() {
    for kind in KeyKind::ALL.into_iter().filter(|kind| kind.scheme().is_some()) {
        let key = Key::generate(kind).unwrap();
        let read = Key::from_pem(&key.to_pem()).unwrap();
        assert_eq!(read.public(), key.public());
        let options = SignOptions { pad_header: true, ..options() };
        let image = sign(b"firmware", &options, Some(&key)).unwrap();
        assert_eq!(sign(b"firmware", &options, Some(&read)).unwrap(), image);
        let keys = [key.public().as_embedded().unwrap()];
        let header = updraft_image::Header::parse(&image).unwrap();
        let mut source = image.as_slice();
        let hash = kind.scheme().and_then(|scheme| scheme.usual_hash(false)).unwrap();
        let rules = Rules { hash, ..Rules::default() };
        validate(&mut source, &header, &rules, &mut Software::new(&keys)).unwrap();
        assert_ne!(Key::generate(kind).unwrap().public(), key.public());
    }
}

fn options() -> SignOptions {
    SignOptions::new(Version::new(1, 0, 0, 0), 32, 0x8000)
}

#[test]
fn sec1_files_are_read_with_and_without_parameters() {
    // The same key as `openssl ec` and `openssl ecparam -genkey` write it.
    let sec1 = Key::from_pem(&text("keys/ecdsa-p256.pem")).unwrap();
    let der = sec1.private_der(PrivateForm::Traditional, false).unwrap();
    let block = |label: &str, der: &[u8]| {
        pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::CRLF, der).unwrap()
    };
    let file = block("EC PRIVATE KEY", &der);
    assert_eq!(Key::from_pem(&file).unwrap().public(), sec1.public());
    let parameters = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let file = block("EC PARAMETERS", &parameters) + &file;
    assert_eq!(Key::from_pem(&file).unwrap().public(), sec1.public());
    let minimal = sec1.private_der(PrivateForm::Pkcs8, true).unwrap();
    let file = block("PRIVATE KEY", &minimal);
    assert_eq!(Key::from_pem(&file).unwrap().public(), sec1.public());
}

/// Of `openssl ecparam -name secp521r1 -genkey`.
const P521: &str = "\
-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIB5RKIh/DAq+aaEItK
FyOL14X+Nj4cg6pzeH22N43CvsJB62CQZJ4giyz7/WdGjtX1z7xbXtwfz7DxQ0Hx
p9WQACehgYkDgYYABAGr27CIa3FNTypcneH/buncXJfXXFOpqGoPfZFjOnCtGlcS
FXUzHNS3apFiHuhEnEest0+8CfjoA8YIn/ssDSt6nwEULeWZuBPCNtXgHyw7IahH
gi/NvZ8sa2RS/uGF8vMbmpuFK53aORG+7GbmxDNjGP3aWMKzlnx5ycV3/3Ju7n8y
7w==
-----END PRIVATE KEY-----
";

/// Of `openssl genrsa 1024`.
const RSA_1024: &str = "\
-----BEGIN PRIVATE KEY-----
MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBALNQjXreHgRYO7+n
RD7wyO0ShwTpqC95AUiFGT86QzCzHOwC42d2OiLRSTuxAyqV5VhU50CXcD+T+d/S
IMsfS1qpSDyxjGBWoJDA5Ab8MAT6xgDq5gU5brqeGTFM9pQjUluLXTiDN3xbGCN0
ImNIvSrJJJaYCG+d0tLIh+g5YdIFAgMBAAECgYEApUJoIgTzxS1MY6XUz+06QMQC
jBSMXLQ46o1AZ3Va11c8IIfI7WGY0t3vkIPjVywu4unc9zqayP2oHQ+cCZgd6TWG
iV5yDeLQ7ZBsm1b/PrS7MjkC18An1SxfXqieUgdNYLAhKXjJr32ZsrbwCJcqmpXN
OGM1b4kVvA7pSwfxZAECQQDY3Oc7CvzPxsALvQZkdNHkjco5bXJwPnm3GeM6rkCN
ZUN7ftPa9vioy6UExlBsNToRecyS4uIuBaPJUSTRrCKVAkEA06zqS3ZrGfIXXVtw
4Nu58//DL+x3GtbIlNrGIx0EA+yEgg+En6BNJIcEOv7DSNE9jLUayRJ8Jni7jo0d
7q0FsQJBAJx5L6KLeASXXIRbvFwJalTl9c7f6J2ShpIV7L2vc0ZSlZFq3oP0hVCN
t6CtUuPwt9haMMCfUiFw0k/064MaF80CQBfJtebXHwAicbe/H/dVGheupXvMQjJU
8uOvlla52wqp2NZY8hmSRTkWp0YN/VpAkX8vlxwDpMoaBVHmz/dToHECQQCGA3Yi
ahXermKe4oSIt9edKiJHJmn2dx7JLDMNLKJjlZwsDFO0yn72ZKV+QKFwGO4a/w/j
3C5o1arhhNzrKI95
-----END PRIVATE KEY-----
";

fn unsupported(error: &KeyError) -> String {
    assert!(matches!(error, KeyError::Unsupported { .. }), "{error}");
    error.to_string()
}

#[test]
fn keys_that_cannot_be_used_are_told_by_their_type() {
    let message = |name: &str| Key::from_pem(&text(name)).unwrap_err().to_string();
    assert!(unsupported(&Key::from_pem(P521).unwrap_err()).contains("a P-521 key"));
    assert!(unsupported(&Key::from_pem(RSA_1024).unwrap_err()).contains("an RSA-1024 key"));
    assert!(message("keys/ed25519.pub.pem").contains("public key"));
    assert!(message("keys/ed25519-pass.pem").contains("password"));
    assert!(unsupported(&PublicKey::from_pem(P521).unwrap_err()).contains("a P-521 key"));
    assert!(matches!(Key::from_pem("no key"), Err(KeyError::NoPem)));
    let cut = text("keys/ed25519.pem").replace("MC4", "MC5");
    assert!(matches!(Key::from_pem(&cut), Err(KeyError::Damaged { .. })));
    let half = &text("keys/ed25519.pem")[..60];
    assert!(matches!(Key::from_pem(half), Err(KeyError::Pem(_))));
}

#[test]
fn a_private_key_does_not_show_in_debug_output() {
    let key = Key::from_pem(&text("keys/ed25519.pem")).unwrap();
    assert_eq!(format!("{key:?}"), format!("Key {{ public: {:?}, .. }}", key.public()));
}

/// The public half of MCUboot's sample key for P-384.
const ROOT_EC_P384: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEDHbKrnI6pejw1PEWtQLvd6Ebk2F4wAkm
eztAnO5JheDJT+fyupds84JlFCz1DHMzTTLnm9NCzJVa5eL19G5F4O0gNVyvUjWB
1Nyc454iPvs/IhDacAM3rajySP46YGml
-----END PUBLIC KEY-----
";

#[test]
fn published_keys_are_known() {
    let sha256 = "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6";
    assert_eq!(known_key(sha256).unwrap().name, "root-ec-p256");
    let key = PublicKey::from_pem(ROOT_EC_P384).unwrap();
    for kind in HashKind::ALL {
        assert_eq!(known_key(&key.hash(kind).to_string()).unwrap().name, "root-ec-p384");
    }
    let wrapping = WrappingKey::from_base64(&text("keys/enc-aes128kw.b64")).unwrap();
    assert_eq!(known_key(&wrapping.hash().to_string()), None);
    let key = Key::from_pem(&text("keys/ed25519.pem")).unwrap();
    assert_eq!(known_key(&key.public().hash(HashKind::Sha256).to_string()), None);
}
