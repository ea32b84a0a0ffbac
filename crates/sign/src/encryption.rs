//! Encrypting images, and decrypting them again.
//!
//! The content key is random and belongs to one image; it never leaves the signer but wrapped.
//! What is written here is what [`updraft_image::encryption`] describes.

use std::fmt;

use updraft_image::encryption::{
    AesKeyWrap, EciesP256, EciesX25519, HmacSha256, HmacSha512, RsaOaep,
};
use updraft_image::{
    BodyCipher, ContentKey, Digest, Flags, HashKind, Header, HeaderError, KeyLength, KeyUnwrap,
    OutOfRange, Refusal, TlvArea, TlvType, UnwrapError, WrapFormat, WrappedKey,
};
use zeroize::Zeroizing;

use crate::key::{KeyError, KeyKind};
use crate::{Key, PublicKey};

/// How an image is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// Who can read it. (`--encrypt`)
    pub recipient: Recipient,
    /// The length of the content key. (`--encrypt-keylen`)
    pub key_length: KeyLength,
    /// Derives and authenticates with SHA-512 instead of SHA-256: X25519 only. (`--hmac-sha`)
    pub sha512: bool,
    /// Leaves the body as it is: an image for the primary slot, where the bootloader keeps
    /// plaintext, which it can encrypt when it swaps it out. (`--clear`)
    pub clear: bool,
    /// The bootloader saves TLVs in its trailers and not keys, which makes them larger.
    /// (`--save-enctlv`)
    pub save_wrapped: bool,
}

impl Encryption {
    /// imgtool's defaults.
    pub fn new(recipient: Recipient) -> Self {
        let key_length = match &recipient {
            Recipient::Device(_) => KeyLength::Aes128,
            Recipient::Shared(key) => key.length(),
        };
        Self { recipient, key_length, sha512: false, clear: false, save_wrapped: false }
    }

    /// How the content key is wrapped; `Err` if it cannot be for that recipient.
    pub fn format(&self) -> Result<WrapFormat, EncryptError> {
        let tlv = match &self.recipient {
            Recipient::Shared(key) if key.length() != self.key_length => {
                let (wrapping, content) = (key.length(), self.key_length);
                return Err(EncryptError::WrappingLength { wrapping, content });
            }
            Recipient::Shared(_) => TlvType::ENCKW,
            Recipient::Device(key) => match key.kind() {
                KeyKind::EcdsaP256 => TlvType::ENCEC256,
                KeyKind::X25519 if self.sha512 => TlvType::ENCX25519_SHA512,
                KeyKind::X25519 => TlvType::ENCX25519,
                KeyKind::Rsa2048 => TlvType::ENCRSA2048,
                kind => return Err(KeyError::DoesNotDecrypt { name: kind.with_article() }.into()),
            },
        };
        if self.sha512 && tlv != TlvType::ENCX25519_SHA512 {
            return Err(EncryptError::Sha512);
        }
        WrapFormat::new(tlv, self.key_length).ok_or(EncryptError::Recipient)
    }

    /// Draws a content key and wraps it.
    pub(crate) fn content_key(&self) -> Result<(ContentKey, WrappedKey), EncryptError> {
        let format = self.format()?;
        let bytes = Zeroizing::new(random::<32>()?);
        let key = ContentKey::from_slice(&bytes[..format.key().size()]);
        let key = key.ok_or(EncryptError::Recipient)?;
        let public = match &self.recipient {
            Recipient::Shared(wrapping) => {
                let wrapped = wrapping.device().seal(&key).ok_or(EncryptError::Recipient)?;
                return Ok((key, wrapped));
            }
            Recipient::Device(public) => public.raw(),
        };
        // Fewer than one number in 2³² is no private key of P-256; a recipient's key that nothing
        // can be sealed for is none with any number.
        for _ in 0..4 {
            let once = Zeroizing::new(random()?);
            let wrapped = match (format.kind(), <&[u8; 32]>::try_from(public)) {
                (TlvType::ENCEC256, _) => EciesP256::seal(&once, public, &key),
                (TlvType::ENCRSA2048, _) => RsaOaep::seal(&once, public, &key),
                (TlvType::ENCX25519, Ok(public)) => {
                    EciesX25519::<HmacSha256>::seal(&once, public, &key)
                }
                (_, Ok(public)) => EciesX25519::<HmacSha512>::seal(&once, public, &key),
                (_, Err(_)) => None,
            };
            if let Some(wrapped) = wrapped {
                return Ok((key, wrapped));
            }
        }
        Err(EncryptError::Recipient)
    }
}

fn random<const N: usize>() -> Result<[u8; N], EncryptError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

/// Who can read an encrypted image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Devices with the private half of this key.
    Device(PublicKey),
    /// Whoever has the same key. imgtool does not make such images, newt does.
    Shared(WrappingKey),
}

impl Recipient {
    /// Reads a public key in PEM, or the public half of a private one, or a wrapping key in
    /// base64.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        match PublicKey::from_pem(text) {
            Err(KeyError::NoPem) => {
                WrappingKey::from_base64(text).map(Self::Shared).ok_or(KeyError::NoPem)
            }
            key => key.map(Self::Device),
        }
    }
}

/// Why an image cannot be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The recipient's key is of no use for it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// SHA-512 was asked for where only SHA-256 goes.
    #[error("only content keys wrapped for X25519 can go with SHA-512")]
    Sha512,
    /// A wrapping key wraps keys of its own length.
    #[error("the wrapping key is one of {wrapping}, the content key one of {content}")]
    WrappingLength {
        /// The length of the wrapping key.
        wrapping: KeyLength,
        /// The length asked for.
        content: KeyLength,
    },
    /// Nothing can be sealed for the recipient.
    #[error("no secret can be agreed on with the recipient's key: it is damaged, or made up")]
    Recipient,
}

