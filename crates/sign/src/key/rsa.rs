//! RSA-2048 keys: the numbers of PKCS#1.

use crypto_bigint::{NonZero, U1024, U2048};
use crypto_primes::{Flavor, random_prime};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use updraft_image::KeyLength;
use updraft_image::encryption::RsaOaep;
use zeroize::Zeroizing;

use super::{KeyError, damaged};
use crate::der;

/// Bytes of RSAPublicKey for 2048 bits and the exponent 65537.
const PUBLIC: usize = 270;
/// The public exponent that all keys have.
const EXPONENT: u32 = 65537;

/// The private key in `der`, RSAPrivateKey, and its public half as it is embedded.
pub fn private(der: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), KeyError> {
    let numbers = numbers(der).ok_or_else(|| damaged("its numbers are not those of PKCS#1"))?;
    let [_, modulus, exponent, ..] = numbers.as_slice() else {
        return Err(damaged("it has no modulus"));
    };
    let public = public(&der::sequence(&[der::integer(modulus), der::integer(exponent)]))?;
    // The same reading as on the device.
    RsaOaep::from_pkcs1(der, KeyLength::Aes128)
        .map_err(|_| damaged("its modulus has not 2048 bits"))?;
    Ok((Zeroizing::new(der.to_vec()), public))
}

/// The public key in `der`, RSAPublicKey, as it is embedded.
pub fn public(der: &[u8]) -> Result<Vec<u8>, KeyError> {
    let numbers = numbers(der).ok_or_else(|| damaged("its numbers are not those of PKCS#1"))?;
    match numbers.as_slice() {
        [modulus, _] if modulus.len() != 257 => {
            let name = format!("an RSA-{}", 8 * modulus.len().saturating_sub(1));
            Err(KeyError::Unsupported { name })
        }
        [_, [1, 0, 1]] if der.len() == PUBLIC => Ok(der.to_vec()),
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

/// A fresh RSAPrivateKey: two random primes of 1024 bits, and what follows from them.
pub fn generate() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // The generator below has no way to say that there are no random numbers.
    getrandom::fill(&mut [0]).map_err(KeyError::Random)?;
    let mut random = UnwrapErr(SysRng);
    let mut prime = || random_prime::<U1024, _>(&mut random, Flavor::Any, 1024);
    loop {
        let (one, other) = (prime(), prime());
        let [p, q] = if one > other { [one, other] } else { [other, one] };
        let modulus: U2048 = p.concatenating_mul(&q);
        let [p_less, q_less] = [p, q].map(|prime| prime.wrapping_sub(&U1024::ONE));
        let order: U2048 = p_less.concatenating_mul(&q_less);
        let order = Option::from(NonZero::new(order));
        let inverse = order.and_then(|order| U2048::from(EXPONENT).invert_mod(&order).into());
        let by_q = Option::from(NonZero::new(p)).and_then(|p| q.invert_mod(&p).into());
        let (Some(d), Some(q_inverse)): (Option<U2048>, Option<U1024>) = (inverse, by_q) else {
            continue;
        };
        if modulus.bits() < 2048 {
            continue;
        }
        let [d_p, d_q] = [p_less, q_less].map(|less| {
            let less: NonZero<U2048> = NonZero::new(less.resize()).unwrap_or(NonZero::MAX);
            d.rem(&less)
        });
        let numbers = [
            U2048::ZERO,
            modulus,
            U2048::from(EXPONENT),
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
