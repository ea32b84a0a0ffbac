//! Keys: files in PEM, and the encodings that bootloaders embed.

use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use pem_rfc7468::LineEnding;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use updraft_image::{Digest, HashKind, Scheme};
use zeroize::Zeroizing;

use crate::der;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a file is no key that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No PEM block of a key.
    #[error("this is no PEM file with a key in it")]
    NoPem,
    /// The PEM block is damaged.
    #[error("the PEM block is damaged: {0}")]
    Pem(pem_rfc7468::Error),
    /// The key needs a password.
    #[error("the key is encrypted with a password")]
    Encrypted,
    /// The content of the PEM block is damaged.
    #[error("the key is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// A key of a type that cannot sign here.
    #[error("this is {name} key, only P-256 and Ed25519 keys can be used")]
    Unsupported {
        /// The type with its article.
        name: String,
    },
    /// A public key where a private one is needed.
    #[error("this is a public key, the private one is needed")]
    PublicOnly,
    /// The private key cannot be written in that form.
    #[error("an Ed25519 key has no {form} form for embedding: it signs, it does not decrypt")]
    NoSuchForm {
        /// The form.
        form: &'static str,
    },
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoPem | Self::Pem(_) | Self::Damaged { .. } => {
                "make a key with `updraft key new`, or convert one with `openssl pkey -in KEY`"
            }
            Self::Encrypted => "write a copy without password: openssl pkey -in KEY -out PLAIN.pem",
            Self::Unsupported { .. } => "make a key with `updraft key new`",
            Self::PublicOnly => "give the file that `updraft key new` or `imgtool keygen` wrote",
            Self::NoSuchForm { .. } => "only P-256 keys are embedded with their private half",
            Self::Random(_) => "check that the operating system's random source works",
        }
    }
}

/// How a private key is written for embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateForm {
    /// PrivateKeyInfo (PKCS#8).
    #[default]
    Pkcs8,
    /// ECPrivateKey (SEC1), OpenSSL's traditional form.
    Sec1,
}

/// A private key that signs images.
pub struct Key {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    P256(SigningKey),
    Ed25519(Zeroizing<[u8; 32]>),
}

/// A public key in its embedded encoding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    scheme: Scheme,
    der: Vec<u8>,
}

/// What a PEM file of a public key came as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicPem {
    /// The public key alone.
    Public,
    /// The private key, which includes it.
    Private,
}

