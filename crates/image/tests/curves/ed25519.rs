//! Ed25519, against the crate `ed25519-compact`.

use crypto_bigint::{NonZero, U256, U512};
use ed25519_compact::{KeyPair, Seed, Signature};
use proptest::prelude::*;
use updraft_image::{Digest, HashKind, PublicKey, PureCheck, Software, Verifier};

use crate::unhex;

/// What SubjectPublicKeyInfo has in front of the key.
const PREFIX: &str = "302a300506032b6570032100";
const BASE: &str = "5866666666666666666666666666666666666666666666666666666666666666";

fn order() -> NonZero<U256> {
    let order = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed";
    NonZero::new(U256::from_be_hex(order)).unwrap()
}

/// Whether the signature is good for the message, in one piece or in pieces.
pub fn is_good(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let der = [unhex(PREFIX), key.to_vec()].concat();
    let keys = [PublicKey::from_der(&der).unwrap()];
    let mut software = Software::new(&keys);
    let signature: &[u8; 64] = signature.try_into().unwrap();
    let pure = |verifier: &mut Software<'_>, piece: usize| {
        let Some(mut check) = verifier.verify_pure(0, signature) else { return false };
        message.chunks(piece).for_each(|piece| check.update(piece));
        check.finish().is_yes()
    };
    let verdict = pure(&mut software, 1 << 20);
    assert_eq!(pure(&mut software, 7), verdict);
    let kind = HashKind::ALL.into_iter().find(|kind| kind.size() == message.len());
    if let Some(digest) = kind.and_then(|kind| Digest::from_slice(kind, message)) {
        assert_eq!(software.verify(0, &digest, signature).is_yes(), verdict);
    }
    verdict
}

fn theirs(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = ed25519_compact::PublicKey::from_slice(key).unwrap();
    key.verify(message, &Signature::from_slice(signature).unwrap()).is_ok()
}

/// The signature of `message` by the key that is `private` times the base point, with the public
/// key of `nonce` as its R.
fn sign(private: U256, key: &[u8; 32], nonce: [u8; 32], message: &[u8]) -> [u8; 64] {
    // RFC 8032, 5.1.5: how a seed becomes a multiple of the base point.
    let hash = Digest::of(HashKind::Sha512, &nonce);
    let mut multiple: [u8; 32] = hash.as_bytes()[..32].try_into().unwrap();
    multiple[0] &= 248;
    multiple[31] = (multiple[31] & 63) | 64;
    let r: [u8; 32] = *KeyPair::from_seed(Seed::new(nonce)).pk;
    let hash = Digest::of(HashKind::Sha512, &[&r, key, message].concat());
    let hash = U512::from_le_slice(hash.as_bytes());
    let hash = hash.rem_vartime(&NonZero::new(order().resize::<8>()).unwrap()).resize();
    let multiple = U256::from_le_slice(&multiple).rem_vartime(&order());
    let s = hash.mul_mod(&private, &order()).add_mod(&multiple, &order());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(s.to_le_bytes().as_ref());
    signature
}

#[test]
fn the_signatures_of_rfc_8032_are_good() {
    let signatures = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e\
             39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f\
             3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67\
             f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (key, message, signature) in signatures {
        assert!(is_good(&unhex(key), &unhex(message), &unhex(signature)), "{key}");
        assert!(!is_good(&unhex(key), b"other", &unhex(signature)), "{key}");
    }
}

#[test]
fn the_base_point_and_its_negative_are_keys_like_others() {
    let base: [u8; 32] = unhex(BASE).try_into().unwrap();
    let mut opposite = base;
    opposite[31] |= 0x80;
    let minus_one = order().wrapping_sub(&U256::ONE);
    for (private, key) in [(U256::ONE, base), (minus_one, opposite)] {
        for nonce in 1..20 {
            let signature = sign(private, &key, [nonce; 32], b"message");
            assert!(theirs(&key, b"message", &signature));
            assert!(is_good(&key, b"message", &signature));
            assert!(!is_good(&key, b"massage", &signature));
        }
    }
}

#[test]
fn a_key_beyond_the_prime_is_none() {
    for y in 0..19 {
        let mut key = [0xff; 32];
        key[0] = 0xed + y;
        for sign in [0x7f, 0xff] {
            key[31] = sign;
            let signature = [3; 64];
            assert!(!theirs(&key, b"", &signature));
            assert!(!is_good(&key, b"", &signature));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_signature_is_good_for_its_key_and_message(
        seed in any::<[u8; 32]>().prop_filter("refused", |seed| *seed != [0; 32]),
        message in prop::collection::vec(any::<u8>(), 0..300),
        part in 0..3,
        at: prop::sample::Index,
        bit in 0..8,
    ) {
        let pair = KeyPair::from_seed(Seed::new(seed));
        let (mut key, mut message) = (*pair.pk, message);
        let mut signature = *pair.sk.sign(&message, None);
        prop_assert!(is_good(&key, &message, &signature));
        let changed = match part {
            0 => &mut key[..],
            1 => &mut signature[..],
            _ => &mut message[..],
        };
        if changed.is_empty() {
            return Ok(());
        }
        let at = at.index(changed.len());
        changed[at] ^= 1_u8 << bit;
        prop_assert!(!is_good(&key, &message, &signature));
        prop_assert!(!theirs(&key, &message, &signature));
    }

    #[test]
    fn an_s_that_is_not_below_the_order_is_none(seed: [u8; 32], times in 1..15_u64) {
        let pair = KeyPair::from_seed(Seed::new(seed));
        let mut signature = *pair.sk.sign(b"message", None);
        let s = U256::from_le_slice(&signature[32..]);
        let s = s.wrapping_add(&order().wrapping_mul(&U256::from_u64(times)));
        signature[32..].copy_from_slice(s.to_le_bytes().as_ref());
        prop_assert!(!theirs(&*pair.pk, b"message", &signature));
        prop_assert!(!is_good(&*pair.pk, b"message", &signature));
    }

    #[test]
    fn any_bytes_are_judged(
        key: [u8; 32],
        signature in prop::collection::vec(any::<u8>(), 64),
        message in prop::collection::vec(any::<u8>(), 0..40),
        top in 0..16_u8,
    ) {
        let mut signature = signature;
        // Most often small enough to be looked at further.
        signature[63] = top;
        prop_assert!(!theirs(&key, &message, &signature));
        prop_assert!(!is_good(&key, &message, &signature));
    }
}
