//! Ed25519 (RFC 8032). MCUboot signs the image hash as the message, or the image itself.

use ed25519_compact::{PublicKey, Signature, VerifyingState};

use crate::PureCheck;

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
    pub fn begin(key: &[u8], signature: &[u8; 64]) -> Option<Self> {
        let key = PublicKey::from_slice(key).ok()?;
        key.verify_incremental(&Signature::new(*signature)).ok().map(Self)
    }
}

impl PureCheck for Check {
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
