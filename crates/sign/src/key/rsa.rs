//! RSA keys: the numbers of PKCS#1, and signing with them.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Encoding, NonZero, Odd, U1536, U2048, U3072, Uint};
use crypto_primes::{Flavor, random_prime};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use updraft_image::{Digest, HashKind, Scheme};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, PublicKey, damaged};
use crate::der;

/// The public exponent that all keys have.
const EXPONENT: u32 = 65537;
/// Bytes of a hash, and of a salt.
const HASH: usize = 32;
/// What is wrong with most damaged keys.
pub const NO_NUMBERS: &str = "its numbers are not those of PKCS#1";

/// The private key in `der`, RSAPrivateKey, and its public half.
pub fn private(der: &[u8]) -> Result<(Zeroizing<Vec<u8>>, PublicKey), KeyError> {
    let numbers = numbers(der).ok_or_else(|| damaged(NO_NUMBERS))?;
    let [_, modulus, exponent, private, ..] = numbers.as_slice() else {
        return Err(damaged("it has no private exponent"));
    };
    let public = public(&der::sequence(&[der::integer(modulus), der::integer(exponent)]))?;
    match private.len() > modulus.len() {
        true => Err(damaged("its private exponent is longer than its modulus")),
        false => Ok((Zeroizing::new(der.to_vec()), public)),
    }
}

/// The public key in `der`, RSAPublicKey.
pub fn public(der: &[u8]) -> Result<PublicKey, KeyError> {
    let embedded = updraft_image::PublicKey::from_der(der).ok();
    let rsa = |key: &updraft_image::PublicKey<'_>| {
        matches!(key.scheme(), Scheme::Rsa2048 | Scheme::Rsa3072)
    };
    if let Some(key) = embedded.filter(rsa) {
        let kind = KeyKind::from(key.scheme());
        return match key.raw() {
            [first, .., last] if first >> 7 == 1 && last & 1 == 1 => {
                Ok(PublicKey { kind, der: der.to_vec() })
            }
            _ => Err(damaged("its modulus is no product of two primes of its length")),
        };
    }
    let numbers = numbers(der).ok_or_else(|| damaged(NO_NUMBERS))?;
    match numbers.as_slice() {
        [modulus, _] if ![257, 385].contains(&modulus.len()) => {
            let name = format!("an RSA-{}", 8 * modulus.len().saturating_sub(1));
            Err(KeyError::Unsupported { name })
        }
        _ => Err(damaged("its exponent is not 65537")),
    }
}

/// A private key without the numbers that speed up computing with its prime factors.
pub fn minimal(der: &[u8]) -> Zeroizing<Vec<u8>> {
    let numbers = numbers(der).unwrap_or_default();
    let kept: Vec<_> = numbers.iter().take(6).map(|digits| der::integer(digits)).collect();
    der::sequence(&kept)
}

/// The content of the INTEGERs in a SEQUENCE.
fn numbers(der: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, behind) = der::read(der, der::SEQUENCE)?;
    let mut numbers = Vec::new();
    while !rest.is_empty() {
        let (digits, behind) = der::read(rest, der::INTEGER)?;
        numbers.push(digits);
        rest = behind;
    }
    behind.is_empty().then_some(numbers)
}

