//! The public key that a bootloader trusts.

use std::path::{Path, PathBuf};
use std::{env, fs};

use updraft_board::Board;
use updraft_image::{PublicKey, Scheme};

use crate::variable;

/// The key as constants: `KEYS`, which holds it unless images are not signed, and whether it is a
/// sample that everybody has the private half of.
pub fn source(board: &Board) -> String {
    let Some(scheme) = board.boot().signature.scheme() else {
        return constants(&[], false);
    };
    let (path, sample) = match variable("UPDRAFT_KEY") {
        Some(path) => (PathBuf::from(path), false),
        None => (sample(scheme), true),
    };
    println!("cargo::rerun-if-changed={}", path.display());
    let bytes = read(&path);
    let found =
        PublicKey::from_der(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if found.scheme() != scheme {
        panic!(
            "{} is a key for {}; {} wants {scheme}",
            path.display(),
            found.scheme(),
            board.name()
        );
    }
    constants(&[&bytes], sample)
}

/// The sample key, for builds that are not given to anybody.
fn sample(scheme: Scheme) -> PathBuf {
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        panic!(
            "a release needs a key of its own: UPDRAFT_KEY=file.pub.pem names the public half \
             (`updraft key new` makes a pair, `updraft key public` writes it)"
        );
    }
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keys");
    keys.join(format!("sample-{}.pub.pem", scheme.name()))
}

/// The key in a file, PEM or DER.
fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if !bytes.starts_with(b"-----BEGIN") {
        return bytes;
    }
    let decoded = pem_rfc7468::decode_vec(&bytes);
    let (label, der) = decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        label == "PUBLIC KEY" || label == "RSA PUBLIC KEY",
        "{} holds a {label}: a bootloader gets the public key, and nothing else (`updraft key \
         public` writes it)",
        path.display()
    );
    der
}

fn constants(keys: &[&[u8]], sample: bool) -> String {
    // Understood while compiling: a key of another kind is an error there, and not on the chip.
    let keys: Vec<_> = keys
        .iter()
        .map(|der| {
            format!("match PublicKey::from_der(&{der:?}) {{ Ok(key) => key, Err(_) => panic!() }}")
        })
        .collect();
    format!(
        "/// The public key that images are signed with.\npub static KEYS: [PublicKey<'static>; {}] = \
         [{}];\n/// Whether everybody has its private half.\npub const SAMPLE: bool = {sample};\n",
        keys.len(),
        keys.join(", ")
    )
}
