//! Content keys are gone from memory when a boot is over.
//!
//! The images were made by imgtool, with keys that nothing here holds but the boot of them: what is
//! looked for is kept combined with a mask.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use updraft_boot::{AnyStrategy, Bootloader, Config, Overwrite, Platform, Strategy as _, SwapMove};
use updraft_flash::{AreaEntry, SlotPair, TrailerFormat};
use updraft_image::{
    HashKind, HashOnly, KeyLength, Rules, SwapType, TlvType, TrailerKeys, WithPrivateKey,
    WrapFormat,
};
use updraft_sim::PrivateKey;
use updraft_sim::flash::{DeviceSpec, SimFlash};

use crate::board::{PRIMARY, SECONDARY};

const SLOT: u32 = 16 * 1024;
const PAIR: SlotPair = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };

const IMAGES: [(&str, TlvType, KeyLength); 7] = [
    ("enc-kw-128", TlvType::ENCKW, KeyLength::Aes128),
    ("enc-kw-256", TlvType::ENCKW, KeyLength::Aes256),
    ("enc-p256-128", TlvType::ENCEC256, KeyLength::Aes128),
    ("enc-p256-256", TlvType::ENCEC256, KeyLength::Aes256),
    ("enc-x25519-128", TlvType::ENCX25519, KeyLength::Aes128),
    ("enc-x25519-256", TlvType::ENCX25519, KeyLength::Aes256),
    ("enc-x25519-hmac512-128", TlvType::ENCX25519_SHA512, KeyLength::Aes128),
];

/// What the bytes that are looked for are combined with.
const MASK: u8 = 0xa7;

/// Bytes that are not to be anywhere in memory, and are not here either.
struct Masked(Vec<u8>);

impl Masked {
    fn from_hex(text: &str) -> Self {
        let byte = |pair: &[u8]| {
            let digit = |c: u8| (c as char).to_digit(16).expect("a digit") as u8;
            (digit(pair[0]) ^ (MASK >> 4)) << 4 | (digit(pair[1]) ^ (MASK & 15))
        };
        Self(text.as_bytes().chunks_exact(2).map(byte).collect())
    }

    /// How often they are in the memory of this process.
    fn found(&self) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut piece = vec![0; 1 << 16];
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
            for at in (start..end).step_by(piece.len() / 2) {
                // Each place is in two pieces but for those at the ends, so that nothing is cut.
                let Ok(read) = memory.read_at(&mut piece, at) else { break };
                let windows = piece[..read].windows(self.0.len()).take(piece.len() / 2);
                found += windows.filter(|window| self.is(window)).count();
            }
            piece.fill(0);
        }
        found
    }

    fn is(&self, bytes: &[u8]) -> bool {
        self.0.iter().zip(bytes).all(|(masked, byte)| masked ^ MASK == *byte)
    }

    /// For showing that they would be found.
    fn unmask(&self) -> Vec<u8> {
        self.0.iter().map(|byte| byte ^ MASK).collect()
    }
}

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The private key of the device that an image was encrypted for.
fn private_key(kind: TlvType, length: KeyLength) -> PrivateKey {
    let name = match (kind, length) {
        (TlvType::ENCKW, KeyLength::Aes128) => "enc-aes128kw.b64",
        (TlvType::ENCKW, _) => "enc-aes256kw.b64",
        (TlvType::ENCEC256, _) => "enc-ecdsa-p256.pem",
        _ => "enc-x25519.pem",
    };
    let text = String::from_utf8(file(&format!("keys/{name}"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let bytes = STANDARD.decode(lines.collect::<String>()).unwrap();
    PrivateKey::new(WrapFormat::new(kind, length).unwrap(), bytes).unwrap()
}

/// The content key of an image, as imgtool was told it.
fn content_key(name: &str) -> Masked {
    let manifest: Value = serde_json::from_slice(&file("manifest.json")).unwrap();
    let vectors = manifest["vectors"].as_array().unwrap();
    let name = format!("img/{name}.bin");
    let vector = vectors.iter().find(|vector| vector["file"] == name.as_str()).unwrap();
    Masked::from_hex(vector["aes_key_hex"].as_str().unwrap())
}

/// Where the content keys of a swap are kept until it is over, they are so wrapped.
#[test]
fn no_content_key_is_in_memory_when_a_boot_is_over() {
    for (name, kind, length) in IMAGES {
        let key = content_key(name);
        assert_eq!(key.found(), 0, "{name}: before");
        for strategy in [AnyStrategy::Overwrite(Overwrite::Image), AnyStrategy::SwapMove(SwapMove)]
        {
            let area = |id, at| AreaEntry { id, device: 0, offset: at * SLOT, size: SLOT };
            let table = vec![area(PRIMARY, 0), area(SECONDARY, 1)];
            let mut flash = SimFlash::new(vec![DeviceSpec::nor(32, 1024, 8)], table);
            let image = file(&format!("img/{name}.bin"));
            flash.load(SECONDARY, 0, &image[..image.len().min(SLOT as usize)]).unwrap();
            let hash = match kind {
                TlvType::ENCX25519_SHA512 => HashKind::Sha512,
                _ => HashKind::Sha256,
            };
            let rules = Rules { supported: length.flag(), hash, ..Rules::default() };
            let keys = TrailerKeys::Wrapped(WrapFormat::new(kind, length).unwrap());
            let config = Config {
                keys: Some(keys),
                max_sectors: 16,
                bootstrap: true,
                ..Config::new(PAIR, rules)
            };
            let loader = Bootloader::new(config, strategy);
            let boot = |flash: &mut SimFlash| {
                let verifier = WithPrivateKey::new(HashOnly, private_key(kind, length));
                let booted = loader.boot(&mut Platform::new(flash, verifier));
                let swap = booted.unwrap_or_else(|error| panic!("{name}: {error}")).swap;
                assert_eq!(key.found(), 0, "{name}, {strategy:?}, {swap:?}");
                swap
            };
            assert_eq!(boot(&mut flash), SwapType::Revert, "the first image");
            if strategy.mode().swaps() {
                // The same again: what runs is encrypted anew on its way out.
                let mode = strategy.mode();
                let format =
                    TrailerFormat { mode, max_align: 8, max_sectors: 16, keys: Some(keys) };
                let [_, secondary] = format.trailers(&flash, &PAIR).unwrap();
                secondary.write_magic(&mut flash).unwrap();
                assert_eq!(boot(&mut flash), SwapType::Test);
                assert_eq!(boot(&mut flash), SwapType::Revert);
            }
        }
        let leaked = key.unmask();
        assert!(key.found() > 0, "{name}: a key that is left would be noticed");
        drop(leaked);
    }
}
