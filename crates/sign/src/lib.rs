//! The desk's side of images: keys, signing, and telling what a file is.
//!
//! ```text
//! key.pem ─▶ Key ──────────┐                       ┌─▶ image: header, body, TLVs
//! build.bin ───────────────┼─▶ sign(SignOptions) ──┤
//! board file or options ───┘                       └─▶ + padding and trailer, if asked for
//!                                                       encrypted for a device, if asked for
//!
//! image ─▶ inspect ─▶ Inspection: every field, every byte range, whose signature
//! ```
//! What does not depend on chance is byte for byte what imgtool 2.5.0 writes; ECDSA signatures are
//! deterministic (RFC 6979), so that the same input always gives the same file, unless it is
//! encrypted.

mod boot_record;
mod compression;
mod der;
pub mod diff;
pub mod elf;
mod encryption;
pub mod files;
pub mod hex;

pub mod inspect;

mod key;
mod known;
mod listing;
pub mod manifest;
mod options;
mod signer;
pub mod signing;
mod verifying;

pub use compression::{Compression, DecompressError, decompress};
pub use encryption::{
    DecryptError, DecryptionKey, EncryptError, Encryption, Recipient, WrappingKey, decrypt,
    wrap_format,
};
pub use inspect::{Inspection, NamedKey, inspect};

pub use key::{Key, KeyError, KeyKind, PrivateForm, PublicKey, is_locked, unlock};
pub use known::{KnownKey, known_key, known_key_called};
pub use listing::{Language, listing};
pub use options::{
    CustomTlvError, DependencyError, Endian, KeyFormat, Padding, Placement, SecurityCounter,
    SignOptions, dependencies, parse_custom_tlv,
};
pub use signer::{
    SignError, SignedImage, Signer, StreamError, ToBeSigned, Written, make, pad, segments, sign,
    sign_stream, sign_to_segments, to_be_signed,
};
pub use verifying::{missing, payloads, rules_of};
