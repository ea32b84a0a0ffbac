//! ECDSA over P-256 with SHA-256 and over P-384 with SHA-384, signature
//! `SEQUENCE { INTEGER r, INTEGER s }` in DER.
//!
//! The reading is as lenient as the original's: lengths may be in any form, what follows the
//! integers is ignored (older imgtools pad the signature with zeros to 72 or 103 bytes), and a
//! longer integer contributes its last bytes. High `s` is accepted, as the format has no rule
//! against it. For P-384 the original has another reader, which does not look at the sequence's
//! tag. None of this helps to forge anything: the scalars have to verify.
//! Source: `boot/bootutil/include/bootutil/crypto/ecdsa.h`.

#[cfg(feature = "sig-ecdsa-p256")]
use super::p256;
use crate::{Decision, Digest, HashKind};

/// The tag of a sequence.
#[cfg(any(feature = "sig-ecdsa-p256", test))]
const SEQUENCE: u8 = 0x30;

/// Whether the signature of `digest` is that of the key with this uncompressed point.
#[cfg(feature = "sig-ecdsa-p256")]
pub fn verify_p256(point: &[u8], digest: &Digest, signature: &[u8]) -> Decision {
    if digest.kind() != HashKind::Sha256 {
        return Decision::NO;
    }
    let Some((r, s)) = parse(signature, Some(SEQUENCE)) else { return Decision::NO };
    p256::verify(point, digest.as_bytes(), r, s)
}

/// The same over P-384.
#[cfg(feature = "sig-ecdsa-p384")]
pub fn verify_p384(point: &[u8], digest: &Digest, signature: &[u8]) -> Decision {
    use p384::ecdsa::signature::hazmat::PrehashVerifier;
    use p384::ecdsa::{Signature, VerifyingKey};

    let checked = || {
        let key = VerifyingKey::from_sec1_bytes(point).ok()?;
        let (r, s) = parse(signature, None)?;
        let signature = Signature::from_scalars(scalar(r), scalar(s)).ok()?;
        key.verify_prehash(digest.as_bytes(), &signature).ok()
    };
    Decision::of(digest.kind() == HashKind::Sha384 && checked().is_some())
}

/// Both scalars. The sequence has any tag if none is given.
fn parse(der: &[u8], tag: Option<u8>) -> Option<(&[u8], &[u8])> {
    let (len, inside) = element(der, tag)?;
    inside.get(..len)?;
    let (r, rest) = integer(inside)?;
    let (s, _) = integer(rest)?;
    Some((r, s))
}

/// The length of an element of type `tag`, or of any, and everything behind that length.
fn element(der: &[u8], tag: Option<u8>) -> Option<(usize, &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if tag.is_some_and(|tag| tag != found) {
        return None;
    }
    match first {
        0..=0x7f => Some((first.into(), rest)),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked((first & 0x7f).into())?;
            let len = bytes.iter().fold(0, |len: u32, byte| (len << 8) | u32::from(*byte));
            Some((usize::try_from(len).ok()?, rest))
        }
        _ => None,
    }
}

fn integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = element(der, Some(0x02))?;
    rest.split_at_checked(len)
}

/// The integer's last bytes, filled up with zeros in front.
#[cfg(any(feature = "sig-ecdsa-p384", test))]
fn scalar(integer: &[u8]) -> [u8; 48] {
    let mut out = [0; 48];
    for (to, from) in out.iter_mut().rev().zip(integer.iter().rev()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{SEQUENCE, scalar};

    fn parse(der: &[u8]) -> Option<(&[u8], &[u8])> {
        super::parse(der, Some(SEQUENCE))
    }

    #[test]
    fn a_longer_integer_contributes_its_last_48_bytes() {
        let mut long = [7; 50];
        long[0] = 0;
        assert_eq!(scalar(&long), [7; 48]);
        let mut short = [0; 48];
        short[47] = 9;
        assert_eq!(scalar(&[9]), short);
        assert_eq!(scalar(&[]), [0; 48]);
    }

    #[test]
    fn every_form_of_length_is_read_and_the_sequence_has_to_fit() {
        let one_two = Some(([1].as_slice(), [2].as_slice()));
        assert_eq!(parse(&[0x30, 6, 2, 1, 1, 2, 1, 2]), one_two);
        assert_eq!(parse(&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 2]), one_two);
        assert_eq!(parse(&[0x30, 0x82, 0, 7, 2, 0x81, 1, 1, 2, 1, 2]), one_two);
        assert_eq!(parse(&[0x30, 6, 2, 1, 1, 2, 1, 2, 0, 0]), one_two);
        // The integers are read to the end of the signature, not of the sequence.
        assert_eq!(parse(&[0x30, 3, 2, 1, 1, 2, 1, 2]), one_two);
        assert_eq!(parse(&[0x30, 7, 2, 1, 1, 2, 1, 2]), None);
        assert_eq!(parse(&[0x30, 6, 2, 1, 1, 2, 2, 2]), None);
        assert_eq!(parse(&[0x30, 0x80, 2, 1, 1, 2, 1, 2]), None);
        assert_eq!(parse(&[0x31, 6, 2, 1, 1, 2, 1, 2]), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(super::parse(&[0x31, 6, 2, 1, 1, 2, 1, 2], None), one_two);
    }
}
