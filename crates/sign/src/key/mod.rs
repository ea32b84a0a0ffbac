//! Keys: files in PEM, and the encodings that bootloaders embed.

mod error;
mod kind;
mod locked;
mod pem;
mod rsa;

use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use updraft_image::encryption::{EciesP256, EciesX25519, HmacSha256, HmacSha512, RsaOaep};
use updraft_image::{Digest, HashKind, KeyUnwrap, Scheme, Software, TlvType, Verifier, WrapFormat};
use zeroize::Zeroizing;

use self::pem::{Block, pem};
use crate::der;

pub use error::KeyError;
pub use kind::{KeyKind, PrivateForm};
pub use locked::{is_locked, unlock};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A private key: it signs images, or decrypts them, as its type says.
pub struct Key {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(Zeroizing<[u8; 32]>),
    X25519(Zeroizing<[u8; 32]>),
    /// RSAPrivateKey.
    Rsa(Zeroizing<Vec<u8>>),
}

/// A public key in its embedded encoding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    der: Vec<u8>,
}

impl Key {
    /// A fresh key.
    pub fn generate(kind: impl Into<KeyKind>) -> Result<Self, KeyError> {
        let kind = kind.into();
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(KeyError::Random);
        let mut secret = Zeroizing::new([0; 48]);
        let mut short = Zeroizing::new([0; 32]);
        // Fewer than one in 2³² numbers is no scalar of the curve.
        loop {
            random(secret.as_mut_slice())?;
            random(short.as_mut_slice())?;
            let made = match kind {
                KeyKind::Rsa2048 => return Self::rsa(&rsa::generate(2048)?),
                KeyKind::Rsa3072 => return Self::rsa(&rsa::generate(3072)?),
                KeyKind::Ed25519 => return Ok(Self::ed25519(short)),
                KeyKind::X25519 => return Self::x25519(short),
                KeyKind::EcdsaP256 => Self::p256(&short[..]),
                KeyKind::EcdsaP384 => Self::p384(&secret[..]),
            };
            if made.is_ok() {
                return made;
            }
        }
    }

