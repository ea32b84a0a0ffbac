//! Who checks signatures: the seam between the format and the cryptography.

use crate::{Decision, Digest, HashKind, KeyUnwrap, PublicKey};

/// Checks signatures against a ring of public keys.
///
/// A chip may implement it with a hardware engine, a simulator by remembering verdicts that it has
/// seen; [`Software`](crate::Software) does it in Rust, and [`HashOnly`] is for bootloaders without keys.
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

    /// Whether `signature` is key number `index`'s over `digest`. A hardware engine that answers with a
    /// flag is asked by [`Decision::asked`].
    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision;

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

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision {
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

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision {
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
    fn finish(self) -> Decision;
}

/// A check that never succeeds; for verifiers that have none.
#[derive(Clone, Copy, Debug)]
pub enum NoPureCheck {}

impl PureCheck for NoPureCheck {
    fn update(&mut self, _: &[u8]) {
        match *self {}
    }

    fn finish(self) -> Decision {
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

    fn verify(&mut self, _: usize, _: &Digest, _: &[u8]) -> Decision {
        Decision::NO
    }

    fn verify_pure(&mut self, _: usize, _: &[u8; 64]) -> Option<NoPureCheck> {
        None
    }
}
