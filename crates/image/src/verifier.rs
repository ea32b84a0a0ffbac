//! Who checks signatures: the seam between the format and the cryptography.

use crate::{Digest, HashKind, KeyUnwrap, PublicKey};

/// Checks signatures against a ring of public keys.
///
/// A chip may implement it with a hardware engine, a simulator by remembering verdicts that it has
/// seen; [`Software`] does it in Rust, and [`HashOnly`] is for bootloaders without keys.
pub trait Verifier {
    /// The running check of a signature over the image itself.
    type Pure: PureCheck;

    /// Whether images must be signed at all. Without, an intact hash is enough.
    fn demands_signature(&self) -> bool;

    /// Key number `index`, or `None` past the last.
    fn key(&self, index: usize) -> Option<PublicKey<'_>>;

    /// The KEYHASH of key number `index` for images hashed with `kind`.
    fn key_hash(&self, index: usize, kind: HashKind) -> Option<Digest> {
        Some(self.key(index)?.hash(kind))
    }

    /// Whether `signature` is key number `index`'s over `digest`.
    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> bool;

    /// Begins the check of `signature`, made by key number `index` over the image itself; `None`
    /// if the key cannot sign that way or the signature is malformed.
    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure>;

    /// The device's private key, which content keys are wrapped for; `None` on a device that takes
    /// no encrypted images. [`WithPrivateKey`] adds one.
    fn private_key(&mut self) -> Option<&mut dyn KeyUnwrap> {
        None
    }
}

impl<V: Verifier> Verifier for &mut V {
    type Pure = V::Pure;

    fn demands_signature(&self) -> bool {
        (**self).demands_signature()
    }

    fn key(&self, index: usize) -> Option<PublicKey<'_>> {
        (**self).key(index)
    }

    fn key_hash(&self, index: usize, kind: HashKind) -> Option<Digest> {
        (**self).key_hash(index, kind)
    }

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> bool {
        (**self).verify(index, digest, signature)
    }

    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
        (**self).verify_pure(index, signature)
    }

    fn private_key(&mut self) -> Option<&mut dyn KeyUnwrap> {
        (**self).private_key()
    }
}

/// A verifier on a device that has a private key besides, and so takes encrypted images.
#[derive(Clone, Copy, Debug)]
pub struct WithPrivateKey<V, U> {
    verifier: V,
    key: U,
}

impl<V: Verifier, U: KeyUnwrap> WithPrivateKey<V, U> {
    /// What `verifier` says, and `key` to unwrap content keys.
    pub const fn new(verifier: V, key: U) -> Self {
        Self { verifier, key }
    }
}

impl<V: Verifier, U: KeyUnwrap> Verifier for WithPrivateKey<V, U> {
    type Pure = V::Pure;

    fn demands_signature(&self) -> bool {
        self.verifier.demands_signature()
    }

    fn key(&self, index: usize) -> Option<PublicKey<'_>> {
        self.verifier.key(index)
    }

    fn key_hash(&self, index: usize, kind: HashKind) -> Option<Digest> {
        self.verifier.key_hash(index, kind)
    }

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> bool {
        self.verifier.verify(index, digest, signature)
    }

    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
        self.verifier.verify_pure(index, signature)
    }

    fn private_key(&mut self) -> Option<&mut dyn KeyUnwrap> {
        Some(&mut self.key)
    }
}

/// A signature check that is fed the image piece by piece.
pub trait PureCheck {
    /// Takes in more of the image.
    fn update(&mut self, bytes: &[u8]);
    /// Whether the signature covers what was taken in.
    fn finish(self) -> bool;
}

/// A check that never succeeds; for verifiers that have none.
#[derive(Clone, Copy, Debug)]
pub enum NoPureCheck {}

impl PureCheck for NoPureCheck {
    fn update(&mut self, _: &[u8]) {
        match *self {}
    }

    fn finish(self) -> bool {
        match self {}
    }
}

/// The verifier of a bootloader that was built without keys: the hash has to match, and anybody
/// can make an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashOnly;

impl Verifier for HashOnly {
    type Pure = NoPureCheck;

    fn demands_signature(&self) -> bool {
        false
    }

    fn key(&self, _: usize) -> Option<PublicKey<'_>> {
        None
    }

    fn verify(&mut self, _: usize, _: &Digest, _: &[u8]) -> bool {
        false
    }

    fn verify_pure(&mut self, _: usize, _: &[u8; 64]) -> Option<NoPureCheck> {
        None
    }
}

/// Checks signatures in software against the embedded keys.
#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
#[derive(Clone, Copy)]
pub struct Software<'k> {
    keys: &'k [PublicKey<'k>],
}

#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
impl<'k> Software<'k> {
    /// A verifier that trusts `keys`, and nothing if there are none.
    pub fn new(keys: &'k [PublicKey<'k>]) -> Self {
        Self { keys }
    }
}

#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
impl core::fmt::Debug for Software<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Software").field("keys", &self.keys).finish()
    }
}

#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
impl Verifier for Software<'_> {
    #[cfg(feature = "sig-ed25519")]
    type Pure = ed25519::Check;
    #[cfg(not(feature = "sig-ed25519"))]
    type Pure = NoPureCheck;

    fn demands_signature(&self) -> bool {
        true
    }

    fn key(&self, index: usize) -> Option<PublicKey<'_>> {
        self.keys.get(index).copied()
    }

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> bool {
        use crate::Scheme;
        let Some(key) = self.keys.get(index) else {
            return false;
        };
        match key.scheme() {
            #[cfg(feature = "sig-ecdsa-p256")]
            Scheme::EcdsaP256 => p256::verify(key.raw(), digest, signature),
            #[cfg(feature = "sig-ed25519")]
            Scheme::Ed25519 => ed25519::verify(key.raw(), digest.as_bytes(), signature),
            #[allow(unreachable_patterns, reason = "only when one scheme is left out")]
            _ => false,
        }
    }

    #[cfg(feature = "sig-ed25519")]
    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
        let key = self.keys.get(index).filter(|key| key.scheme() == crate::Scheme::Ed25519)?;
        ed25519::Check::begin(key.raw(), signature)
    }

    #[cfg(not(feature = "sig-ed25519"))]
    fn verify_pure(&mut self, _: usize, _: &[u8; 64]) -> Option<Self::Pure> {
        None
    }
}