/// The PSS signature of a SHA-256 hash by the private key in `der`, RSAPrivateKey: MGF1 with
/// SHA-256, and a salt of 32 bytes (RFC 8017, 9.1.1). `None` if the key's numbers are no key.
///
/// The salt is a hash of the private key and what is signed: as good as a random one for whoever
/// has no private key, and the same for the same input.
pub fn sign(der: &[u8], digest: &Digest) -> Option<Vec<u8>> {
    let sha256 = |parts: &[&[u8]]| Digest::of(HashKind::Sha256, &Zeroizing::new(parts.concat()));
    let numbers = numbers(der)?;
    let [_, [0, modulus @ ..], _, private, ..] = numbers.as_slice() else { return None };
    let salt = sha256(&[b"salt", der, digest.as_bytes()]);
    let bound = sha256(&[&[0; 8], digest.as_bytes(), salt.as_bytes()]);
    let bound = bound.as_bytes();
    let mut block = vec![0; modulus.len()];
    let data = block.len().checked_sub(HASH + 1)?;
    block[data - HASH - 1] = 1;
    block[data - HASH..data].copy_from_slice(salt.as_bytes());
    for (counter, piece) in (0_u32..).zip(block[..data].chunks_mut(HASH)) {
        let mask = sha256(&[bound, &counter.to_be_bytes()]);
        piece.iter_mut().zip(mask.as_bytes()).for_each(|(byte, mask)| *byte ^= mask);
    }
    // What is signed is one bit shorter than the modulus.
    block[0] &= 0x7f;
    block[data..data + HASH].copy_from_slice(bound);
    block[data + HASH] = 0xbc;
    match modulus.len() {
        256 => power::<{ U2048::LIMBS }>(&block, private, modulus),
        384 => power::<{ U3072::LIMBS }>(&block, private, modulus),
        _ => None,
    }
}

/// `base ^ exponent mod modulus`, in a time that tells nothing about base and exponent.
fn power<const LIMBS: usize>(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Option<Vec<u8>>
where
    Uint<LIMBS>: Encoding,
{
    let number = |digits: &[u8]| {
        let len = LIMBS * size_of::<crypto_bigint::Word>();
        let digits = digits.strip_prefix(&[0]).unwrap_or(digits);
        let mut bytes = Zeroizing::new(vec![0; len.checked_sub(digits.len())?]);
        bytes.extend_from_slice(digits);
        Some(Uint::<LIMBS>::from_be_slice(&bytes))
    };
    let modulus: Option<Odd<_>> = Odd::new(number(modulus)?).into();
    let exponent = Zeroizing::new(number(exponent)?);
    let form = FixedMontyForm::new(&number(base)?, &FixedMontyParams::new(modulus?));
    Some(form.pow(&exponent).retrieve().to_be_bytes().as_ref().to_vec())
}

/// A fresh RSAPrivateKey with a modulus of `bits`, at most 3072: two random primes of half as many,
/// and what follows from them.
pub fn generate(bits: u32) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // The generator below has no way to say that there are no random numbers.
    getrandom::fill(&mut [0]).map_err(KeyError::Random)?;
    let mut random = UnwrapErr(SysRng);
    let mut prime = || random_prime::<U1536, _>(&mut random, Flavor::Any, bits / 2);
    loop {
        let (one, other) = (prime(), prime());
        let [p, q] = if one > other { [one, other] } else { [other, one] };
        let modulus: U3072 = p.concatenating_mul(&q);
        let [p_less, q_less] = [p, q].map(|prime| prime.wrapping_sub(&U1536::ONE));
        let order: U3072 = p_less.concatenating_mul(&q_less);
        let order = Option::from(NonZero::new(order));
        let inverse = order.and_then(|order| U3072::from(EXPONENT).invert_mod(&order).into());
        let by_q = Option::from(NonZero::new(p)).and_then(|p| q.invert_mod(&p).into());
        let (Some(d), Some(q_inverse)): (Option<U3072>, Option<U1536>) = (inverse, by_q) else {
            continue;
        };
        if modulus.bits() < bits {
            continue;
        }
        let [d_p, d_q] = [p_less, q_less].map(|less| {
            let less: NonZero<U3072> = NonZero::new(less.resize()).unwrap_or(NonZero::MAX);
            d.rem(&less)
        });
        let numbers = [
            U3072::ZERO,
            modulus,
            U3072::from(EXPONENT),
            d,
            p.resize(),
            q.resize(),
            d_p,
            d_q,
            q_inverse.resize(),
        ];
        let numbers =
            numbers.map(|number| der::positive(&Zeroizing::new(number.to_be_bytes())[..]));
        return Ok(der::sequence(&numbers));
    }
}