impl Key {
    /// A fresh key.
    pub fn generate(scheme: Scheme) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(secret.as_mut_slice()).map_err(KeyError::Random)?;
            match scheme {
                Scheme::EcdsaP256 => {
                    // Fewer than one in 2³² numbers is no scalar of the curve.
                    if let Ok(key) = SigningKey::from_slice(secret.as_slice()) {
                        return Ok(Self::p256(key));
                    }
                }
                Scheme::Ed25519 => return Ok(Self::ed25519(secret)),
                other => return Err(KeyError::Unsupported { name: other.to_string() }),
            }
        }
    }

    /// Reads the first private key of a PEM file: PKCS#8, or SEC1 for P-256.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match Block::find(text)? {
            Block { label: "PRIVATE KEY", der } => Self::from_pkcs8(&der),
            Block { label: "EC PRIVATE KEY", der } => Self::from_sec1(&der, None),
            _ => Err(KeyError::PublicOnly),
        }
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::try_from(bytes).map_err(damaged)?;
        match info.algorithm.oid {
            EC => {
                let curve = info.algorithm.parameters_oid().map_err(damaged)?;
                Self::from_sec1(info.private_key.as_bytes(), Some(curve))
            }
            ED25519 => {
                let seed = match info.private_key.as_bytes() {
                    [0x04, 0x20, seed @ ..] => <[u8; 32]>::try_from(seed).ok(),
                    _ => None,
                };
                let seed = seed.ok_or_else(|| damaged("an Ed25519 key has 32 bytes"))?;
                Ok(Self::ed25519(Zeroizing::new(seed)))
            }
            other => Err(KeyError::Unsupported { name: algorithm(other) }),
        }
    }

    fn from_sec1(bytes: &[u8], curve: Option<ObjectIdentifier>) -> Result<Self, KeyError> {
        let key = sec1::EcPrivateKey::try_from(bytes).map_err(damaged)?;
        let curve = curve.or_else(|| key.parameters.and_then(|curve| curve.named_curve()));
        match curve {
            Some(P256) | None if key.private_key.len() == 32 => {
                let key = SigningKey::from_slice(key.private_key)
                    .map_err(|_| damaged("its number is no scalar of P-256"))?;
                Ok(Self::p256(key))
            }
            Some(P256) => Err(damaged("a P-256 key has 32 bytes")),
            Some(other) => Err(KeyError::Unsupported { name: algorithm(other) }),
            None => Err(KeyError::Unsupported { name: "another curve's".into() }),
        }
    }

    fn p256(key: SigningKey) -> Self {
        let point = key.verifying_key().to_sec1_point(false);
        let der = der::p256_public(point.as_bytes());
        let public = PublicKey { scheme: Scheme::EcdsaP256, der };
        Self { secret: Secret::P256(key), public }
    }

    fn ed25519(seed: Zeroizing<[u8; 32]>) -> Self {
        let der = der::ed25519_public(&pair(&seed).pk);
        let public = PublicKey { scheme: Scheme::Ed25519, der };
        Self { secret: Secret::Ed25519(seed), public }
    }

    /// What it signs with.
    pub fn scheme(&self) -> Scheme {
        self.public.scheme
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private key as PEM (PKCS#8 without password), for a file that only its owner reads.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let der = match &self.secret {
            Secret::P256(key) => der::p256_pkcs8(&key.to_bytes(), Some(self.public.raw())),
            Secret::Ed25519(seed) => der::ed25519_pkcs8(seed),
        };
        Zeroizing::new(pem("PRIVATE KEY", &der))
    }

    /// The private key in DER, for a bootloader that decrypts with it. `minimal` leaves out the
    /// public half. P-256 only: an Ed25519 key has no use in a bootloader.
    pub fn private_der(
        &self,
        form: PrivateForm,
        minimal: bool,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let Secret::P256(key) = &self.secret else {
            let form = match form {
                PrivateForm::Pkcs8 => "PKCS#8",
                PrivateForm::Sec1 => "SEC1",
            };
            return Err(KeyError::NoSuchForm { form });
        };
        let scalar = Zeroizing::new(key.to_bytes());
        let point = (!minimal).then(|| self.public.raw());
        Ok(match form {
            PrivateForm::Pkcs8 => der::p256_pkcs8(&scalar, point),
            PrivateForm::Sec1 => der::p256_sec1(&scalar, true, point),
        })
    }

    /// Signs a hash: ECDSA over it as the digest (RFC 6979, SHA-256), or Ed25519 over it as the
    /// message.
    pub(crate) fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
        match &self.secret {
            Secret::P256(key) => {
                let signature: Signature = key
                    .sign_prehash(digest.as_bytes())
                    .map_err(|_| damaged("it cannot sign this digest"))?;
                let (r, s) = signature.split_bytes();
                Ok(der::ecdsa_signature(&r, &s))
            }
            Secret::Ed25519(_) => self.sign_message(digest.as_bytes()),
        }
    }

    /// Signs a message itself: Ed25519 only.
    pub(crate) fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.secret {
            Secret::P256(_) => Err(damaged("a P-256 key signs hashes only")),
            Secret::Ed25519(seed) => Ok(pair(seed).sk.sign(message, None).to_vec()),
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
        Self::from_pem_of_any_kind(text).map(|(key, _)| key)
    }

    /// The same, and which of the two it was.
    pub fn from_pem_of_any_kind(text: &str) -> Result<(Self, PublicPem), KeyError> {
        match Block::find(text)? {
            Block { label: "PUBLIC KEY", der } => Ok((Self::from_der(&der)?, PublicPem::Public)),
            _ => Ok((Key::from_pem(text)?.public, PublicPem::Private)),
        }
    }

    /// Reads SubjectPublicKeyInfo DER.
    pub fn from_der(bytes: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(bytes).map_err(damaged)?;
        let key = info.subject_public_key.as_bytes().unwrap_or_default();
        match info.algorithm.oid {
            ED25519 => {
                let key = key.try_into().map_err(|_| damaged("an Ed25519 key has 32 bytes"))?;
                Ok(Self { scheme: Scheme::Ed25519, der: der::ed25519_public(&key) })
            }
            EC => match info.algorithm.parameters_oid().map_err(damaged)? {
                P256 => {
                    let key = VerifyingKey::from_sec1_bytes(key)
                        .map_err(|_| damaged("its point is not on the curve P-256"))?;
                    let point = key.to_sec1_point(false);
                    let der = der::p256_public(point.as_bytes());
                    Ok(Self { scheme: Scheme::EcdsaP256, der })
                }
                other => Err(KeyError::Unsupported { name: algorithm(other) }),
            },
            other => Err(KeyError::Unsupported { name: algorithm(other) }),
        }
    }

    /// What it verifies.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The embedded encoding, SubjectPublicKeyInfo DER.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The key as the verifier takes it.
    pub fn as_embedded(&self) -> Option<updraft_image::PublicKey<'_>> {
        updraft_image::PublicKey::from_der(&self.der).ok()
    }

    /// The uncompressed point, or the 32 bytes.
    fn raw(&self) -> &[u8] {
        self.as_embedded().map(|key| key.raw()).unwrap_or_default()
    }

    /// The KEYHASH of images hashed with `kind`; with SHA-256 also what names the key.
    pub fn hash(&self, kind: HashKind) -> Digest {
        Digest::of(kind, &self.der)
    }

    /// The public key as PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.der)
    }

    /// How generated sources call a key of this type.
    pub fn short_name(&self) -> &'static str {
        self.scheme.source_name()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.scheme, self.hash(HashKind::Sha256))
    }
}