    /// Reads the first private key of a PEM file: PKCS#8, SEC1 for a curve, or PKCS#1 for RSA.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match Block::find(text)? {
            Block { label: "PRIVATE KEY", der } => Self::from_pkcs8(&der),
            Block { label: "EC PRIVATE KEY", der } => Self::from_sec1(&der, None),
            Block { label: "RSA PRIVATE KEY", der } => Self::rsa(&der),
            _ => Err(KeyError::PublicOnly),
        }
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::try_from(bytes).map_err(damaged)?;
        let key = info.private_key.as_bytes();
        let octets = || match key {
            [0x04, 0x20, octets @ ..] => <[u8; 32]>::try_from(octets).ok().map(Zeroizing::new),
            _ => None,
        };
        match info.algorithm.oid {
            EC => {
                let curve = info.algorithm.parameters_oid().map_err(damaged)?;
                Self::from_sec1(key, Some(curve))
            }
            ED25519 => {
                let seed = octets().ok_or_else(|| damaged("an Ed25519 key has 32 bytes"))?;
                Ok(Self::ed25519(seed))
            }
            X25519 => Self::x25519(octets().ok_or_else(|| damaged("an X25519 key has 32 bytes"))?),
            RSA => Self::rsa(key),
            other => Err(KeyError::Unsupported { name: algorithm(other) }),
        }
    }

    fn from_sec1(bytes: &[u8], curve: Option<ObjectIdentifier>) -> Result<Self, KeyError> {
        let key = sec1::EcPrivateKey::try_from(bytes).map_err(damaged)?;
        let curve = curve.or_else(|| key.parameters.and_then(|curve| curve.named_curve()));
        match (curve, key.private_key.len()) {
            (Some(P256) | None, 32) => Self::p256(key.private_key),
            (Some(P384) | None, 48) => Self::p384(key.private_key),
            (Some(P256), _) => Err(damaged("a P-256 key has 32 bytes")),
            (Some(P384), _) => Err(damaged("a P-384 key has 48 bytes")),
            (Some(other), _) => Err(KeyError::Unsupported { name: algorithm(other) }),
            (None, _) => Err(KeyError::Unsupported { name: "another curve's".into() }),
        }
    }

    fn p256(scalar: &[u8]) -> Result<Self, KeyError> {
        let key = p256::ecdsa::SigningKey::from_slice(scalar)
            .map_err(|_| damaged("its number is no scalar of P-256"))?;
        let point = key.verifying_key().to_sec1_point(false);
        let der = der::ec_public(&der::P256, point.as_bytes());
        let public = PublicKey { kind: KeyKind::EcdsaP256, der };
        Ok(Self { secret: Secret::P256(key), public })
    }

    fn p384(scalar: &[u8]) -> Result<Self, KeyError> {
        let key = p384::ecdsa::SigningKey::from_slice(scalar)
            .map_err(|_| damaged("its number is no scalar of P-384"))?;
        let point = key.verifying_key().to_sec1_point(false);
        let der = der::ec_public(&der::P384, point.as_bytes());
        let public = PublicKey { kind: KeyKind::EcdsaP384, der };
        Ok(Self { secret: Secret::P384(key), public })
    }

    fn ed25519(seed: Zeroizing<[u8; 32]>) -> Self {
        let der = der::ed25519_public(&pair(&seed).pk);
        let public = PublicKey { kind: KeyKind::Ed25519, der };
        Self { secret: Secret::Ed25519(seed), public }
    }

    fn x25519(secret: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let public = ed25519_compact::x25519::SecretKey::new(*secret).recover_public_key();
        let public = public.map_err(|_| damaged("it has no public half"))?;
        let public = PublicKey { kind: KeyKind::X25519, der: der::x25519_public(&public) };
        Ok(Self { secret: Secret::X25519(secret), public })
    }

    fn rsa(der: &[u8]) -> Result<Self, KeyError> {
        let (secret, public) = rsa::private(der)?;
        Ok(Self { secret: Secret::Rsa(secret), public })
    }

    /// Its type.
    pub fn kind(&self) -> KeyKind {
        self.public.kind
    }

    /// What it signs with, if it signs.
    pub fn scheme(&self) -> Option<Scheme> {
        self.public.scheme()
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private key as PEM (PKCS#8 without password), for a file that only its owner reads.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem("PRIVATE KEY", &self.pkcs8()))
    }

    /// The same, encrypted with a passphrase, as [`unlock`] and other tools read it.
    pub fn to_locked_pem(&self, passphrase: &str) -> Result<String, KeyError> {
        locked::lock(&self.pkcs8(), passphrase)
    }

    /// PrivateKeyInfo.
    fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        match &self.secret {
            Secret::P256(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                der::ec_pkcs8(&der::P256, &scalar, Some(self.public.raw()))
            }
            Secret::P384(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                der::ec_pkcs8(&der::P384, &scalar, Some(self.public.raw()))
            }
            Secret::Ed25519(seed) => der::ed25519_pkcs8(seed),
            Secret::X25519(key) => der::x25519_pkcs8(key),
            Secret::Rsa(key) => der::rsa_pkcs8(key),
        }
    }

    /// The private key in DER, for a bootloader that decrypts with it. `minimal` leaves out what a
    /// bootloader can do without: the public half of a P-256 key, and of an RSA key the numbers
    /// that speed up computing with its prime factors.
    pub fn private_der(
        &self,
        form: PrivateForm,
        minimal: bool,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let none = |why| {
            let form = match form {
                PrivateForm::Pkcs8 => "PKCS#8",
                PrivateForm::Traditional => "traditional",
            };
            Err(KeyError::NoSuchForm { name: self.kind().with_article(), form, why })
        };
        match (&self.secret, form) {
            (Secret::P256(key), form) => {
                let scalar = Zeroizing::new(key.to_bytes());
                let point = (!minimal).then(|| self.public.raw());
                Ok(match form {
                    PrivateForm::Pkcs8 => der::ec_pkcs8(&der::P256, &scalar, point),
                    PrivateForm::Traditional => der::sec1(&scalar, Some(&der::P256), point),
                })
            }
            (Secret::P384(_), _) if minimal => none(" without its public half"),
            (Secret::P384(key), form) => {
                let scalar = Zeroizing::new(key.to_bytes());
                let point = Some(self.public.raw());
                Ok(match form {
                    PrivateForm::Pkcs8 => der::ec_pkcs8(&der::P384, &scalar, point),
                    PrivateForm::Traditional => der::sec1(&scalar, Some(&der::P384), point),
                })
            }
            (Secret::X25519(key), PrivateForm::Pkcs8) => Ok(der::x25519_pkcs8(key)),
            (Secret::Rsa(key), PrivateForm::Traditional) if minimal => Ok(rsa::minimal(key)),
            (Secret::Rsa(key), PrivateForm::Traditional) => Ok(key.clone()),
            (Secret::Ed25519(_), _) => none(": it signs, it does not decrypt"),
            (Secret::X25519(_) | Secret::Rsa(_), _) => none(""),
        }
    }

    /// A device with this private key, for images whose content keys are wrapped as `format` says.
    pub fn device(&self, format: WrapFormat) -> Result<Box<dyn KeyUnwrap>, KeyError> {
        if !self.kind().decrypts() {
            return Err(KeyError::DoesNotDecrypt { name: self.kind().with_article() });
        }
        let der = self.private_der(self.kind().usual_form(), true)?;
        let key = format.key();
        let unusable = |_| damaged("a device cannot read it");
        Ok(match (&self.secret, format.kind()) {
            (Secret::P256(_), TlvType::ENCEC256) => {
                Box::new(EciesP256::from_pkcs8(&der, key).map_err(unusable)?)
            }
            (Secret::X25519(_), TlvType::ENCX25519) => {
                Box::new(EciesX25519::<HmacSha256>::from_pkcs8(&der, key).map_err(unusable)?)
            }
            (Secret::X25519(_), TlvType::ENCX25519_SHA512) => {
                Box::new(EciesX25519::<HmacSha512>::from_pkcs8(&der, key).map_err(unusable)?)
            }
            (Secret::Rsa(_), TlvType::ENCRSA2048) => {
                Box::new(RsaOaep::from_pkcs1(&der, key).map_err(unusable)?)
            }
            (_, tlv) => return Err(KeyError::OtherType { tlv }),
        })
    }

    /// Signs a hash: RSA-PSS or ECDSA (RFC 6979) over it as the digest, or Ed25519 over it as the
    /// message. None depends on chance.
    pub(crate) fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
        let cannot = |_| damaged("it cannot sign this digest");
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(digest.as_bytes()).map_err(cannot)?;
                let (r, s) = signature.split_bytes();
                Ok(der::ecdsa_signature(&r, &s))
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(digest.as_bytes()).map_err(cannot)?;
                let (r, s) = signature.split_bytes();
                Ok(der::ecdsa_signature(&r, &s))
            }
            Secret::Ed25519(_) => self.sign_message(digest.as_bytes()),
            Secret::X25519(_) => Err(KeyError::DoesNotSign { name: self.kind().with_article() }),
            Secret::Rsa(key) => {
                let signature = rsa::sign(key, digest).ok_or_else(|| damaged(rsa::NO_NUMBERS))?;
                // A wrong exponent, and a fault while computing, make wrong signatures.
                let public: Vec<_> = self.public.as_embedded().into_iter().collect();
                match Software::new(&public).verify(0, digest, &signature).is_yes() {
                    true => Ok(signature),
                    false => Err(damaged("its private half does not belong to its public one")),
                }
            }
        }
    }

    /// Signs a message itself: Ed25519 only.
    pub(crate) fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.secret {
            Secret::Ed25519(seed) => {
                // Its public half is known, and takes as long to compute as a signature.
                let both = Zeroizing::new([&seed[..], self.public.raw()].concat());
                let key = ed25519_compact::SecretKey::from_slice(&both);
                let key = key.map_err(|_| damaged("it cannot sign"))?;
                Ok(key.sign(message, None).to_vec())
            }
            _ => Err(KeyError::DoesNotSign { name: self.kind().with_article() }),
        }
    }
}

