//! Images to submit: golden ones, and some of the test's own making.

use std::path::{Path, PathBuf};

use updraft_board::Board;
use updraft_fleet::model::{Policy, Reason, Release, Submission, SubmittedImage};
use updraft_image::Version;
use updraft_sign::{Key, KeyKind, NamedKey, SignOptions, sign};

/// A time to admit at.
pub const NOW: u64 = 1_800_000_000;

pub fn vectors(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(path)
}

pub fn vector(path: &str) -> Vec<u8> {
    let path = vectors(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Images of `vectors/sample-keys`, each with the name of the key that has signed it.
pub const SAMPLES: [(&str, &str); 4] = [
    ("mcuboot-root-ed25519.bin", "root-ed25519"),
    ("nrf-connect-root-ec-p256.bin", "root-ec-p256"),
    ("zephyr-root-rsa-2048.bin", "root-rsa-2048"),
    ("infineon-cypress-test-ec-p256.bin", "cypress-test-ec-p256"),
];

pub fn sample(file: &str) -> Vec<u8> {
    vector(&format!("sample-keys/{file}"))
}

/// A key of the golden images.
pub fn golden_key(name: &str) -> NamedKey {
    let pem = vector(&format!("mcuboot/keys/{name}.pem"));
    let key = Key::from_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
    NamedKey { name: name.to_owned(), key: key.public().clone() }
}

pub fn named(name: &str, key: &Key) -> NamedKey {
    NamedKey { name: name.to_owned(), key: key.public().clone() }
}

pub fn key() -> Key {
    Key::generate(KeyKind::Ed25519).unwrap()
}

/// A firmware of `len` bytes that no other seed makes.
pub fn firmware(len: usize, seed: u32) -> Vec<u8> {
    let byte = |n: usize| ((n as u32).wrapping_mul(seed | 1) >> 3) as u8 | 1;
    let mut bytes: Vec<u8> = (0..len).map(byte).collect();
    bytes[..4].copy_from_slice(&seed.to_be_bytes());
    bytes
}

/// An image for no particular board.
pub fn image(version: &str, key: Option<&Key>, body: &[u8]) -> Vec<u8> {
    let options =
        SignOptions { pad_header: true, ..SignOptions::new(parse(version), 0x20, 1 << 20) };
    sign(body, &options, key.map(|key| key as _)).unwrap()
}

/// An image for image number 0 of a board, as `updraft image sign --board` makes it.
pub fn image_for(board: &str, version: &str, key: &Key, body: &[u8]) -> Vec<u8> {
    let board = Board::load(board).unwrap();
    let signing = board.signing(0).unwrap();
    let options = SignOptions {
        pad_header: true,
        pure: signing.pure,
        hash: (!signing.pure).then_some(signing.hash),
        vendor_id: signing.ids.and_then(|ids| ids.vendor),
        class_id: signing.ids.and_then(|ids| ids.class),
        ..SignOptions::new(parse(version), signing.header_size, signing.slot_size)
    };
    sign(body, &options, Some(key)).unwrap()
}

fn parse(version: &str) -> Version {
    version.parse().unwrap()
}

pub fn submission(name: &str, board: Option<&str>, images: Vec<Vec<u8>>) -> Submission {
    let numbered = (0..).zip(images).map(|(number, bytes)| SubmittedImage { number, bytes });
    Submission {
        name: name.parse().unwrap(),
        board: board.map(Into::into),
        images: numbered.collect(),
        allow_sample_key: false,
    }
}

/// What the policy says to one image.
pub fn admit(policy: &Policy, board: Option<&str>, image: Vec<u8>) -> Result<Release, Reason> {
    // Asks for what the server allows.
    let mut submission = submission("release", board, vec![image]);
    submission.allow_sample_key = policy.allows_sample_keys();
    let admitted = policy.admit(&submission, NOW);
    admitted.map_err(|refused| refused.reason)
}

/// A small image that nobody has signed; each seed makes another.
pub fn unsigned(seed: u32) -> Vec<u8> {
    image("1.0.0", None, &firmware(600, seed))
}

/// An empty folder of a test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
