//! The private key that a virtual device was built with.

use std::fmt;

use updraft_image::encryption::{
    AesKeyWrap, EciesP256, EciesX25519, HmacSha512, PrivateKeyError, RsaOaep,
};
use updraft_image::{ContentKey, KeyUnwrap, TlvType, UnwrapError, WrapFormat};

/// A private key in the encoding that a bootloader embeds: PKCS#8 for P-256 and X25519, PKCS#1 for
/// RSA, the bare key for AES key wrap.
#[derive(Clone)]
pub struct PrivateKey {
    format: WrapFormat,
    bytes: Vec<u8>,
}

impl PrivateKey {
    /// The key in `bytes`, for content keys that come in `format`.
    pub fn new(format: WrapFormat, bytes: Vec<u8>) -> Result<Self, PrivateKeyError> {
        let key = Self { format, bytes };
        key.device()?;
        Ok(key)
    }

    fn device(&self) -> Result<Box<dyn KeyUnwrap>, PrivateKeyError> {
        let (der, length) = (self.bytes.as_slice(), self.format.key());
        Ok(match self.format.kind() {
            TlvType::ENCRSA2048 => Box::new(RsaOaep::from_pkcs1(der, length)?),
            TlvType::ENCEC256 => Box::new(EciesP256::from_pkcs8(der, length)?),
            TlvType::ENCX25519 => Box::new(<EciesX25519>::from_pkcs8(der, length)?),
            TlvType::ENCX25519_SHA512 => {
                Box::new(EciesX25519::<HmacSha512>::from_pkcs8(der, length)?)
            }
            _ => {
                let wrapping = AesKeyWrap::from_slice(der).filter(|_| der.len() == length.size());
                Box::new(wrapping.ok_or(PrivateKeyError { len: der.len() })?)
            }
        })
    }
}

impl KeyUnwrap for PrivateKey {
    fn format(&self) -> Option<WrapFormat> {
        Some(self.format)
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        // It was read before.
        self.device().map_err(|_| UnwrapError::NoPrivateKey)?.unwrap(kind, payload)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, {})", self.format.kind(), self.format.key())
    }
}