fn pair(seed: &[u8; 32]) -> ed25519_compact::KeyPair {
    ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new(*seed))
}

/// Names the public half; the private one is never printed.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads the first key of a PEM file; of a private one it keeps the public half.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match Block::find(text)? {
            Block { label: "PUBLIC KEY", der } => Self::from_der(&der),
            Block { label: "RSA PUBLIC KEY", der } => rsa::public(&der),
            _ => Ok(Key::from_pem(text)?.public),
        }
    }

    /// Reads DER as it is embedded, or SubjectPublicKeyInfo of any key.
    pub fn from_der(bytes: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = rsa::public(bytes) {
            return Ok(key);
        }
        let info = SubjectPublicKeyInfoRef::try_from(bytes).map_err(damaged)?;
        let key = info.subject_public_key.as_bytes().unwrap_or_default();
        match info.algorithm.oid {
            ED25519 => {
                let key = key.try_into().map_err(|_| damaged("an Ed25519 key has 32 bytes"))?;
                Ok(Self { kind: KeyKind::Ed25519, der: der::ed25519_public(&key) })
            }
            X25519 => {
                let key = key.try_into().map_err(|_| damaged("an X25519 key has 32 bytes"))?;
                Ok(Self { kind: KeyKind::X25519, der: der::x25519_public(&key) })
            }
            RSA => rsa::public(key),
            EC => match info.algorithm.parameters_oid().map_err(damaged)? {
                P256 => {
                    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                        .map_err(|_| damaged("its point is not on the curve P-256"))?;
                    let point = key.to_sec1_point(false);
                    let der = der::ec_public(&der::P256, point.as_bytes());
                    Ok(Self { kind: KeyKind::EcdsaP256, der })
                }
                P384 => {
                    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key)
                        .map_err(|_| damaged("its point is not on the curve P-384"))?;
                    let point = key.to_sec1_point(false);
                    let der = der::ec_public(&der::P384, point.as_bytes());
                    Ok(Self { kind: KeyKind::EcdsaP384, der })
                }
                other => Err(KeyError::Unsupported { name: algorithm(other) }),
            },
            other => Err(KeyError::Unsupported { name: algorithm(other) }),
        }
    }

    /// Its type.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What it verifies, if it verifies.
    pub fn scheme(&self) -> Option<Scheme> {
        self.kind.scheme()
    }

    /// The embedded encoding: SubjectPublicKeyInfo DER, RSAPublicKey DER for RSA.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The key as the verifier takes it, if it verifies.
    pub fn as_embedded(&self) -> Option<updraft_image::PublicKey<'_>> {
        updraft_image::PublicKey::from_der(&self.der).ok()
    }

    /// The uncompressed point, or the 32 bytes; of an RSA key all of it.
    pub(crate) fn raw(&self) -> &[u8] {
        let len = match self.kind {
            KeyKind::EcdsaP256 => 65,
            KeyKind::EcdsaP384 => 97,
            KeyKind::Ed25519 | KeyKind::X25519 => 32,
            KeyKind::Rsa2048 | KeyKind::Rsa3072 => self.der.len(),
        };
        &self.der[self.der.len().saturating_sub(len)..]
    }

    /// The KEYHASH of images hashed with `kind`; with SHA-256 also what names the key.
    pub fn hash(&self, kind: HashKind) -> Digest {
        Digest::of(kind, &self.der)
    }

    /// The public key as PEM.
    pub fn to_pem(&self) -> String {
        match self.kind {
            KeyKind::Rsa2048 | KeyKind::Rsa3072 => pem("PUBLIC KEY", &der::rsa_public(&self.der)),
            _ => pem("PUBLIC KEY", &self.der),
        }
    }

    /// How generated sources call a key of this type.
    pub fn short_name(&self) -> &'static str {
        self.kind.source_name()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.kind, self.hash(HashKind::Sha256))
    }
}

