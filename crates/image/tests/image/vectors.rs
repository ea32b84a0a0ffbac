//! Images made and mutated with imgtool 2.5.0, and what the C boot loader's validation said to
//! each: `vectors/mcuboot`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use updraft_image::encryption::{AesKeyWrap, EciesP256, EciesX25519, HmacSha512, RsaOaep};
use updraft_image::{KeyLength, KeyUnwrap};

/// The manifest, as far as these tests read it.
#[derive(Deserialize)]
pub struct Manifest {
    pub keys: BTreeMap<String, Key>,
    pub vectors: Vec<Vector>,
}

#[derive(Deserialize)]
pub struct Key {
    pub embedded_pub_der_hex: Option<String>,
    #[serde(rename = "private")]
    pub private_file: String,
}

#[derive(Deserialize)]
pub struct Vector {
    pub file: String,
    pub kind: String,
    pub expect: Option<Expect>,
    pub image_hash: Option<String>,
    /// The content key of an encrypted image, and the key that it was wrapped for.
    pub aes_key_hex: Option<String>,
    pub enc_key: Option<String>,
    /// Hash of the body in plaintext.
    pub plain_sha256: Option<String>,
    /// By the configuration of the C boot loader that was asked.
    #[serde(default)]
    pub bootutil: Option<BTreeMap<String, Verdict>>,
}

#[derive(Deserialize)]
pub struct Verdict {
    pub valid: u8,
    pub header_valid: u8,
}

/// What imgtool wrote, field by field.
#[derive(Deserialize)]
pub struct Expect {
    pub header: ExpectedHeader,
    pub prot: Vec<ExpectedTlv>,
    pub unprot: Vec<ExpectedTlv>,
    pub hash_region_len: u32,
    pub image_end: u32,
}

#[derive(Deserialize)]
pub struct ExpectedHeader {
    pub load_addr: u32,
    pub hdr_size: u16,
    pub protect_tlv_size: u16,
    pub img_size: u32,
    pub flags: u32,
    pub version: String,
    pub pad1: u32,
}

#[derive(Deserialize)]
pub struct ExpectedTlv {
    #[serde(rename = "type")]
    pub kind: u16,
    pub len: u16,
    pub offset: u32,
    pub sha256: String,
}

pub fn manifest() -> Manifest {
    serde_json::from_slice(&file("manifest.json")).unwrap()
}

pub fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Manifest {
    /// The key's embedded encoding.
    pub fn key(&self, name: &str) -> Vec<u8> {
        unhex(self.keys[name].embedded_pub_der_hex.as_ref().unwrap())
    }

    /// The private key's file without its PEM or base64 wrapping.
    pub fn private(&self, name: &str) -> Vec<u8> {
        let text = String::from_utf8(file(&self.keys[name].private_file)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        STANDARD.decode(lines.collect::<String>()).unwrap()
    }

    /// The device that holds the private key `name`, in the shape that images with TLVs of type
    /// `kind` ask for.
    pub fn device(&self, name: &str, kind: u16, key: KeyLength) -> Box<dyn KeyUnwrap> {
        let der = self.private(name);
        match kind {
            // PKCS#8 wraps the PKCS#1 that a bootloader embeds, in 26 bytes of a fixed length.
            0x30 => Box::new(RsaOaep::from_pkcs1(&der[26..], key).unwrap()),
            0x31 => Box::new(AesKeyWrap::from_slice(&der).unwrap()),
            0x32 => Box::new(EciesP256::from_pkcs8(&der, key).unwrap()),
            0x33 => Box::new(<EciesX25519>::from_pkcs8(&der, key).unwrap()),
            0x34 => Box::new(EciesX25519::<HmacSha512>::from_pkcs8(&der, key).unwrap()),
            _ => panic!("TLV type {kind:#x} carries no content key"),
        }
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Counts what was left out, by reason, and prints it.
#[derive(Default)]
pub struct Tally {
    run: usize,
    excluded: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn run(&mut self) {
        self.run += 1;
    }

    pub fn exclude(&mut self, reason: &'static str) {
        *self.excluded.entry(reason).or_default() += 1;
    }

    /// Prints and returns run and total.
    pub fn report(&self, what: &str) -> (usize, usize) {
        let total = self.run + self.excluded.values().sum::<usize>();
        println!("{what}: {} run / {total} total", self.run);
        for (reason, count) in &self.excluded {
            println!("  {count} not run: {reason}");
        }
        (self.run, total)
    }
}
