//! The verdicts of the C boot loader on well-formed, mutated and forged images.

use crate::vectors::{Manifest, Tally, file, manifest};
use updraft_image::{
    Decrypted, Flags, HashKind, HashOnly, Header, KeyLength, KeyUnwrap, MaxSize, NoPrivateKey,
    PublicKey, Rules, Signed, Software, Strictness, TrailerKeys, TrailerLayout, UpgradeMode,
    Verifier, validate,
};

/// The slot that the C boot loader was shown each file in.
const SLOT: u32 = 128 * 1024;
const SECTOR: u32 = 4096;

/// A configuration of the C boot loader, read from its name.
struct Config {
    key: Option<&'static str>,
    signed: Signed,
    allow_list: bool,
    encryption: Option<Encryption>,
}

/// The private key of the device, and how content keys are wrapped for it.
struct Encryption {
    key: &'static str,
    tlv: u16,
    length: KeyLength,
    saves_tlvs: bool,
}

impl Encryption {
    fn device(&self, manifest: &Manifest) -> Box<dyn KeyUnwrap> {
        manifest.device(self.key, self.tlv, self.length)
    }
}

impl Config {
    fn read(name: &str) -> Self {
        let hash = |key| Self { key, signed: Signed::Hash, allow_list: false, encryption: None };
        let encrypted =
            |key, encryption: Encryption| Self { encryption: Some(encryption), ..hash(Some(key)) };
        let aes128 = |key, tlv| Encryption {
            key,
            tlv,
            length: KeyLength::Aes128,
            saves_tlvs: name.contains("enctlv"),
        };
        let aes256 = |key, tlv| Encryption { length: KeyLength::Aes256, ..aes128(key, tlv) };
        match name {
            "move-none-none-vp" => hash(None),
            "move-rsa2048-none-vp" => hash(Some("rsa-2048")),
            "move-rsa3072-none-vp" => hash(Some("rsa-3072")),
            "move-p256-none-vp" => hash(Some("ecdsa-p256")),
            "move-p384-none-vp" => hash(Some("ecdsa-p384")),
            "move-p256-none-vp-allow" => Self { allow_list: true, ..hash(Some("ecdsa-p256")) },
            "move-ed25519-none-vp" => hash(Some("ed25519")),
            "move-ed25519-none-vp-pure" => Self { signed: Signed::Image, ..hash(Some("ed25519")) },
            "move-rsa2048-rsa-vp" => encrypted("rsa-2048", aes128("enc-rsa-2048", 0x30)),
            "move-rsa2048-rsa-vp-aes256" => encrypted("rsa-2048", aes256("enc-rsa-2048", 0x30)),
            "move-p256-p256-vp-enctlv" => encrypted("ecdsa-p256", aes128("enc-ecdsa-p256", 0x32)),
            "move-p256m-p256-vp-aes256" => encrypted("ecdsa-p256", aes256("enc-ecdsa-p256", 0x32)),
            "move-ed25519-x25519-vp" => encrypted("ed25519", aes128("enc-x25519", 0x33)),
            "move-p256m-kw-vp" => encrypted("ecdsa-p256", aes128("enc-aes128kw", 0x31)),
            "move-p256m-kw-vp-aes256" => encrypted("ecdsa-p256", aes256("enc-aes256kw", 0x31)),
            _ => panic!("{name}: a configuration that nobody has met"),
        }
    }

    fn rules(&self, device: &dyn KeyUnwrap, strictness: Strictness) -> Rules {
        let keys = self.encryption.as_ref().map(|encryption| match encryption.saves_tlvs {
            true => TrailerKeys::Wrapped(device.format().unwrap()),
            false => TrailerKeys::Plain(encryption.length),
        });
        let trailer = TrailerLayout::new(SLOT, UpgradeMode::SwapMove, 128, 8, 8).unwrap();
        let trailer = trailer.with_keys(keys).unwrap();
        Rules {
            // The original's pure build hashes keys with SHA-512, as imgtool does for such images.
            hash: match (self.signed, self.key) {
                (Signed::Hash, Some("ecdsa-p384")) => HashKind::Sha384,
                (Signed::Hash, _) => HashKind::Sha256,
                (Signed::Image, _) => HashKind::Sha512,
            },
            signed: self.signed,
            strictness,
            // The original does not ask for the one flag of the key length that it was built for.
            supported: match (&self.encryption, strictness) {
                (Some(_), Strictness::Imitate) => Flags::ENCRYPTED,
                (Some(encryption), Strictness::Strict) => encryption.length.flag(),
                (None, _) => Flags::default(),
            },
            max_size: MaxSize::swap_move([SLOT; 2], SECTOR, [trailer.size(); 2]).unwrap(),
            allow_list: self.allow_list,
            ..Rules::default()
        }
    }

