//! The keys that a virtual device was built with.

use updraft_image::{
    Decision, Digest, KeyError, KeyUnwrap, PublicKey, PureCheck, Software, Verifier,
};

use crate::PrivateKey;

/// A ring of owned public keys, and perhaps a private one. A ring without public keys is a bootloader that asks for no signature.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: Vec<Vec<u8>>,
    private: Option<PrivateKey>,
}

impl Keys {
    /// A device that boots whatever is intact, signed or not.
    pub fn unsigned() -> Self {
        Self::default()
    }

    /// A device that trusts these keys, each in its embedded encoding.
    pub fn trusting(keys: Vec<Vec<u8>>) -> Result<Self, KeyError> {
        for key in &keys {
            PublicKey::from_der(key)?;
        }
        Ok(Self { keys, private: None })
    }

    /// The same with a private key for encrypted images.
    pub fn with_private_key(self, key: PrivateKey) -> Self {
        Self { private: Some(key), ..self }
    }
}

/// The running check over an image, as [`Software`] makes it.
#[derive(Clone, Debug)]
pub struct Pure(<Software<'static> as Verifier>::Pure);

impl PureCheck for Pure {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Decision {
        self.0.finish()
    }
}

impl Verifier for Keys {
    type Pure = Pure;

    fn demands_signature(&self) -> bool {
        !self.keys.is_empty()
    }

    fn key(&self, index: usize) -> Option<PublicKey<'_>> {
        PublicKey::from_der(self.keys.get(index)?).ok()
    }

    fn verify(&mut self, index: usize, digest: &Digest, signature: &[u8]) -> Decision {
        let Some(key) = self.key(index) else { return Decision::NO };
        Software::new(&[key]).verify(0, digest, signature)
    }

    fn verify_pure(&mut self, index: usize, signature: &[u8; 64]) -> Option<Pure> {
        let key = self.key(index)?;
        Software::new(&[key]).verify_pure(0, signature).map(Pure)
    }

    fn private_key(&mut self) -> Option<&mut dyn KeyUnwrap> {
        self.private.as_mut().map(|key| key as &mut dyn KeyUnwrap)
    }
}
