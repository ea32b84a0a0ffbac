//! ECIES: a key agreed on with an ephemeral one encrypts and authenticates the content key.
//!
//! ```text
//! payload   ephemeral public key · tag · wrapped content key
//! okm       HKDF(salt = zeros, ikm = agreed secret, info = "MCUBoot_ECIES_v1")
//!           = AES key, as long as the content key · HMAC key, as long as the tag
//! tag       HMAC(HMAC key, wrapped content key)
//! wrapped   AES-CTR(AES key, counter 0)(content key)
//! ```
//! Source: MCUboot `docs/encrypted_images.md`, "ECIES encryption"; the lengths are those that the
//! code uses.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use zeroize::Zeroizing;

use super::body::Ctr;
use crate::{ContentKey, KeyLength, TlvType, UnwrapError, WrapFormat, WrappedKey};

const INFO: &[u8] = b"MCUBoot_ECIES_v1";
/// The longest HMAC key and tag.
const LONGEST_TAG: usize = 64;
const LONGEST_OKM: usize = 32 + LONGEST_TAG;

/// The hash that an ECIES derives and authenticates with.
pub trait EciesHash: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// Bytes of a tag, and of its key.
        const TAG: usize;
        /// The type of TLVs whose key was agreed on over X25519.
        const X25519: crate::TlvType;
        /// Fills `okm`; false if that is longer than HKDF goes.
        fn derive(secret: &[u8; 32], okm: &mut [u8]) -> bool;
        /// The HMAC of `message`, as many bytes as `tag` has.
        fn tag(key: &[u8], message: &[u8], tag: &mut [u8]);
        /// Compares in constant time.
        fn verify(key: &[u8], message: &[u8], tag: &[u8]) -> bool;
    }
}

macro_rules! ecies_hash {
    ($(#[$doc:meta])* $name:ident, $hash:ty, $tag:literal, $x25519:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl EciesHash for $name {}

        impl sealed::Sealed for $name {
            const TAG: usize = $tag;
            const X25519: TlvType = $x25519;

            fn derive(secret: &[u8; 32], okm: &mut [u8]) -> bool {
                Hkdf::<$hash>::new(None, secret).expand(INFO, okm).is_ok()
            }

            fn tag(key: &[u8], message: &[u8], tag: &mut [u8]) {
                // HMAC takes keys of any length.
                if let Ok(mac) = Hmac::<$hash>::new_from_slice(key) {
                    let bytes = mac.chain_update(message).finalize().into_bytes();
                    tag.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
                }
            }

            fn verify(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
                Hmac::<$hash>::new_from_slice(key)
                    .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok())
            }
        }
    };
}

ecies_hash! {
    /// HMAC and HKDF with SHA-256.
    HmacSha256, sha2::Sha256, 32, TlvType::ENCX25519
}
ecies_hash! {
    /// HMAC and HKDF with SHA-512.
    HmacSha512, sha2::Sha512, 64, TlvType::ENCX25519_SHA512
}

/// The two keys that come out of an agreement.
struct Derived {
    okm: Zeroizing<[u8; LONGEST_OKM]>,
    length: KeyLength,
    tag: usize,
}

impl Derived {
    fn new<H: EciesHash>(secret: &[u8; 32], length: KeyLength) -> Option<Self> {
        let mut okm = Zeroizing::new([0; LONGEST_OKM]);
        let used = okm.get_mut(..length.size() + H::TAG)?;
        H::derive(secret, used).then_some(Self { okm, length, tag: H::TAG })
    }

    fn ctr(&self) -> Option<Ctr> {
        let key = ContentKey::from_slice(self.okm.get(..self.length.size())?)?;
        Some(Ctr::new(&key))
    }

    fn mac_key(&self) -> &[u8] {
        let start = self.length.size();
        self.okm.get(start..start + self.tag).unwrap_or_default()
    }
}

/// Opens the part of a payload behind the ephemeral public key, with the secret agreed on.
#[inline(never)]
pub fn open<H: EciesHash>(
    secret: &[u8; 32],
    length: KeyLength,
    sealed: &[u8],
) -> Result<ContentKey, UnwrapError> {
    let derived = Derived::new::<H>(secret, length).ok_or(UnwrapError::Tag)?;
    let (tag, wrapped) = sealed.split_at_checked(H::TAG).ok_or(UnwrapError::Tag)?;
    // Nothing is decrypted that was not made with the agreed secret.
    if !H::verify(derived.mac_key(), wrapped, tag) {
        return Err(UnwrapError::Tag);
    }
    let mut key = Zeroizing::new([0; 32]);
    let found = wrapped.len();
    let used = key.get_mut(..found).ok_or(UnwrapError::KeyLength { found })?;
    used.copy_from_slice(wrapped);
    derived.ctr().ok_or(UnwrapError::KeyLength { found })?.apply(0, used);
    ContentKey::from_slice(used).ok_or(UnwrapError::KeyLength { found })
}

/// Wraps `key` with the secret that was agreed on by way of the ephemeral key `public`.
pub fn seal<H: EciesHash>(
    kind: TlvType,
    public: &[u8],
    secret: &[u8; 32],
    key: &ContentKey,
) -> Option<WrappedKey> {
    let derived = Derived::new::<H>(secret, key.length())?;
    let mut payload = [0; WrapFormat::LONGEST];
    let used = payload.get_mut(..WrapFormat::new(kind, key.length())?.payload_len())?;
    let (to, sealed) = used.split_at_mut_checked(public.len())?;
    to.copy_from_slice(public);
    let (tag, wrapped) = sealed.split_at_mut_checked(H::TAG)?;
    if wrapped.len() != key.as_bytes().len() {
        return None;
    }
    wrapped.copy_from_slice(key.as_bytes());
    derived.ctr()?.apply(0, wrapped);
    H::tag(derived.mac_key(), wrapped, tag);
    WrappedKey::from_slice(kind, used)
}
