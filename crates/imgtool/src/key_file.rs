//! Key files: private or public PEM, with or without a passphrase.

use std::path::Path;

use updraft_sign::{Key, KeyError, PublicKey, is_locked, unlock};
use zeroize::Zeroizing;

use crate::{Console, Failure, passphrase};

/// A key, with its private half if the file has that.
pub enum KeyFile {
    /// A private key.
    Private(Key),
    /// A public key.
    Public(PublicKey),
}

impl KeyFile {
    /// Reads a file, and asks for its passphrase if it has one.
    pub fn load(path: &Path, console: &mut dyn Console) -> Result<Self, Failure> {
        let text = read(path)?;
        let text = match is_locked(&text) {
            false => text,
            true => {
                let passphrase = passphrase::for_opening(console).ok_or_else(|| {
                    let hint = format!("set {}, or run it at a terminal", passphrase::VARIABLE);
                    Failure::error(format!("{} needs a passphrase", path.display()), hint)
                })?;
                unlock(&text, &passphrase).map_err(|error| unusable(path, &error))?
            }
        };
        Self::parse(&text).map_err(|error| unusable(path, &error))
    }

    /// Reads PEM that needs no passphrase.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match Key::from_pem(text) {
            Err(KeyError::PublicOnly) => PublicKey::from_pem(text).map(Self::Public),
            key => key.map(Self::Private),
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        match self {
            Self::Private(key) => key.public(),
            Self::Public(key) => key,
        }
    }

    /// Whether the private half is there.
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Private(_))
    }
}

/// The text of a key file. What is no text has no PEM block in it, and says so when it is read.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| unreadable(path, &error))?);
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// A file that cannot be read.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let cause = format!("{} cannot be read ({error})", path.display());
    Failure::error(cause, "check its name and who may read it")
}

/// A key file that is of no use.
pub fn unusable(path: &Path, error: &KeyError) -> Failure {
    Failure::error(format!("{} cannot be used: {error}", path.display()), error.remedy())
}