fn damaged(what: impl fmt::Display) -> KeyError {
    KeyError::Damaged { what: what.to_string() }
}

/// What people call an algorithm or curve, with its article.
fn algorithm(oid: ObjectIdentifier) -> String {
    const NAMES: [(&str, &str); 3] =
        [("1.3.132.0.35", "a P-521"), ("1.3.132.0.10", "a secp256k1"), ("1.3.101.113", "an Ed448")];
    let oid = oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == oid);
    known.map_or_else(|| format!("a {oid}"), |(_, name)| (*name).into())
}

#[cfg(test)]
mod tests {
    use updraft_image::{Digest, HashKind};

    use super::Key;

    fn unhex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// RFC 6979, A.2.5: P-256 with SHA-256, message "sample".
    #[test]
    fn ecdsa_signatures_are_those_of_rfc_6979() {
        let scalar = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
        let key = Key::p256(&unhex(scalar)).unwrap();
        let digest = Digest::of(HashKind::Sha256, b"sample");
        let expected = "3046\
             022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        assert_eq!(key.sign_digest(&digest).unwrap(), unhex(expected));
    }
    /// RFC 6979, A.2.6: P-384 with SHA-384, message "sample".
    #[test]
    fn ecdsa_signatures_over_p384_are_those_of_rfc_6979() {
        let scalar = "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba\
                      9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5";
        let key = Key::p384(&unhex(scalar)).unwrap();
        let digest = Digest::of(HashKind::Sha384, b"sample");
        let expected = "3066\
             02310094edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa7\
             3d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46\
             02310099ef4aeb15f178cea1fe40db2603138f130e740a19624526\
             203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8";
        assert_eq!(key.sign_digest(&digest).unwrap(), unhex(expected));
    }
}
