//! Signature checks in software.
//!
//! P-256 and Ed25519 are checked by arithmetic of our own, which both share and which is small
//! before it is fast: `limbs` has the numbers, `field` runs formulas over them, `straus` adds
//! multiples of points, `p256` and `ed25519` have the curves. It is for public data alone and takes
//! its time by them. Whoever needs a secret number (`enc-p256`, `enc-x25519`) has crates for it; a
//! bootloader with both links both.

#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ecdsa-p384"))]
mod ecdsa;
#[cfg(feature = "sig-ed25519")]
mod ed25519;
#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
mod field;
#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
mod limbs;
#[cfg(feature = "sig-ecdsa-p256")]
mod p256;
#[cfg(feature = "sig-ed25519")]
mod sha512;
#[cfg(any(feature = "sig-ecdsa-p256", feature = "sig-ed25519"))]
mod straus;
#[cfg(test)]
mod tests;

#[cfg(feature = "sig-rsa")]
use crate::rsa::pss;
#[cfg(not(feature = "sig-ed25519"))]
use crate::verifier::NoPureCheck;
use crate::{Decision, Digest, PublicKey, Verifier};

/// Checks signatures in software against the embedded keys.
#[derive(Clone, Copy)]
pub struct Software<'k> {
    keys: &'k [PublicKey<'k>],
}

impl<'k> Software<'k> {
    /// A verifier that trusts `keys`, and nothing if there are none. Of keys whose scheme is no
    /// feature of this build no signature is good.
    pub fn new(keys: &'k [PublicKey<'k>]) -> Self {
        Self { keys }
    }
}

impl core::fmt::Debug for Software<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Software").field("keys", &self.keys).finish()
    }
}

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

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision {
        let Some(key) = self.keys.get(index) else {
            return Decision::NO;
        };
        match key.scheme() {
            #[cfg(feature = "sig-rsa")]
            crate::Scheme::Rsa2048 => pss::verify::<64>(key.raw(), digest, signature),
            #[cfg(feature = "sig-rsa")]
            crate::Scheme::Rsa3072 => pss::verify::<96>(key.raw(), digest, signature),
            #[cfg(feature = "sig-ecdsa-p256")]
            crate::Scheme::EcdsaP256 => ecdsa::verify_p256(key.raw(), digest, signature),
            #[cfg(feature = "sig-ecdsa-p384")]
            crate::Scheme::EcdsaP384 => ecdsa::verify_p384(key.raw(), digest, signature),
            #[cfg(feature = "sig-ed25519")]
            crate::Scheme::Ed25519 => ed25519::verify(key.raw(), digest.as_bytes(), signature),
            #[allow(unreachable_patterns, reason = "only when one scheme is left out")]
            _ => {
                let _ = (digest, signature);
                Decision::NO
            }
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
