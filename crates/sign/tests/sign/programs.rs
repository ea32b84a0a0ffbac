//! Keys behind a program: OpenSSL's.

use updraft_image::{HashKind, Header, Rules, Scheme, Software, Version, validate};
use updraft_sign::signing::{CommandKey, SigningKey};
use updraft_sign::{Key, KeyError, KeyKind, SignError, SignOptions, sign};

use crate::imgtool::folder;
use crate::vectors::{path, text};

fn signing() -> impl Iterator<Item = KeyKind> {
    KeyKind::ALL.into_iter().filter(|kind| kind.scheme().is_some())
}

fn options() -> SignOptions {
    let version = Version { major: 1, minor: 0, revision: 0, build: 0 };
    SignOptions { pad_header: true, ..SignOptions::new(version, 0x20, 0x2_0000) }
}

/// Signs with `key`, and asks the bootloader.
fn signs(key: &dyn SigningKey, scheme: Scheme) {
    let image = sign(&[9; 700], &options(), Some(key)).unwrap();
    let header = Header::parse(&image).unwrap();
    let hash = scheme.usual_hash(false).unwrap();
    let ring = [key.public().as_embedded().unwrap()];
    let rules = Rules { hash, ..Rules::default() };
    let mut source = image.as_slice();
    validate(&mut source, &header, &rules, &mut Software::new(&ring)).unwrap();
}

/// OpenSSL signs digests and messages.
fn openssl(kind: KeyKind) -> String {
    let key = path(&format!("keys/{}.pem", kind.name()));
    let options = match kind.scheme().unwrap() {
        Scheme::Ed25519 => "-rawin",
        Scheme::Rsa2048 | Scheme::Rsa3072 => {
            "-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32 -pkeyopt digest:sha256"
        }
        _ => "",
    };
    // Ed25519 needs a file, whose size it can see.
    let script = format!(
        "cat > $$.in; openssl pkeyutl -sign -inkey {} {options} -in $$.in; \
                          code=$?; rm $$.in; exit $code",
        key.display()
    );
    let folder = folder("external-signer");
    let file = folder.join(format!("{}.sh", kind.name()));
    std::fs::write(&file, format!("cd {}\n{script}\n", folder.display())).unwrap();
    format!("sh '{}'", file.display())
}

#[test]
fn a_program_signs_with_a_key_of_any_type() {
    for kind in signing() {
        let public = Key::from_pem(&text(&format!("keys/{}.pem", kind.name()))).unwrap();
        let key = CommandKey::new(&openssl(kind), public.public().clone()).unwrap();
        signs(&key, kind.scheme().unwrap());
    }
}

#[test]
fn what_is_no_signature_by_the_key_gets_into_no_image() {
    let public = Key::from_pem(&text("keys/ecdsa-p256-other.pem")).unwrap().public().clone();
    let fails = |line: &str| {
        let key = CommandKey::new(line, public.clone()).unwrap();
        match sign(&[9; 700], &options(), Some(&key)) {
            Err(SignError::Key(error)) => error,
            other => panic!("{line}: {other:?}"),
        }
    };
    // Another key's, nothing, the digest itself.
    for line in [openssl(KeyKind::EcdsaP256).as_str(), "true", "cat"] {
        assert!(matches!(fails(line), KeyError::WrongSignature), "{line}");
    }
    let failed = fails("sh -c 'echo first >&2; echo the vault is closed >&2; exit 3'").to_string();
    assert_eq!(failed, "sh failed, exit status: 3: the vault is closed");
    assert!(fails("/nowhere/signer").to_string().starts_with("/nowhere/signer cannot be run"));
    assert!(CommandKey::new("  ", public.clone()).is_err());
    assert!(CommandKey::new("sign 'open", public.clone()).is_err());
    assert_eq!(public.hash(HashKind::Sha256).as_bytes().len(), 32);
}

/// `sh` runs this as the signer. Its signature is that of Ed25519 over `message`.
fn script(name: &str, script: &str) -> String {
    let file = folder("signer-scripts").join(name);
    std::fs::write(&file, script).unwrap();
    format!("sh '{}'", file.display())
}

#[test]
fn a_process_that_the_program_leaves_behind_is_not_waited_for() {
    let signer = openssl(KeyKind::Ed25519);
    let line = script("behind.sh", &format!("{signer} || exit 1\nsleep 30 &\n"));
    let public = Key::from_pem(&text("keys/ed25519.pem")).unwrap().public().clone();
    let began = std::time::Instant::now();
    signs(&CommandKey::new(&line, public).unwrap(), Scheme::Ed25519);
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn output_without_end_is_no_signature() {
    let public = Key::from_pem(&text("keys/ed25519.pem")).unwrap().public().clone();
    let fails = |line: &str| {
        let key = CommandKey::new(line, public.clone()).unwrap();
        sign(&[9; 700], &options(), Some(&key)).unwrap_err().to_string()
    };
    assert_eq!(fails("yes"), "yes wrote more than 65536 bytes, which is no signature");
    // Many words on standard error end nothing.
    let line = script("talks.sh", "yes | head -c 300000 >&2; echo the end >&2; exit 1");
    assert_eq!(fails(&line), "sh failed, exit status: 1: the end");
}
