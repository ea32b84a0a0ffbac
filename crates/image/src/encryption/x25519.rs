//! ECIES over X25519: TLV ENCX25519 with SHA-256, ENCX25519_SHA512 with SHA-512.

use core::fmt;
use core::marker::PhantomData;

use ed25519_compact::x25519::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::ecies::{self, EciesHash, HmacSha256};
use super::private_key::{self, PrivateKeyError};
use crate::{ContentKey, KeyLength, KeyUnwrap, TlvType, UnwrapError, WrapFormat, WrappedKey};

/// `OBJECT IDENTIFIER id-X25519`.
const ALGORITHM: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x6e];

/// An X25519 private key that content keys are wrapped for, with the hash `H`.
pub struct EciesX25519<H = HmacSha256> {
    private: Zeroizing<[u8; 32]>,
    key: KeyLength,
    hash: PhantomData<H>,
}

impl<H: EciesHash> EciesX25519<H> {
    /// The private key in `der`, PKCS#8, for content keys of length `key`.
    pub fn from_pkcs8(der: &[u8], key: KeyLength) -> Result<Self, PrivateKeyError> {
        let private = private_key::pkcs8(der, &ALGORITHM).and_then(private_key::octets);
        let private = private.ok_or(PrivateKeyError { len: der.len() })?;
        Ok(Self { private: Zeroizing::new(private), key, hash: PhantomData })
    }

    /// Wraps `key` for the device whose public key is `recipient`. The 32 bytes of `ephemeral` are
    /// random and used for this one image. `None` if nothing secret can be agreed on with the
    /// recipient's key.
    pub fn seal(
        ephemeral: &[u8; 32],
        recipient: &[u8; 32],
        key: &ContentKey,
    ) -> Option<WrappedKey> {
        let mut base = [0; 32];
        base[0] = 9;
        let public = agree(ephemeral, &base)?;
        let secret = agree(ephemeral, recipient)?;
        ecies::seal::<H>(H::X25519, public.as_slice(), &secret, key)
    }
}

/// `None` for a public key of small order, with which everybody agrees on zero.
fn agree(private: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let secret = PublicKey::new(*public).dh(&SecretKey::new(*private)).ok()?;
    Some(Zeroizing::new(*secret))
}

impl<H: EciesHash> KeyUnwrap for EciesX25519<H> {
    fn format(&self) -> Option<WrapFormat> {
        WrapFormat::new(H::X25519, self.key)
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        self.format().ok_or(UnwrapError::NoPrivateKey)?.check(kind, payload)?;
        let (public, sealed) = payload.split_first_chunk().ok_or(UnwrapError::PublicKey)?;
        let secret = agree(&self.private, public).ok_or(UnwrapError::PublicKey)?;
        ecies::open::<H>(&secret, self.key, sealed)
    }
}

impl<H> fmt::Debug for EciesX25519<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EciesX25519({})", self.key)
    }
}
