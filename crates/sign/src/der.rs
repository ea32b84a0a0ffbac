//! The few fixed shapes of DER that keys have.

use zeroize::Zeroizing;

/// `id-ecPublicKey`.
const EC: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The name of a curve.
pub struct Curve(&'static [u8]);

/// `prime256v1`.
pub const P256: Curve = Curve(&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
/// `secp384r1`.
pub const P384: Curve = Curve(&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]);

impl Curve {
    fn algorithm(&self) -> Zeroizing<Vec<u8>> {
        element(SEQUENCE, &[&EC, self.0])
    }
}

/// `SEQUENCE { id-Ed25519 }`.
const ED25519_ALGORITHM: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// `SEQUENCE { id-X25519 }`.
const X25519_ALGORITHM: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e];
/// `SEQUENCE { rsaEncryption, NULL }`.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// Tag of a number.
pub const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// Tag of bytes.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of a list.
pub const SEQUENCE: u8 = 0x30;
/// `[0]`, the curve in a SEC1 key.
const PARAMETERS: u8 = 0xa0;
/// `[1]`, the public point in a SEC1 key.
const POINT: u8 = 0xa1;

/// An element whose content is shorter than 64 KiB, as everything here is.
fn element(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(len + 4));
    out.push(tag);
    match len {
        0..0x80 => {}
        0x80..0x100 => out.push(0x81),
        _ => out.extend([0x82, (len >> 8) as u8]),
    }
    out.push(len as u8);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// The content of the element of type `tag` that `der` begins with, and what is behind it.
pub fn read(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (len, rest) = match first {
        0..=0x7f => (first.into(), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked((first & 0x7f).into())?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len).filter(|_| found == tag)
}

/// A number from the content of one.
pub fn integer(content: &[u8]) -> Zeroizing<Vec<u8>> {
    element(INTEGER, &[content])
}

/// Bytes.
pub fn octets(content: &[u8]) -> Zeroizing<Vec<u8>> {
    element(OCTET_STRING, &[content])
}

/// A list.
pub fn sequence(elements: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let elements: Vec<&[u8]> = elements.iter().map(|element| element.as_slice()).collect();
    element(SEQUENCE, &elements)
}

/// SubjectPublicKeyInfo of an uncompressed point.
pub fn ec_public(curve: &Curve, point: &[u8]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0], point]);
    element(SEQUENCE, &[&curve.algorithm(), &bits]).to_vec()
}

/// SubjectPublicKeyInfo of an Ed25519 key.
pub fn ed25519_public(key: &[u8; 32]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0], key]);
    element(SEQUENCE, &[&ED25519_ALGORITHM, &bits]).to_vec()
}

/// The names that tokens have for Ed25519: its identifier, and PKCS#11's text for it.
#[cfg(feature = "pkcs11")]
const EDWARDS: [&[u8]; 2] = [&[0x06, 0x03, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"];

/// SubjectPublicKeyInfo of a point on the curve that `parameters` name in DER, if it has the length
/// of one.
#[cfg(feature = "pkcs11")]
pub fn public_on(parameters: &[u8], point: &[u8]) -> Option<Vec<u8>> {
    if EDWARDS.contains(&parameters) {
        return Some(ed25519_public(point.try_into().ok()?));
    }
    let curves = [(P256, 65), (P384, 97)];
    let (curve, len) = curves.into_iter().find(|(curve, _)| curve.0 == parameters)?;
    (point.len() == len).then(|| ec_public(&curve, point))
}

/// SubjectPublicKeyInfo of an X25519 key.
pub fn x25519_public(key: &[u8; 32]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0], key]);
    element(SEQUENCE, &[&X25519_ALGORITHM, &bits]).to_vec()
}

/// SubjectPublicKeyInfo of an RSAPublicKey.
pub fn rsa_public(key: &[u8]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0], key]);
    element(SEQUENCE, &[&RSA_ALGORITHM, &bits]).to_vec()
}

/// ECPrivateKey (RFC 5915), with what is given of the optional parts.
pub fn sec1(scalar: &[u8], curve: Option<&Curve>, point: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
    let curve = match curve {
        Some(curve) => element(PARAMETERS, &[curve.0]),
        None => Zeroizing::default(),
    };
    let point = match point {
        Some(point) => element(POINT, &[&element(BIT_STRING, &[&[0], point])]),
        None => Zeroizing::default(),
    };
    let version = element(INTEGER, &[&[1]]);
    element(SEQUENCE, &[&version, &element(OCTET_STRING, &[scalar]), &curve, &point])
}

/// PrivateKeyInfo (PKCS#8) of a key on a curve.
pub fn ec_pkcs8(curve: &Curve, scalar: &[u8], point: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
    let key = element(OCTET_STRING, &[&sec1(scalar, None, point)]);
    element(SEQUENCE, &[&element(INTEGER, &[&[0]]), &curve.algorithm(), &key])
}

/// PrivateKeyInfo (PKCS#8) of an Ed25519 key.
pub fn ed25519_pkcs8(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let key = element(OCTET_STRING, &[&element(OCTET_STRING, &[seed])]);
    element(SEQUENCE, &[&element(INTEGER, &[&[0]]), &ED25519_ALGORITHM, &key])
}

/// PrivateKeyInfo (PKCS#8) of an X25519 key.
pub fn x25519_pkcs8(key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let key = element(OCTET_STRING, &[&element(OCTET_STRING, &[key])]);
    element(SEQUENCE, &[&element(INTEGER, &[&[0]]), &X25519_ALGORITHM, &key])
}

/// PrivateKeyInfo (PKCS#8) of an RSAPrivateKey.
pub fn rsa_pkcs8(key: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = element(OCTET_STRING, &[key]);
    element(SEQUENCE, &[&element(INTEGER, &[&[0]]), &RSA_ALGORITHM, &key])
}

/// `SEQUENCE { INTEGER r, INTEGER s }`.
pub fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&positive(r), &positive(s)]).to_vec()
}

/// An INTEGER from big-endian digits, as short as it can be.
pub fn positive(digits: &[u8]) -> Zeroizing<Vec<u8>> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[zeros.min(digits.len().saturating_sub(1))..];
    let sign: &[u8] = if digits.first().is_some_and(|digit| *digit >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits])
}
