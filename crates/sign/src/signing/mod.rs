//! Who signs: a private key in memory, or somebody else who has it.
//!
//! ```text
//! Key            a key file                              the private half is in this process
//! TokenKey       pkcs11:token=…;object=…                 … in a token: HSM, smart card, SoftHSM
//! CommandKey     a program: digest in, signature out     … anywhere: a cloud's KMS, a server
//! ```
//! What somebody else has signed is verified before it gets into an image.

mod command;
#[cfg(feature = "pkcs11")]
mod token;
mod uri;

use std::fmt;

use updraft_image::{Digest, PureCheck, Scheme, Software, Verifier};

use crate::{Key, KeyError, PublicKey, der};

pub use command::{CommandError, CommandKey};
#[cfg(feature = "pkcs11")]
pub use token::{TokenError, TokenKey};
pub use uri::{TokenUri, UriError};

/// Somebody who signs.
pub trait SigningKey: fmt::Debug {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// Signs a hash: RSA-PSS or ECDSA over it as the digest, or Ed25519 over it as the message.
    /// ECDSA signatures are in DER.
    fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError>;

    /// Signs a message itself: Ed25519 only.
    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl SigningKey for Key {
    fn public(&self) -> &PublicKey {
        Key::public(self)
    }

    fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
        Key::sign_digest(self, digest)
    }

    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Key::sign_message(self, message)
    }
}

/// What somebody else gave for a signature of `digest`, if it is one.
fn checked_digest(
    public: &PublicKey,
    digest: &Digest,
    signature: Vec<u8>,
) -> Result<Vec<u8>, KeyError> {
    if public.scheme() == Some(Scheme::Ed25519) {
        return checked_message(public, digest.as_bytes(), signature);
    }
    let signature = in_der(public.scheme(), signature);
    let ring: Vec<_> = public.as_embedded().into_iter().collect();
    match Software::new(&ring).verify(0, digest, &signature) {
        true => Ok(signature),
        false => Err(KeyError::WrongSignature),
    }
}

/// The same of a message.
fn checked_message(
    public: &PublicKey,
    message: &[u8],
    signature: Vec<u8>,
) -> Result<Vec<u8>, KeyError> {
    let ring: Vec<_> = public.as_embedded().into_iter().collect();
    let check = <&[u8; 64]>::try_from(signature.as_slice())
        .ok()
        .and_then(|signature| Software::new(&ring).verify_pure(0, signature));
    let good = check.is_some_and(|mut check| {
        check.update(message);
        check.finish()
    });
    if good { Ok(signature) } else { Err(KeyError::WrongSignature) }
}

/// ECDSA signatures as two numbers side by side, which tokens and some services give, become DER.
fn in_der(scheme: Option<Scheme>, signature: Vec<u8>) -> Vec<u8> {
    let half = match scheme {
        Some(Scheme::EcdsaP256) => 32,
        Some(Scheme::EcdsaP384) => 48,
        _ => return signature,
    };
    match signature.split_at_checked(half) {
        // A signature in DER of just this length begins with its tag and its length.
        Some((r, s)) if s.len() == half && !signature.starts_with(&[0x30, 2 * half as u8 - 2]) => {
            der::ecdsa_signature(r, s)
        }
        _ => signature,
    }
}
