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
    let ring: Vec<_> = public.as_embedded().into_iter().collect();
    let side_by_side = in_der(public.scheme(), &signature);
    // By its first bytes one can be taken for the other: the reading that verifies is right.
    let mut readings = [Some(signature), side_by_side].into_iter().flatten();
    readings
        .find(|signature| Software::new(&ring).verify(0, digest, signature).is_yes())
        .ok_or(KeyError::WrongSignature)
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
        check.finish().is_yes()
    });
    if good { Ok(signature) } else { Err(KeyError::WrongSignature) }
}

/// ECDSA signatures as two numbers side by side, which tokens and some services give, in DER.
fn in_der(scheme: Option<Scheme>, signature: &[u8]) -> Option<Vec<u8>> {
    let half = match scheme? {
        Scheme::EcdsaP256 => 32,
        Scheme::EcdsaP384 => 48,
        _ => return None,
    };
    let (r, s) = signature.split_at_checked(half)?;
    (s.len() == half).then(|| der::ecdsa_signature(r, s))
}

#[cfg(test)]
mod tests {
    use updraft_image::{Digest, HashKind};

    use super::checked_digest;
    use crate::{KeyError, PublicKey};

    /// One of 65536 signatures as two numbers begins as one in DER of that length does.
    #[test]
    fn two_numbers_that_begin_like_der_are_a_signature() {
        let public = PublicKey::from_pem(PUBLIC).unwrap();
        let digest = Digest::of(HashKind::Sha256, b"firmware");
        let raw: Vec<u8> = (0..64)
            .map(|at| u8::from_str_radix(&SIGNATURE[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        assert!(raw.starts_with(&[0x30, 62]));
        let made = checked_digest(&public, &digest, raw.clone()).unwrap();
        assert_eq!(checked_digest(&public, &digest, made.clone()).unwrap(), made);
        let other = Digest::of(HashKind::Sha256, b"other");
        let error = checked_digest(&public, &other, raw).unwrap_err();
        assert!(matches!(error, KeyError::WrongSignature));
    }

    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJmmaTRCz17eG+a0jgH5U+vyW9muQ
IvUYQtCAYwyRkXhZuw4Run0LZ1I7AOyo/dGSqgRLPfvTAPLH1LGkN6uXjw==
-----END PUBLIC KEY-----
";
    const SIGNATURE: &str = "303e5ab4c3c5356b7d35dc1eacaf38239d22827f8ae8e92aecce2b0b263e1a1e\
        56dcf6c426f5dda24375ad692ce81183ea3a4a626ef1db25da6f6b730b0988ff";
}