#[cfg(feature = "sig-ed25519")]
mod ed25519 {
    //! Ed25519 (RFC 8032). MCUboot signs the image hash as the message, or the image itself.

    use ed25519_compact::{PublicKey, Signature, VerifyingState};

    pub fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = PublicKey::from_slice(key) else {
            return false;
        };
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        key.verify(message, &signature).is_ok()
    }

    /// A check over a message that is too long to be held.
    #[derive(Clone)]
    pub struct Check(VerifyingState);

    impl Check {
        pub(super) fn begin(key: &[u8], signature: &[u8; 64]) -> Option<Self> {
            let key = PublicKey::from_slice(key).ok()?;
            key.verify_incremental(&Signature::new(*signature)).ok().map(Self)
        }
    }

    impl super::PureCheck for Check {
        fn update(&mut self, bytes: &[u8]) {
            self.0.absorb(bytes);
        }

        fn finish(self) -> bool {
            self.0.verify().is_ok()
        }
    }

    impl core::fmt::Debug for Check {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("Check")
        }
    }
}

#[cfg(feature = "sig-ecdsa-p256")]
mod p256 {
    //! ECDSA over P-256, signature `SEQUENCE { INTEGER r, INTEGER s }` in DER.
    //!
    //! The reading is as lenient as the original's: lengths may be in any form, what follows the
    //! integers is ignored (older imgtools pad the signature with zeros to 72 bytes), and a longer
    //! integer contributes its last 32 bytes. High `s` is accepted, as the format has no rule
    //! against it. None of this helps to forge anything: the scalars have to verify.
    //! Source: `boot/bootutil/include/bootutil/crypto/ecdsa.h`.

    use crate::{Digest, HashKind};
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use p256::ecdsa::{Signature, VerifyingKey};

    pub fn verify(key: &[u8], digest: &Digest, signature: &[u8]) -> bool {
        if digest.kind() != HashKind::Sha256 {
            return false;
        }
        let Ok(key) = VerifyingKey::from_sec1_bytes(key) else {
            return false;
        };
        let Some((r, s)) = parse(signature) else {
            return false;
        };
        let Ok(signature) = Signature::from_scalars(r, s) else {
            return false;
        };
        key.verify_prehash(digest.as_bytes(), &signature).is_ok()
    }

    fn parse(der: &[u8]) -> Option<([u8; 32], [u8; 32])> {
        let (len, inside) = element(der, 0x30)?;
        inside.get(..len)?;
        let (r, rest) = integer(inside)?;
        let (s, _) = integer(rest)?;
        Some((scalar(r), scalar(s)))
    }

    /// The length of an element of type `tag`, and everything behind that length.
    fn element(der: &[u8], tag: u8) -> Option<(usize, &[u8])> {
        let (&[found, first], rest) = der.split_first_chunk()?;
        if found != tag {
            return None;
        }
        match first {
            0..=0x7f => Some((first.into(), rest)),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked((first & 0x7f).into())?;
                let len = bytes.iter().fold(0, |len: u32, byte| (len << 8) | u32::from(*byte));
                Some((usize::try_from(len).ok()?, rest))
            }
            _ => None,
        }
    }

    fn integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
        let (len, rest) = element(der, 0x02)?;
        rest.split_at_checked(len)
    }

    /// The integer's last 32 bytes, filled up with zeros in front.
    fn scalar(integer: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().rev().zip(integer.iter().rev()) {
            *to = *from;
        }
        out
    }

    #[cfg(test)]
    mod tests {
        use super::{parse, scalar};

        #[test]
        fn a_longer_integer_contributes_its_last_32_bytes() {
            let mut long = [7; 34];
            long[0] = 0;
            assert_eq!(scalar(&long), [7; 32]);
            let mut short = [0; 32];
            short[31] = 9;
            assert_eq!(scalar(&[9]), short);
            assert_eq!(scalar(&[]), [0; 32]);
        }

        #[test]
        fn every_form_of_length_is_read_and_the_sequence_has_to_fit() {
            let one_two = Some((scalar(&[1]), scalar(&[2])));
            assert_eq!(parse(&[0x30, 6, 2, 1, 1, 2, 1, 2]), one_two);
            assert_eq!(parse(&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 2]), one_two);
            assert_eq!(parse(&[0x30, 0x82, 0, 7, 2, 0x81, 1, 1, 2, 1, 2]), one_two);
            assert_eq!(parse(&[0x30, 6, 2, 1, 1, 2, 1, 2, 0, 0]), one_two);
            // The integers are read to the end of the signature, not of the sequence.
            assert_eq!(parse(&[0x30, 3, 2, 1, 1, 2, 1, 2]), one_two);
            assert_eq!(parse(&[0x30, 7, 2, 1, 1, 2, 1, 2]), None);
            assert_eq!(parse(&[0x30, 6, 2, 1, 1, 2, 2, 2]), None);
            assert_eq!(parse(&[0x30, 0x80, 2, 1, 1, 2, 1, 2]), None);
            assert_eq!(parse(&[0x31, 6, 2, 1, 1, 2, 1, 2]), None);
            assert_eq!(parse(&[]), None);
        }
    }
}
