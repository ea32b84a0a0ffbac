//! Types of keys, and the forms that they are written in.

use std::fmt;

use updraft_image::Scheme;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// Signs with ECDSA, and decrypts with ECIES.
    EcdsaP256,
    /// Signs with ECDSA.
    EcdsaP384,
    /// Signs.
    Ed25519,
    /// Decrypts with ECIES.
    X25519,
    /// Signs with PSS, and decrypts with OAEP.
    Rsa2048,
    /// Signs with PSS.
    Rsa3072,
}

impl KeyKind {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Ed25519,
        Self::X25519,
        Self::Rsa2048,
        Self::Rsa3072,
    ];

    /// What it signs with, if it signs.
    pub const fn scheme(self) -> Option<Scheme> {
        match self {
            Self::EcdsaP256 => Some(Scheme::EcdsaP256),
            Self::EcdsaP384 => Some(Scheme::EcdsaP384),
            Self::Ed25519 => Some(Scheme::Ed25519),
            Self::X25519 => None,
            Self::Rsa2048 => Some(Scheme::Rsa2048),
            Self::Rsa3072 => Some(Scheme::Rsa3072),
        }
    }

    /// Whether content keys can be wrapped for it.
    pub const fn decrypts(self) -> bool {
        matches!(self, Self::EcdsaP256 | Self::X25519 | Self::Rsa2048)
    }

    /// The name on command lines, imgtool's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => Scheme::EcdsaP256.name(),
            Self::EcdsaP384 => Scheme::EcdsaP384.name(),
            Self::Ed25519 => Scheme::Ed25519.name(),
            Self::X25519 => "x25519",
            Self::Rsa2048 => Scheme::Rsa2048.name(),
            Self::Rsa3072 => Scheme::Rsa3072.name(),
        }
    }

    /// What sources with embedded keys call it, as imgtool does.
    pub const fn source_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => Scheme::EcdsaP256.source_name(),
            Self::EcdsaP384 => Scheme::EcdsaP384.source_name(),
            Self::Ed25519 => Scheme::Ed25519.source_name(),
            Self::X25519 => "x25519",
            Self::Rsa2048 | Self::Rsa3072 => Scheme::Rsa2048.source_name(),
        }
    }

    /// The name with its article.
    pub(crate) const fn with_article(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "a P-256",
            Self::EcdsaP384 => "a P-384",
            Self::Ed25519 => "an Ed25519",
            Self::X25519 => "an X25519",
            Self::Rsa2048 => "an RSA-2048",
            Self::Rsa3072 => "an RSA-3072",
        }
    }

    /// The form that a private key is embedded in unless another one is asked for.
    pub const fn usual_form(self) -> PrivateForm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 => PrivateForm::Traditional,
            _ => PrivateForm::Pkcs8,
        }
    }
}

impl From<Scheme> for KeyKind {
    fn from(scheme: Scheme) -> Self {
        let signing = Self::ALL.into_iter().find(|kind| kind.scheme() == Some(scheme));
        // Every scheme has a key; what is not known yet cannot be asked for.
        signing.unwrap_or(Self::Ed25519)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme() {
            Some(scheme) => scheme.fmt(f),
            None => f.write_str("X25519"),
        }
    }
}

/// How a private key is written for embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateForm {
    /// PrivateKeyInfo (PKCS#8).
    Pkcs8,
    /// OpenSSL's traditional form: ECPrivateKey (SEC1) or RSAPrivateKey (PKCS#1).
    Traditional,
}
