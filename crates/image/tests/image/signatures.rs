//! Signatures on their own: the recorded ones are good, and nothing near them is.

use crate::vectors::{file, manifest};
use proptest::prelude::*;
use updraft_image::{
    Digest, HashKind, Header, PublicKey, Scheme, Software, TlvArea, Verifier, image_hash,
};

/// An image of each scheme, by another key of the same scheme, and what tells them apart.
const IMAGES: [(Scheme, &str, Option<&str>); 5] = [
    (Scheme::Rsa2048, "img/rsa-2048.bin", Some("img/rsa-2048-by-other.bin")),
    (Scheme::Rsa3072, "img/rsa-3072.bin", Some("img/rsa-3072-by-other.bin")),
    (Scheme::EcdsaP256, "img/ecdsa-p256.bin", None),
    (Scheme::EcdsaP384, "img/ecdsa-p384.bin", Some("img/ecdsa-p384-by-other.bin")),
    (Scheme::Ed25519, "img/allprot.bin", None),
];

struct Signature {
    key: Vec<u8>,
    digest: Digest,
    bytes: Vec<u8>,
}

impl Signature {
    fn of(scheme: Scheme, name: &str) -> Self {
        let image = file(name);
        let mut source = image.as_slice();
        let header = Header::parse(&image).unwrap();
        let digest = image_hash(&mut source, &header, scheme.usual_hash(false).unwrap()).unwrap();
        let area = TlvArea::open(&mut source, &header).unwrap();
        let entry = area.iter_bounded().find(&mut source, scheme.tlv()).unwrap().unwrap();
        let bytes = image[entry.offset as usize..][..entry.len.into()].to_vec();
        Self { key: manifest().key(scheme.name()), digest, bytes }
    }

    fn is_good(&self) -> bool {
        let keys = [PublicKey::from_der(&self.key).unwrap()];
        Software::new(&keys).verify(0, &self.digest, &self.bytes).is_yes()
    }
}

#[test]
fn a_signature_is_good_for_its_key_and_its_hash_alone() {
    for (scheme, name, by_other) in IMAGES {
        let good = Signature::of(scheme, name);
        assert!(good.is_good(), "{scheme}");
        assert!(scheme.accepts_len(good.bytes.len()));
        let content = good.digest.as_bytes();
        let mut other = content.to_vec();
        other[content.len() - 1] ^= 1;
        let kind = good.digest.kind();
        let digest = Digest::from_slice(kind, &other).unwrap();
        assert!(!Signature { digest, ..Signature::of(scheme, name) }.is_good(), "{scheme}");
        if let Some(name) = by_other {
            assert!(!Signature::of(scheme, name).is_good(), "{scheme}: another key");
        }
        for other in HashKind::ALL.into_iter().filter(|other| !scheme.allows(*other, false)) {
            let digest = Digest::of(other, b"");
            assert!(!Signature { digest, ..Signature::of(scheme, name) }.is_good(), "{scheme}");
        }
    }
}

#[test]
fn numbers_beyond_the_modulus_are_no_signatures() {
    for (scheme, name, _) in &IMAGES[..2] {
        let mut signature = Signature::of(*scheme, name);
        let good = signature.bytes.clone();
        signature.bytes.fill(0xff);
        assert!(!signature.is_good());
        signature.bytes.fill(0);
        assert!(!signature.is_good());
        signature.bytes = good[1..].to_vec();
        assert!(!signature.is_good());
        signature.bytes = [&[0], &good[..]].concat();
        assert!(!signature.is_good());
        signature.bytes = good;
        // A modulus that is even, and one that is too short.
        let last = signature.key.len() - 6;
        signature.key[last] ^= 1;
        assert!(!signature.is_good());
        signature.key[last] ^= 1;
        assert!(signature.is_good());
        signature.key[9] &= 0x7f;
        assert!(!signature.is_good());
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_no_key() {
    for (scheme, name, _) in &IMAGES[2..4] {
        let mut signature = Signature::of(*scheme, name);
        *signature.key.last_mut().unwrap() ^= 1;
        assert!(!signature.is_good(), "{scheme}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_bit_leaves_a_signature_good(
        of in 0..IMAGES.len(),
        at: prop::sample::Index,
        bit in 0..8,
    ) {
        let (scheme, name, _) = IMAGES[of];
        let mut signature = Signature::of(scheme, name);
        // Of the DER around the scalars not everything is looked at: the end of `s` is.
        let ecdsa = matches!(scheme, Scheme::EcdsaP256 | Scheme::EcdsaP384);
        let bytes = signature.bytes.len();
        let at = if ecdsa { bytes - 1 - at.index(30) } else { at.index(bytes) };
        signature.bytes[at] ^= 1_u8 << bit;
        prop_assert!(!signature.is_good(), "{} byte {} bit {}", scheme, at, bit);
    }

    #[test]
    fn no_bytes_are_a_signature(
        of in 0..IMAGES.len(),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let (scheme, name, _) = IMAGES[of];
        let mut signature = Signature::of(scheme, name);
        // As many as the scheme's signatures have, and any number.
        for len in [signature.bytes.len(), bytes.len()] {
            signature.bytes = bytes.iter().copied().cycle().take(len).collect();
            prop_assert!(!signature.is_good());
        }
    }
}
