//! The public key that a bootloader trusts.

use std::path::{Path, PathBuf};
use std::{env, fs};

use updraft_board::Board;
use updraft_image::{Digest, HashKind, PublicKey, Scheme};

use crate::published::known_key;
use crate::variable;

/// Why a bootloader does not get a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nobody has named one.
    #[error(
        "a release needs a key of its own: UPDRAFT_KEY=file.pub.pem names the public half \
         (`updraft key new` makes a pair, `updraft key public` writes it)"
    )]
    Missing,
    /// Everybody can sign with it.
    #[error(
        "{path} is {name} ({origin}), whose private half is published: whoever has that can sign for \
         a device with this bootloader. A release needs a key of its own (`updraft key new` makes \
         one)"
    )]
    Published {
        /// The file.
        path: String,
        /// What the key is called.
        name: &'static str,
        /// Where it is published.
        origin: &'static str,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is no PEM.
    #[error("{path} begins like PEM and is none: {error}")]
    Pem {
        /// The file.
        path: String,
        /// What is wrong.
        error: pem_rfc7468::Error,
    },
    /// It holds something that is no business of a bootloader's.
    #[error(
        "{path} holds a {label}: a bootloader gets the public key, and nothing else (`updraft key \
         public` writes it)"
    )]
    NotPublic {
        /// The file.
        path: String,
        /// What is in it.
        label: String,
    },
    /// Its bytes are no key of the format.
    #[error("{path} holds no public key that images are signed with: {error}")]
    Unknown {
        /// The file.
        path: String,
        /// What was found.
        error: updraft_image::KeyError,
    },
    /// It is for another scheme.
    #[error("{path} is a key for {found}; {board} wants one for {wanted}")]
    OtherScheme {
        /// The file.
        path: String,
        /// Its scheme.
        found: Scheme,
        /// The board.
        board: String,
        /// What its images are signed with.
        wanted: Scheme,
    },
}

/// A key, and whether everybody has its private half.
#[derive(Debug, PartialEq, Eq)]
struct Trusted {
    der: Vec<u8>,
    published: bool,
}

/// The key as constants: `KEYS`, which holds it unless images are not signed, and whether everybody
/// has the private half.
pub fn source(board: &Board) -> Result<String, KeyError> {
    let Some(scheme) = board.boot().signature.scheme() else {
        return Ok(constants(&[], false));
    };
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let path = match variable("UPDRAFT_KEY") {
        Some(path) => PathBuf::from(path),
        None if release => return Err(KeyError::Missing),
        None => sample(scheme),
    };
    println!("cargo::rerun-if-changed={}", path.display());
    let Trusted { der, published } = trusted(&path, scheme, board.name(), release)?;
    Ok(constants(&[&der], published))
}

/// The sample key, for builds that are not given to anybody.
fn sample(scheme: Scheme) -> PathBuf {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keys");
    keys.join(format!("sample-{}.pub.pem", scheme.name()))
}

/// The key in a file, if a bootloader of this board may trust it. It is told by what it is: a
/// sample is one under every name.
fn trusted(path: &Path, wanted: Scheme, board: &str, release: bool) -> Result<Trusted, KeyError> {
    let der = read(path)?;
    let name = || path.display().to_string();
    let key = PublicKey::from_der(&der);
    let found = key.map_err(|error| KeyError::Unknown { path: name(), error })?.scheme();
    if found != wanted {
        return Err(KeyError::OtherScheme { path: name(), found, board: board.to_owned(), wanted });
    }
    match known_key(&Digest::of(HashKind::Sha256, &der).to_string()) {
        Some(key) if release => {
            Err(KeyError::Published { path: name(), name: key.name, origin: key.origin })
        }
        known => Ok(Trusted { der, published: known.is_some() }),
    }
}

/// The key in a file, PEM or DER.
fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let name = || path.display().to_string();
    let bytes = fs::read(path).map_err(|error| KeyError::Unreadable { path: name(), error })?;
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(bytes);
    }
    let (label, der) =
        pem_rfc7468::decode_vec(&bytes).map_err(|error| KeyError::Pem { path: name(), error })?;
    match label {
        "PUBLIC KEY" => Ok(unwrapped(der)),
        "RSA PUBLIC KEY" => Ok(der),
        label => Err(KeyError::NotPublic { path: name(), label: label.to_owned() }),
    }
}

/// RSA's keys are embedded bare, and OpenSSL writes them as keys of any kind: behind what says that they
/// are RSA's.
fn unwrapped(der: Vec<u8>) -> Vec<u8> {
    // A sequence, its length, RSA's identifier without parameters, and a string of whole bytes.
    match &der[..] {
        [0x30, 0x82, _, _, rest @ ..] => match rest.strip_prefix(RSA) {
            Some([3, 0x82, _, _, 0, key @ ..]) => key.to_vec(),
            _ => der,
        },
        _ => der,
    }
}

