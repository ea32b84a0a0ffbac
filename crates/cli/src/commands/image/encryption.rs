//! The options that encrypt images, and the keys that they are encrypted and decrypted with.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use updraft_board::Signing;
use updraft_image::{HashKind, KeyLength, TlvType, WrapFormat};
use updraft_sign::{DecryptionKey, Encryption, Recipient};

use crate::commands::key;
use crate::output::Output;
use crate::report::Hint;

/// Options of `updraft image sign` that encrypt.
#[derive(clap::Args)]
#[command(next_help_heading = "Encryption")]
pub struct Encrypt {
    /// Encrypt for the device with this key: its public half, or a wrapping key in base64.
    #[arg(short = 'E', long, value_name = "KEY")]
    encrypt: Option<PathBuf>,
    /// Bits of the content key. Default: the board's, the wrapping key's, or 128.
    #[arg(long, value_enum, value_name = "BITS", requires = "encrypt")]
    encrypt_keylen: Option<KeyLen>,
    /// What the content key is derived and authenticated with; 512 for X25519 only.
    #[arg(long, value_enum, default_value_t, value_name = "BITS")]
    hmac_sha: HmacSha,
    /// Leave the body in plaintext: an image for a primary slot, encrypted when it is swapped out.
    #[arg(long, requires = "encrypt")]
    clear: bool,
    /// The bootloader saves content keys wrapped, which makes trailers larger.
    #[arg(long, requires = "encrypt")]
    save_enctlv: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyLen {
    #[value(name = "128")]
    Aes128,
    #[value(name = "256")]
    Aes256,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum HmacSha {
    #[default]
    Auto,
    #[value(name = "256")]
    Sha256,
    #[value(name = "512")]
    Sha512,
}

impl Encrypt {
    /// How the image is encrypted, if it is. What the board asks for is taken from it, and what
    /// says otherwise is refused; so is a published key in a `release`.
    pub fn encryption(
        &self,
        board: Option<(&str, &Signing)>,
        release: bool,
        out: &Output,
    ) -> anyhow::Result<Option<Encryption>> {
        let Some(path) = &self.encrypt else {
            return match self.hmac_sha {
                HmacSha::Auto => Ok(None),
                _ => Err(anyhow!("--hmac-sha is for encryption")).usage("give -E KEY too"),
            };
        };
        let mut encryption = Encryption::new(load_recipient(path, release, out)?);
        let wanted = board.map(|(_, signing)| signing.encryption);
        if let Some(wanted) = wanted.flatten() {
            encryption.key_length = wanted.key_length();
            encryption.save_wrapped = wanted.save_wrapped;
            let wrapped = wanted.format().map(WrapFormat::kind);
            encryption.sha512 = wrapped == Some(TlvType::ENCX25519_SHA512);
        }
        match self.encrypt_keylen {
            Some(KeyLen::Aes128) => encryption.key_length = KeyLength::Aes128,
            Some(KeyLen::Aes256) => encryption.key_length = KeyLength::Aes256,
            None => {}
        }
        match self.hmac_sha {
            HmacSha::Auto => {}
            hash => encryption.sha512 = hash == HmacSha::Sha512,
        }
        encryption.save_wrapped |= self.save_enctlv;
        encryption.clear = self.clear;
        let format = match encryption.format() {
            Ok(format) => format,
            Err(error) => {
                let remedy = error.remedy();
                let error = Err(error).hint(remedy);
                return error
                    .with_context(|| format!("nothing is encrypted for {}", path.display()));
            }
        };
        if let Some((name, signing)) = board {
            let Some(wanted) = signing.encryption else {
                return Err(anyhow!("{name} does not decrypt images"))
                    .usage("leave -E out, or add [boot.encryption] to the board file");
            };
            if wanted.format() != Some(format) {
                let wanted = wanted.format().map_or(String::new(), describe);
                return Err(anyhow!("{name} takes {wanted}, not {}", describe(format)))
                    .usage("give a key of the type that the board file names");
            }
            if wanted.save_wrapped != encryption.save_wrapped {
                return Err(anyhow!("{name} saves content keys in plain, not wrapped"))
                    .usage("leave --save-enctlv out: the board file decides");
            }
        }
        Ok(Some(encryption))
    }
}

/// What a content key is for and how it is wrapped.
pub fn describe(format: WrapFormat) -> String {
    format!("{} keys wrapped in {}", format.key(), format.kind())
}

fn load_recipient(path: &Path, release: bool, out: &Output) -> anyhow::Result<Recipient> {
    let recipient = Recipient::from_text(&key::open(path)?).or_else(key::advise);
    let recipient = recipient.with_context(|| format!("{} cannot be used", path.display()))?;
    let hash = match &recipient {
        Recipient::Device(public) => public.hash(HashKind::Sha256),
        Recipient::Shared(wrapping) => wrapping.hash(),
    };
    let (hash, so) = (hash.to_string(), "anybody can decrypt what is made for it");
    if release {
        key::refuse_published(path, &hash, so)?;
    }
    key::warn_if_known(path, &hash, so, out);
    Ok(recipient)
}

/// Reads the key that images are decrypted with.
pub fn load_decryption_key(path: &Path) -> anyhow::Result<DecryptionKey> {
    let key = DecryptionKey::from_text(&key::open(path)?).or_else(key::advise);
    key.with_context(|| format!("{} cannot be used", path.display()))
}

/// The image in `file` with its body in plaintext.
pub fn decrypt(file: &[u8], path: &Path) -> anyhow::Result<Vec<u8>> {
    let key = load_decryption_key(path)?;
    updraft_sign::decrypt(file, &key).or_else(|error| {
        let remedy = error.remedy();
        Err(error).hint(remedy)
    })
}
