//! A verifier that does not work out twice whether a signature is right.

use std::collections::HashMap;

use updraft_image::{Digest, HashKind, PublicKey, Verifier};

/// Remembers the verdicts of another verifier, by key, digest and signature.
///
/// A sweep over power cuts boots the same two images thousands of times; their content is hashed
/// each time, and only the arithmetic behind the signature is saved.
#[derive(Clone, Debug, Default)]
pub struct Remembering<V> {
    verifier: V,
    verdicts: HashMap<(usize, Vec<u8>, Vec<u8>), bool>,
}

impl<V: Verifier> Remembering<V> {
    /// Remembers the verdicts of `verifier`.
    pub fn new(verifier: V) -> Self {
        Self { verifier, verdicts: HashMap::new() }
    }
}

impl<V: Verifier> Verifier for Remembering<V> {
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
        let question = (index, digest.as_bytes().to_vec(), signature.to_vec());
        let verifier = &mut self.verifier;
        *self.verdicts.entry(question).or_insert_with(|| verifier.verify(index, digest, signature))
    }

    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
        self.verifier.verify_pure(index, signature)
    }
}