/// How RSA is named there: 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];

fn constants(keys: &[&[u8]], published: bool) -> String {
    // Understood while compiling: a key of another kind is an error there, and not on the chip.
    let keys: Vec<_> = keys
        .iter()
        .map(|der| {
            format!("match PublicKey::from_der(&{der:?}) {{ Ok(key) => key, Err(_) => panic!() }}")
        })
        .collect();
    format!(
        "/// The public key that images are signed with.\npub static KEYS: [PublicKey<'static>; {}] = \
         [{}];\n/// Whether everybody has its private half.\npub const SAMPLE: bool = {published};\n",
        keys.len(),
        keys.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: [Scheme; 3] = [Scheme::Rsa2048, Scheme::EcdsaP256, Scheme::Ed25519];

    /// A key that nobody has published: it lies on the curve as far as its encoding goes.
    fn own() -> Vec<u8> {
        let mut der = read(&sample(Scheme::Ed25519)).unwrap();
        *der.last_mut().unwrap() ^= 1;
        der
    }

    /// A file of this test's own.
    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let folder = env::temp_dir().join(format!("updraft-firmware-build-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_release_refuses_every_sample_key_under_any_name() {
        for scheme in SCHEMES {
            let der = read(&sample(scheme)).unwrap();
            let renamed = file(&format!("mine-{}.der", scheme.name()), &der);
            for path in [sample(scheme), renamed] {
                let refused = trusted(&path, scheme, "a-board", true).unwrap_err().to_string();
                let named = format!("is sample-{} (Updraft", scheme.name());
                assert!(refused.contains(&named), "{refused}");
                assert!(refused.contains("private half is published"), "{refused}");
            }
        }
    }

    #[test]
    fn a_build_for_development_takes_a_sample_key_and_says_so_wherever_it_came_from() {
        for scheme in SCHEMES {
            assert!(trusted(&sample(scheme), scheme, "a-board", false).unwrap().published);
        }
        let der = read(&sample(Scheme::Ed25519)).unwrap();
        let renamed = file("renamed.der", &der);
        let trusted = trusted(&renamed, Scheme::Ed25519, "a-board", false).unwrap();
        assert!(constants(&[&trusted.der], trusted.published).contains("SAMPLE: bool = true"));
    }

    #[test]
    fn a_key_of_ones_own_is_trusted_by_a_release_and_called_no_sample() {
        let path = file("own.der", &own());
        let trusted = trusted(&path, Scheme::Ed25519, "a-board", true).unwrap();
        assert_eq!(trusted, Trusted { der: own(), published: false });
        assert!(constants(&[&trusted.der], trusted.published).contains("SAMPLE: bool = false"));
    }

    #[test]
    fn a_key_of_another_scheme_is_refused_with_both_names() {
        let path = file("other.der", &own());
        let refused = trusted(&path, Scheme::EcdsaP256, "rak3172", true).unwrap_err().to_string();
        assert!(
            refused.ends_with("is a key for Ed25519; rak3172 wants one for ECDSA P-256"),
            "{refused}"
        );
    }

    #[test]
    fn an_rsa_key_is_taken_as_openssl_writes_it() {
        for (name, scheme) in [("rsa-2048", Scheme::Rsa2048), ("rsa-3072", Scheme::Rsa3072)] {
            let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot/keys");
            let Trusted { der, .. } =
                trusted(&keys.join(format!("{name}.pub.pem")), scheme, "a-board", false).unwrap();
            assert_eq!(PublicKey::from_der(&der).unwrap().scheme(), scheme);
        }
        let cut = [&[0x30, 0x82, 0, 0][..], RSA, &[3, 0x82, 0]].concat();
        assert_eq!(unwrapped(cut.clone()), cut);
    }

    #[test]
    fn a_private_key_never_gets_into_a_bootloader() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keys/sample-ed25519.pem");
        let refused = trusted(&path, Scheme::Ed25519, "a-board", false).unwrap_err();
        assert!(matches!(&refused, KeyError::NotPublic { label, .. } if label == "PRIVATE KEY"));
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_name_of_the_file() {
        for (name, bytes) in [
            ("empty.pem", &b""[..]),
            ("text.pem", b"not a key"),
            ("half.pem", b"-----BEGIN PUBLIC KEY-----\nMCow"),
        ] {
            let refused = trusted(&file(name, bytes), Scheme::Ed25519, "a-board", false);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
        let missing = trusted(Path::new("/nowhere.pem"), Scheme::Ed25519, "a-board", true);
        assert!(matches!(missing, Err(KeyError::Unreadable { .. })));
    }
}
