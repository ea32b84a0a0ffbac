//! A verifier that does not work anything out twice.

use std::collections::HashMap;

use updraft_image::{
    ContentKey, Decision, Digest, HashKind, KeyUnwrap, PublicKey, TlvType, UnwrapError, Verifier,
    WrapFormat,
};

/// Remembers the verdicts of another verifier, by key, digest and signature, and the content keys
/// that it has unwrapped.
///
/// A sweep over power cuts boots the same two images thousands of times; their content is hashed
/// each time, and only the arithmetic behind the signature is saved.
#[derive(Clone, Debug, Default)]
pub struct Remembering<V> {
    verifier: V,
    verdicts: HashMap<(usize, Vec<u8>, Vec<u8>), Decision>,
    format: Option<WrapFormat>,
    unwrapped: HashMap<(TlvType, Vec<u8>), Result<Vec<u8>, UnwrapError>>,
}

impl<V: Verifier> Remembering<V> {
    /// Remembers the verdicts of `verifier`.
    pub fn new(verifier: V) -> Self {
        let (verdicts, unwrapped) = (HashMap::new(), HashMap::new());
        Self { verifier, verdicts, format: None, unwrapped }
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

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision {
        let question = (index, digest.as_bytes().to_vec(), signature.to_vec());
        let verifier = &mut self.verifier;
        *self.verdicts.entry(question).or_insert_with(|| verifier.verify(index, digest, signature))
    }

    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
        self.verifier.verify_pure(index, signature)
    }

    fn private_key(&mut self) -> Option<&mut dyn KeyUnwrap> {
        self.format = self.verifier.private_key()?.format();
        Some(self)
    }
}

impl<V: Verifier> KeyUnwrap for Remembering<V> {
    fn format(&self) -> Option<WrapFormat> {
        self.format
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        let verifier = &mut self.verifier;
        let unwrap = || {
            let key = verifier.private_key().ok_or(UnwrapError::NoPrivateKey)?;
            Ok(key.unwrap(kind, payload)?.as_bytes().to_vec())
        };
        let known = self.unwrapped.entry((kind, payload.to_vec())).or_insert_with(unwrap);
        let bytes = known.as_ref().map_err(|error| *error)?;
        ContentKey::from_slice(bytes).ok_or(UnwrapError::KeyLength { found: bytes.len() })
    }
}