impl EncryptError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Key(error) => error.remedy(),
            Self::Sha512 => "leave --hmac-sha out",
            Self::WrappingLength { .. } => "leave --encrypt-keylen out: the wrapping key decides",
            Self::Recipient => "give the public half of the device's key",
        }
    }
}

/// A key that wraps content keys and unwraps them again: both sides have it.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappingKey(Zeroizing<Vec<u8>>);

impl WrappingKey {
    /// A key of 16 or 32 bytes; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        AesKeyWrap::from_slice(bytes)?;
        Some(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Reads a file as newt has them: the bytes in base64.
    pub fn from_base64(text: &str) -> Option<Self> {
        let text: String = text.split_ascii_whitespace().collect();
        let block = format!("-----BEGIN KEY-----\n{text}\n-----END KEY-----\n");
        let (_, bytes) = pem_rfc7468::decode_vec(block.as_bytes()).ok()?;
        Self::from_slice(&Zeroizing::new(bytes))
    }

    /// How long it is, and so are the content keys that it wraps.
    pub fn length(&self) -> KeyLength {
        let long = self.0.len() == KeyLength::Aes256.size();
        if long { KeyLength::Aes256 } else { KeyLength::Aes128 }
    }

    /// Its SHA-256, by which published ones are known.
    pub fn hash(&self) -> Digest {
        Digest::of(HashKind::Sha256, &self.0)
    }

    fn device(&self) -> AesKeyWrap {
        // The length was checked when the key was made.
        AesKeyWrap::from_slice(&self.0).expect("a key of 16 or 32 bytes")
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey({})", self.length())
    }
}

/// The key that images are decrypted with.
#[derive(Debug)]
pub enum DecryptionKey {
    /// A device's private key.
    Device(Key),
    /// A key that both sides have.
    Shared(WrappingKey),
}

impl DecryptionKey {
    /// Reads a private key in PEM, or a wrapping key in base64.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        match Key::from_pem(text) {
            Ok(key) => Ok(Self::Device(key)),
            Err(KeyError::NoPem) => {
                WrappingKey::from_base64(text).map(Self::Shared).ok_or(KeyError::NoPem)
            }
            Err(error) => Err(error),
        }
    }

    /// The key as a bootloader embeds it: PKCS#8, for RSA PKCS#1, or the wrapping key itself.
    pub fn embedded(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match self {
            Self::Device(key) => key.private_der(key.kind().usual_form(), false),
            Self::Shared(key) => Ok(key.0.clone()),
        }
    }

    /// A device with this key.
    fn device(&self, format: WrapFormat) -> Result<Box<dyn KeyUnwrap>, KeyError> {
        match self {
            Self::Device(key) => key.device(format),
            Self::Shared(_) if format.kind() != TlvType::ENCKW => {
                Err(KeyError::OtherType { tlv: format.kind() })
            }
            Self::Shared(key) => Ok(Box::new(key.device())),
        }
    }
}

/// Why an image cannot be decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// It has no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It is not encrypted.
    #[error("the image is not encrypted")]
    NotEncrypted,
    /// It is flagged as encrypted, but there is no TLV with a content key.
    #[error("there is no content key in the image")]
    NoContentKey,
    /// The TLVs cannot be read, or the content key not be unwrapped.
    #[error(transparent)]
    Refused(Refusal<OutOfRange>),
    /// The key is not the one.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl DecryptError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Header(_) => "`updraft image sign` makes an image of a build",
            Self::NotEncrypted => "it can be used as it is",
            Self::NoContentKey => "encrypt it again: updraft image sign --encrypt",
            Self::Refused(Refusal::ContentKey(UnwrapError::Tag)) => {
                "give the private key of the device that the image is for"
            }
            Self::Refused(_) => "the file was damaged on its way: fetch or build it again",
            Self::Key(error) => error.remedy(),
        }
    }
}

/// How the content key of the image at the beginning of `file` is wrapped; `None` if it is not
/// encrypted, or without a TLV that carries one.
pub fn wrap_format(file: &[u8]) -> Option<WrapFormat> {
    let header = Header::parse(file).ok()?;
    let length = KeyLength::ALL.into_iter().find(|key| header.flags.contains(key.flag()))?;
    let mut source = file;
    let mut tlvs = TlvArea::open(&mut source, &header).ok()?.iter();
    loop {
        let entry = tlvs.next(&mut source).ok()??;
        if let Some(format) = WrapFormat::new(entry.kind, length) {
            return Some(format);
        }
    }
}

/// The image at the beginning of `file` with its body in plaintext, everything else as it is: what
/// a bootloader writes to the primary slot. Whether it is the image that was signed is for
/// [`updraft_image::validate`] to say.
pub fn decrypt(file: &[u8], key: &DecryptionKey) -> Result<Vec<u8>, DecryptError> {
    let header = Header::parse(file)?;
    if !header.flags.intersects(Flags::ENCRYPTED) {
        return Err(DecryptError::NotEncrypted);
    }
    // A slot is larger than its image.
    let mut slot = file.to_vec();
    slot.push(0xff);
    header.check(slot.len() as u32, header.flags)?;
    let format = wrap_format(file).ok_or(DecryptError::NoContentKey)?;
    let mut device = key.device(format)?;
    let wrapped = WrappedKey::find(&mut slot.as_slice(), &header, Some(format))
        .map_err(DecryptError::Refused)?
        .ok_or(DecryptError::NoContentKey)?;
    let key = wrapped
        .unwrap(&mut *device)
        .map_err(|error| DecryptError::Refused(Refusal::ContentKey(error)))?;
    slot.pop();
    BodyCipher::new(&key, &header)?.apply(0, &mut slot);
    Ok(slot)
}
