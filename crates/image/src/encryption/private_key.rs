//! Private keys as a bootloader embeds them: PKCS#8 PrivateKeyInfo, and for RSA PKCS#1.
//!
//! ```text
//! SEQUENCE                        PrivateKeyInfo
//!   INTEGER 0                     1 in the newer form that appends the public key
//!   SEQUENCE { algorithm }
//!   OCTET STRING                  P-256: SEQUENCE { INTEGER 1, OCTET STRING, … }
//!                                 X25519: OCTET STRING
//! SEQUENCE                        RSAPrivateKey
//!   INTEGER 0, n, e, d, …         the prime factors and what speeds up computing with them
//! SEQUENCE                        RSAPublicKey
//!   INTEGER n, e
//! ```
//! imgtool writes them, with and without their public halves and the last of the RSA numbers; none
//! of those is looked at. Sources: RFC 5208, RFC 5915, RFC 8410, RFC 8017.

use core::fmt;

const INTEGER: u8 = 0x02;
#[cfg(any(feature = "enc-p256", feature = "enc-x25519"))]
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The bytes are no private key of the type that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateKeyError {
    /// How many bytes were given.
    pub len: usize,
}

impl fmt::Display for PrivateKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are no private key of the type that is needed", self.len)
    }
}

impl core::error::Error for PrivateKeyError {}

/// The content of the element of type `tag` that `der` begins with, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (len, rest) = match first {
        0..=0x7f => (first.into(), rest),
        0x81 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => {
            rest.split_first_chunk().map(|(len, rest)| (u16::from_be_bytes(*len).into(), rest))?
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// The private key inside a PrivateKeyInfo whose algorithm is `algorithm`, as DER of its own.
#[cfg(any(feature = "enc-p256", feature = "enc-x25519"))]
pub fn pkcs8<'k>(der: &'k [u8], algorithm: &[u8]) -> Option<&'k [u8]> {
    let (info, b"") = element(der, SEQUENCE)? else { return None };
    let ([0 | 1], rest) = element(info, INTEGER)? else { return None };
    let (found, rest) = element(rest, SEQUENCE)?;
    if found != algorithm {
        return None;
    }
    Some(element(rest, OCTET_STRING)?.0)
}

/// The scalar of an ECPrivateKey.
#[cfg(feature = "enc-p256")]
pub fn ec(der: &[u8]) -> Option<[u8; 32]> {
    let (key, b"") = element(der, SEQUENCE)? else { return None };
    let ([1], rest) = element(key, INTEGER)? else { return None };
    element(rest, OCTET_STRING)?.0.try_into().ok()
}

/// The 32 bytes of a key of RFC 8410.
#[cfg(feature = "enc-x25519")]
pub fn octets(der: &[u8]) -> Option<[u8; 32]> {
    match element(der, OCTET_STRING)? {
        (bytes, b"") => bytes.try_into().ok(),
        _ => None,
    }
}

/// Modulus and private exponent of an RSAPrivateKey.
#[cfg(feature = "enc-rsa")]
pub fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, b"") = element(der, SEQUENCE)? else { return None };
    let ([0], rest) = element(key, INTEGER)? else { return None };
    let (modulus, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, INTEGER)?;
    Some((modulus, element(rest, INTEGER)?.0))
}

/// Modulus and exponent of an RSAPublicKey.
#[cfg(feature = "enc-rsa")]
pub fn rsa_public(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, b"") = element(der, SEQUENCE)? else { return None };
    let (modulus, rest) = element(key, INTEGER)?;
    match element(rest, INTEGER)? {
        (exponent, b"") => Some((modulus, exponent)),
        _ => None,
    }
}
