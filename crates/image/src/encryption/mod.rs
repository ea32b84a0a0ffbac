//! Encrypted images: the body alone is encrypted, with a content key of its own that travels in a
//! TLV, wrapped for the device.
//!
//! ```text
//! header          clear, with ENCRYPTED_AES128 or ENCRYPTED_AES256 set
//! body            AES-CTR under the content key, counter = offset in the body / 16
//! TLVs            clear; hash and signature are over the plaintext,
//!                 ENC… carries the content key, wrapped for the device's private key
//! ```
//!
//! From the image to its plaintext:
//!
//! ```text
//! WrappedKey::find ──▶ KeyUnwrap::unwrap ──▶ ContentKey ──▶ BodyCipher ──▶ Decrypted
//!  the TLV              private key, or       16 or 32       any byte       a Source, for
//!                       a chip's hardware     bytes, wiped   of the body    `validate`
//! ```
//!
//! # What a bootloader has to do with it
//!
//! **Where plaintext and ciphertext live.** The primary slot holds plaintext, the secondary slot
//! ciphertext. The flag stays set in both: in the primary slot it says that the image has to be
//! encrypted again when it leaves. So an image in the primary slot is validated as it lies there,
//! one in the secondary slot through [`Decrypted::open`], and both need the flag in
//! [`Rules::supported`](crate::Rules::supported). Modes that run an image where it was uploaded
//! cannot use encryption; a mode that loads to RAM copies first and applies [`BodyCipher`] there.
//!
//! **While a swap copies.** Plaintext is nowhere but in the primary slot. Whatever enters it from
//! elsewhere passes through the cipher of the *new* image, whatever leaves it through that of the
//! *old* one; everything else is copied as it is. Offsets are those inside the image: a mode that
//! keeps an image one sector up subtracts that sector.
//!
//! | mode | with the new image's cipher | with the old image's | as it is |
//! |---|---|---|---|
//! | overwrite | secondary → primary | | |
//! | move | secondary → primary | primary → secondary | primary → primary |
//! | offset | secondary → primary | primary → secondary | |
//! | scratch | scratch → primary | primary → secondary | secondary → scratch |
//!
//! **When keys are saved.** Once a swap has begun, headers and TLVs are on their way between the
//! slots, and the keys can no longer be found through them. So both keys are written to the
//! trailer together with the swap's other parameters, *before* the magic that makes the trailer
//! count: first that of the image in the primary slot, then that of the secondary. A resumed swap
//! reads them from there. [`TrailerKeys`] says whether the trailer holds the keys themselves or
//! their TLVs' payloads (MCUboot's `SWAP_SAVE_ENCTLV`), which are worth nothing without the
//! device's private key; an image that is not encrypted has no key, and its field stays unwritten
//! in effect ([`SavedKey::ABSENT`] in every byte).
//!
//! **When they are wiped.** From RAM when [`ContentKey`], [`SavedKey`] and [`BodyCipher`] are
//! dropped; what was computed with them on the way lies on the stack, which is overwritten below
//! whoever has unwrapped a key or is done with a cipher. From flash when the trailer is erased, which is at the next upgrade: with plain keys,
//! whoever can read the flash of a device after a swap can read the images too. They could as well
//! read the plaintext in the primary slot; where that is out of reach (internal flash) and the
//! trailers are not, save TLVs.
//!
//! Sources: MCUboot `docs/encrypted_images.md` and `boot/bootutil/src/encrypted.c`.

#[cfg_attr(not(feature = "enc"), path = "no_body.rs")]
mod body;
mod decrypted;
#[cfg(any(feature = "enc-p256", feature = "enc-x25519"))]
mod ecies;
mod key;
#[cfg(feature = "enc-kw")]
mod key_wrap;
#[cfg(feature = "enc-p256")]
mod p256;
#[cfg(any(feature = "enc-p256", feature = "enc-rsa", feature = "enc-x25519"))]
mod private_key;
#[cfg(feature = "enc-rsa")]
mod rsa;
mod saved;
mod unwrap;
mod wrapped;
#[cfg(feature = "enc-x25519")]
mod x25519;

pub use body::BodyCipher;
pub use decrypted::Decrypted;
#[cfg(any(feature = "enc-p256", feature = "enc-x25519"))]
pub use ecies::{EciesHash, HmacSha256, HmacSha512};
pub use key::{ContentKey, KeyLength};
#[cfg(feature = "enc-kw")]
pub use key_wrap::AesKeyWrap;
#[cfg(feature = "enc-p256")]
pub use p256::EciesP256;
#[cfg(any(feature = "enc-p256", feature = "enc-rsa", feature = "enc-x25519"))]
pub use private_key::PrivateKeyError;
#[cfg(feature = "enc-rsa")]
pub use rsa::RsaOaep;
pub use saved::{KeySlot, SavedKey, TrailerKeys};
pub use unwrap::{KeyUnwrap, NoPrivateKey, UnwrapError, WrapFormat};
pub use wrapped::WrappedKey;
#[cfg(feature = "enc-x25519")]
pub use x25519::EciesX25519;

/// Overwrites what functions that have returned have left on the stack, below the caller: copies of
/// keys that were moved, and what others' code does not wipe.
// A new frame, as deep as theirs were.
#[inline(never)]
fn wipe_stack() {
    /// Bytes: what is called on a chip with a key takes less. Larger processors have registers that
    /// are as wide as many keys, and put them on the stack.
    #[cfg(feature = "enc")]
    const DEPTH: usize = if cfg!(target_os = "none") { 1024 } else { 16 * 1024 };
    #[cfg(feature = "enc")]
    zeroize::Zeroize::zeroize(&mut [0u8; DEPTH]);
}
