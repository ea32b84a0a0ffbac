//! RSA-2048 OAEP with SHA-256 (RFC 8017, 7.1) and an empty label: TLV ENCRSA2048.
//!
//! ```text
//! block    0 · masked seed (32) · masked data (223)
//! data     SHA-256 of nothing (32) · zeros · 1 · content key
//! masks    data ^ MGF1(seed), seed ^ MGF1(masked data)
//! ```
//! The length of the content key is known, and with it the place of every byte, so that the check
//! is one comparison of everything that has to be there.

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::private_key::{self, PrivateKeyError};
use crate::rsa::{HASH, Modulus, mask};
use crate::{ContentKey, KeyLength, KeyUnwrap, TlvType, UnwrapError, WrapFormat, WrappedKey};

/// Words of 32 bits in a number, and its bytes.
const LIMBS: usize = 64;
const SIZE: usize = 4 * LIMBS;
const DATA: usize = SIZE - 1 - HASH;
/// SHA-256 of nothing.
const NO_LABEL: [u8; HASH] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// An RSA-2048 private key that content keys are wrapped for.
///
/// The key is used as one exponent and not by its prime factors: four times as slow, but a single
/// faulty computation does not give the factors away, and the short form of the key is enough.
pub struct RsaOaep {
    modulus: Modulus<LIMBS>,
    exponent: [u8; SIZE],
    key: KeyLength,
}

/// A non-negative number of at most 256 bytes, filled up with zeros in front.
fn number(digits: &[u8]) -> Option<[u8; SIZE]> {
    let digits = match digits {
        [0, digits @ ..] => digits,
        digits => digits,
    };
    let mut bytes = [0; SIZE];
    let start = SIZE.checked_sub(digits.len())?;
    bytes.get_mut(start..)?.copy_from_slice(digits);
    Some(bytes)
}

impl RsaOaep {
    /// The private key in `der`, RSAPrivateKey (PKCS#1), for content keys of length `key`. Only
    /// the modulus and the private exponent are used, so that a key may lack what speeds up
    /// computing with its prime factors.
    pub fn from_pkcs1(der: &[u8], key: KeyLength) -> Result<Self, PrivateKeyError> {
        let error = PrivateKeyError { len: der.len() };
        let (modulus, exponent) = private_key::rsa(der).ok_or(error)?;
        let modulus = number(modulus).and_then(|n| Modulus::new(&n)).ok_or(error)?;
        Ok(Self { modulus, exponent: number(exponent).ok_or(error)?, key })
    }

    /// Wraps `key` for the device whose public key is `recipient`, RSAPublicKey (PKCS#1). The
    /// `seed` is random. `None` if `recipient` is no key of 2048 bits.
    pub fn seal(seed: &[u8; HASH], recipient: &[u8], key: &ContentKey) -> Option<WrappedKey> {
        let (modulus, exponent) = private_key::rsa_public(recipient)?;
        let modulus = Modulus::<LIMBS>::new(&number(modulus)?)?;
        let mut block = Zeroizing::new([0; SIZE]);
        let (_, masked) = block.split_first_mut()?;
        let (masked_seed, data) = masked.split_first_chunk_mut::<HASH>()?;
        expected(key.length(), data);
        data.last_chunk_mut::<32>()?
            .iter_mut()
            .rev()
            .zip(key.as_bytes().iter().rev())
            .for_each(|(to, from)| *to = *from);
        mask(seed, data);
        *masked_seed = *seed;
        mask(data, masked_seed);
        let sealed = modulus.power(block.as_slice(), exponent)?;
        WrappedKey::from_slice(TlvType::ENCRSA2048, sealed.as_flattened())
    }
}

/// Everything of the data but the key.
fn expected(key: KeyLength, data: &mut [u8]) {
    data.fill(0);
    data.iter_mut().zip(NO_LABEL).for_each(|(to, from)| *to = from);
    if let Some(one) = data.iter_mut().rev().nth(key.size()) {
        *one = 1;
    }
}

impl KeyUnwrap for RsaOaep {
    fn format(&self) -> Option<WrapFormat> {
        WrapFormat::new(TlvType::ENCRSA2048, self.key)
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        self.format().ok_or(UnwrapError::NoPrivateKey)?.check(kind, payload)?;
        let mut block = self.modulus.power(payload, &self.exponent).ok_or(UnwrapError::Tag)?;
        let (first, masked) = block.as_flattened_mut().split_first_mut().ok_or(UnwrapError::Tag)?;
        let (seed, data) = masked.split_first_chunk_mut::<HASH>().ok_or(UnwrapError::Tag)?;
        mask(data, seed);
        mask(seed.as_slice(), data);
        let mut wanted = [0; DATA];
        expected(self.key, &mut wanted);
        let (head, key) = data.split_at_mut(DATA - self.key.size());
        // Which byte is wrong would help to decrypt what was not made for the asker (J. Manger,
        // 2001): everything is compared, and the answer is one.
        let differing = head.iter().zip(&wanted).fold(*first, |all, (a, b)| all | (a ^ b));
        if core::hint::black_box(differing) != 0 {
            return Err(UnwrapError::Tag);
        }
        ContentKey::from_slice(key).ok_or(UnwrapError::KeyLength { found: key.len() })
    }
}

impl Drop for RsaOaep {
    fn drop(&mut self) {
        self.exponent.zeroize();
    }
}

impl fmt::Debug for RsaOaep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaOaep({})", self.key)
    }
}