/// A PEM block with a key.
struct Block {
    label: &'static str,
    der: Zeroizing<Vec<u8>>,
}

impl Block {
    const LABELS: [&'static str; 3] = ["PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY"];

    /// The first block that is a key; others, such as EC PARAMETERS, are passed over.
    fn find(text: &str) -> Result<Self, KeyError> {
        let mut rest = text;
        while let Some(at) = rest.find("-----BEGIN ") {
            let block = &rest[at..];
            rest = &block["-----BEGIN ".len()..];
            let Some((label, inside)) = rest.split_once("-----") else {
                break;
            };
            if label == "ENCRYPTED PRIVATE KEY" || inside.trim_start().starts_with("Proc-Type:") {
                return Err(KeyError::Encrypted);
            }
            if label == "RSA PRIVATE KEY" || label == "RSA PUBLIC KEY" {
                return Err(KeyError::Unsupported { name: "an RSA".into() });
            }
            if let Some(label) = Self::LABELS.into_iter().find(|known| *known == label) {
                let end = format!("-----END {label}-----");
                let len = block.find(&end).map_or(block.len(), |at| at + end.len());
                let (_, der) =
                    pem_rfc7468::decode_vec(&block.as_bytes()[..len]).map_err(KeyError::Pem)?;
                return Ok(Self { label, der: Zeroizing::new(der) });
            }
        }
        Err(KeyError::NoPem)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    // The label is one of ours and the DER a few hundred bytes: encoding cannot fail.
    pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

fn damaged(what: impl fmt::Display) -> KeyError {
    KeyError::Damaged { what: what.to_string() }
}

/// What people call an algorithm or curve, with its article.
fn algorithm(oid: ObjectIdentifier) -> String {
    const NAMES: [(&str, &str); 6] = [
        ("1.2.840.113549.1.1.1", "an RSA"),
        ("1.3.132.0.34", "a P-384"),
        ("1.3.132.0.35", "a P-521"),
        ("1.3.132.0.10", "a secp256k1"),
        ("1.3.101.110", "an X25519"),
        ("1.3.101.113", "an Ed448"),
    ];
    let oid = oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == oid);
    known.map_or_else(|| format!("a {oid}"), |(_, name)| (*name).into())
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::SigningKey;
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
        let key = Key::p256(SigningKey::from_slice(&unhex(scalar)).unwrap());
        let digest = Digest::of(HashKind::Sha256, b"sample");
        let expected = "3046\
             022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        assert_eq!(key.sign_digest(&digest).unwrap(), unhex(expected));
    }
}
