//! Why a key cannot be used.

/// Why a file is no key that can be used, or a key not for what is asked of it.
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
    /// The passphrase is another one.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// The key is encrypted in a way that nothing writes any more.
    #[error("the key is encrypted in OpenSSL's old way (Proc-Type: 4,ENCRYPTED)")]
    Legacy,
    /// The content of the PEM block is damaged.
    #[error("the key is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// A key of a type that is of no use here.
    #[error(
        "this is {name} key, P-256, P-384, Ed25519, X25519, RSA-2048 and RSA-3072 keys can be \
             used"
    )]
    Unsupported {
        /// The type with its article.
        name: String,
    },
    /// A public key where a private one is needed.
    #[error("this is a public key, the private one is needed")]
    PublicOnly,
    /// The private key cannot be written in that form.
    #[error("{name} key has no {form} form for embedding{why}")]
    NoSuchForm {
        /// The type with its article.
        name: &'static str,
        /// The form.
        form: &'static str,
        /// The reason, behind a colon, if there is one.
        why: &'static str,
    },
    /// The key does not sign.
    #[error("{name} key does not sign images")]
    DoesNotSign {
        /// The type with its article.
        name: &'static str,
    },
    /// Nothing can be encrypted for the key.
    #[error("{name} key does not decrypt: nothing can be encrypted for it")]
    DoesNotDecrypt {
        /// The type with its article.
        name: &'static str,
    },
    /// The key has another type than the image was encrypted for.
    #[error("the image was encrypted for another type of key, its content key is in a {tlv} TLV")]
    OtherType {
        /// The TLV.
        tlv: updraft_image::TlvType,
    },
    /// What came back for a signature is none of the key's.
    #[error("what came back is no signature by the public key")]
    WrongSignature,
    /// A program did not sign.
    #[error(transparent)]
    Command(#[from] crate::signing::CommandError),
    /// A token did not sign.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Token(#[from] crate::signing::TokenError),
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
            Self::Encrypted => {
                "give its passphrase: --passphrase-file FILE, or UPDRAFT_KEY_PASSPHRASE in the \
                 environment"
            }
            Self::Passphrase => "check the passphrase, and that this is the right key",
            Self::Legacy => "write it anew: openssl pkcs8 -topk8 -in KEY -out NEW.pem",
            Self::Unsupported { .. } => "make a key with `updraft key new`",
            Self::PublicOnly => "give the file that `updraft key new` or `imgtool keygen` wrote",
            Self::NoSuchForm { .. } => {
                "P-256 has both forms, P-384 both if not minimal, X25519 pkcs8, RSA openssl; \
                 Ed25519 keys are never embedded with their private half"
            }
            Self::DoesNotSign { .. } => "make a key that signs: updraft key new --type ed25519",
            Self::DoesNotDecrypt { .. } => {
                "make a key that decrypts: updraft key new --type x25519, or ecdsa-p256 or \
                 rsa-2048"
            }
            Self::OtherType { .. } => "give the key of the device that the image is for",
            Self::WrongSignature => "give the public key whose private half signs",
            Self::Command(_) => "run the program by itself: bytes to sign in, signature out",
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => "`pkcs11-tool --list-objects` of OpenSC shows what a token has",
            Self::Random(_) => "check that the operating system's random source works",
        }
    }
}