    /// Whether the header is acceptable, and whether the image is.
    fn verdict(&self, manifest: &Manifest, slot: &[u8], strictness: Strictness) -> (bool, bool) {
        let der = self.key.map(|name| manifest.key(name));
        let keys: Vec<_> = der.iter().map(|der| PublicKey::from_der(der).unwrap()).collect();
        let mut device = match &self.encryption {
            Some(encryption) => encryption.device(manifest),
            None => Box::new(NoPrivateKey),
        };
        let rules = self.rules(&*device, strictness);
        match self.key {
            Some(_) => verdict(slot, &rules, &mut Software::new(&keys), &mut *device),
            None => verdict(slot, &rules, &mut HashOnly, &mut *device),
        }
    }
}

fn verdict(
    slot: &[u8],
    rules: &Rules,
    verifier: &mut impl Verifier,
    device: &mut dyn KeyUnwrap,
) -> (bool, bool) {
    let Ok(header) = Header::parse(slot) else { return (false, false) };
    let valid = match Decrypted::open(slot, &header, device) {
        Ok(mut plain) => validate(&mut plain, &header, rules, verifier).is_ok(),
        Err(_) => false,
    };
    (header.check(SLOT, rules.supported).is_ok(), valid)
}

/// The file at the start of an erased slot.
fn slot(name: &str) -> Vec<u8> {
    let mut slot = file(name);
    assert!(slot.len() <= SLOT as usize, "{name} is larger than its slot");
    slot.resize(SLOT as usize, 0xff);
    slot
}

/// What the strict rules refuse although the original accepts it, and why.
const STRICTER: [(&str, &str); 15] = [
    ("bad/ecdsap384-bad-then-good-sig.bin", "one of the signatures is wrong"),
    ("bad/ecdsap384-keyhash-empty.bin", "an empty key hash would name any first key"),
    ("bad/ecdsap384-keyhash-short.bin", "a key hash is only the beginning of the key's"),
    ("bad/ed25519-bad-then-good-sig.bin", "one of the signatures is wrong"),
    ("bad/ed25519-keyhash-empty.bin", "an empty key hash would name any first key"),
    ("bad/ed25519-keyhash-short.bin", "a key hash is only the beginning of the key's"),
    ("bad/p256-bad-then-good-sig.bin", "one of the signatures is wrong"),
    ("bad/p256-keyhash-empty.bin", "an empty key hash would name any first key"),
    ("bad/p256-keyhash-short.bin", "a key hash is only the beginning of the key's"),
    ("bad/p256prot-bad-then-good-sig.bin", "one of the signatures is wrong"),
    ("bad/p256prot-keyhash-empty.bin", "an empty key hash would name any first key"),
    ("bad/p256prot-keyhash-short.bin", "a key hash is only the beginning of the key's"),
    ("bad/rsa2048-bad-then-good-sig.bin", "one of the signatures is wrong"),
    ("bad/rsa2048-keyhash-empty.bin", "an empty key hash would name any first key"),
    ("bad/rsa2048-keyhash-short.bin", "a key hash is only the beginning of the key's"),
];

#[test]
fn verdicts_are_those_of_the_original_or_stricter_by_name() {
    let manifest = manifest();
    let mut tally = Tally::default();
    let mut stricter = Vec::new();
    let mut wrong = Vec::new();
    for vector in &manifest.vectors {
        if vector.kind == "vector-to-sign" {
            tally.exclude("exported for signing elsewhere: no image");
            continue;
        }
        let verdicts = vector.bootutil.as_ref().filter(|verdicts| !verdicts.is_empty());
        let Some(verdicts) = verdicts else {
            tally.exclude("the C boot loader was not asked about it");
            continue;
        };
        for (name, expected) in verdicts {
            let config = Config::read(name);
            tally.run();
            let slot = slot(&vector.file);
            let expected = (expected.header_valid == 1, expected.valid == 1);
            let imitated = config.verdict(&manifest, &slot, Strictness::Imitate);
            if imitated != expected {
                wrong.push(format!("{} {name}: {imitated:?}, C {expected:?}", vector.file));
            }
            match (config.verdict(&manifest, &slot, Strictness::Strict), expected) {
                (strict, expected) if strict == expected => {}
                ((true, false), (true, true)) => stricter.push(vector.file.as_str()),
                (strict, _) => {
                    wrong
                        .push(format!("{} {name}: strict {strict:?}, C {expected:?}", vector.file));
                }
            }
        }
    }
    let (run, total) = tally.report("verdicts");
    assert_eq!(wrong, [""; 0]);
    stricter.sort_unstable();
    stricter.dedup();
    for (file, reason) in STRICTER {
        println!("  stricter: {file}: {reason}");
    }
    assert_eq!(stricter, STRICTER.map(|(file, _)| file));
    assert_eq!((run, total), (702, 720));
}
