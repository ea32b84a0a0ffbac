//! ECIES over P-256 with SHA-256: TLV ENCEC256.

use core::fmt;

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::ecies::{self, HmacSha256};
use super::private_key::{self, PrivateKeyError};
use crate::{ContentKey, KeyLength, KeyUnwrap, TlvType, UnwrapError, WrapFormat, WrappedKey};

/// `OBJECT IDENTIFIER id-ecPublicKey, OBJECT IDENTIFIER prime256v1`.
const ALGORITHM: [u8; 19] = [
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
/// Bytes of an uncompressed point.
const POINT: usize = 65;

/// A P-256 private key that content keys are wrapped for.
pub struct EciesP256 {
    private: SecretKey,
    key: KeyLength,
}

impl EciesP256 {
    /// The private key in `der`, PKCS#8 with or without its public half, for content keys of
    /// length `key`.
    pub fn from_pkcs8(der: &[u8], key: KeyLength) -> Result<Self, PrivateKeyError> {
        let scalar = private_key::pkcs8(der, &ALGORITHM).and_then(private_key::ec);
        let scalar = Zeroizing::new(scalar.unwrap_or_default());
        // Zero is no key, so that what could not be read is refused here, too.
        let private = SecretKey::from_slice(scalar.as_slice())
            .map_err(|_| PrivateKeyError { len: der.len() })?;
        Ok(Self { private, key })
    }

    /// Wraps `key` for the device whose public key is the uncompressed point `recipient`. The
    /// 32 bytes of `ephemeral` are random and used for this one image. `None` if they are no
    /// private key, or `recipient` is no point.
    pub fn seal(ephemeral: &[u8; 32], recipient: &[u8], key: &ContentKey) -> Option<WrappedKey> {
        let ephemeral = SecretKey::from_slice(ephemeral).ok()?;
        let point = ephemeral.public_key().to_sec1_point(false);
        let secret = agree(&ephemeral, recipient)?;
        ecies::seal::<HmacSha256>(TlvType::ENCEC256, point.as_bytes(), &secret, key)
    }
}

/// The x coordinate of the point agreed on.
fn agree(private: &SecretKey, public: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    Some(shared(private, &point(public)?))
}

// Each step takes much of the stack, and leaves it to the next.

#[inline(never)]
fn point(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_sec1_bytes(bytes).ok()
}

#[inline(never)]
fn shared(private: &SecretKey, public: &PublicKey) -> Zeroizing<[u8; 32]> {
    let secret = p256::ecdh::diffie_hellman(private.to_nonzero_scalar(), public.as_affine());
    Zeroizing::new((*secret.raw_secret_bytes()).into())
}

impl KeyUnwrap for EciesP256 {
    fn format(&self) -> Option<WrapFormat> {
        WrapFormat::new(TlvType::ENCEC256, self.key)
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        self.format().ok_or(UnwrapError::NoPrivateKey)?.check(kind, payload)?;
        let (point, sealed) = payload.split_at_checked(POINT).ok_or(UnwrapError::PublicKey)?;
        // Compressed points are 33 bytes long: the other forms do not pass for this one.
        let secret = agree(&self.private, point).ok_or(UnwrapError::PublicKey)?;
        ecies::open::<HmacSha256>(&secret, self.key, sealed)
    }
}

impl fmt::Debug for EciesP256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EciesP256({})", self.key)
    }
}
