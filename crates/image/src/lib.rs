//! The MCUboot image format, bit for bit: what a signed firmware file and the slot around it
//! look like, and whether a bootloader may trust it.
//!
//! ```text
//! 0                     header          32 bytes, padded to `hdr_size`
//! hdr_size              body            `img_size` bytes
//! + img_size            protected TLVs  `protect_tlv_size` bytes, may be absent
//! + protect_tlv_size    TLVs            hash, key hash, signature
//!   …                   erased
//! slot end − trailer    trailer         swap status, flags, magic
//! ```
//!
//! The crate knows formats and signatures only: no flash, no policy, no allocation. Images are
//! read through [`Source`], so the same checks run over a slot in flash and over a file in memory.
//! All integers of the format are little-endian.
//!
//! Format sources: MCUboot `docs/design.md` and `boot/bootutil/include/bootutil/image.h`.
#![no_std]

#[cfg(feature = "compression")]
mod compression;
mod digest;
pub mod encryption;
mod flags;
#[cfg_attr(updraft_unhardened, path = "unhardened.rs")]
mod hardened;
mod header;
mod key;
mod mode;
#[cfg(any(feature = "enc-rsa", feature = "sig-rsa"))]
mod rsa;
#[cfg(feature = "sig")]
mod software;
mod source;
pub mod text;
mod tlv;
mod trailer;
mod validate;
mod verifier;
mod version;

#[cfg(feature = "compression")]
pub use compression::{
    CompressionError, Decoder, Decompressed, Piece, RamWindow, Window, validate_compressed,
};
pub use digest::{Digest, HashKind, Hasher};
pub use encryption::{
    BodyCipher, ContentKey, Decrypted, KeyLength, KeySlot, KeyUnwrap, NoPrivateKey, SavedKey,
    TrailerKeys, UnwrapError, WrapFormat, WrappedKey,
};
pub use flags::Flags;
pub use hardened::Decision;
pub use header::{Header, HeaderError};
pub use key::{KeyError, PublicKey, Scheme};
pub use mode::{MaxSize, UpgradeMode};
#[cfg(feature = "sig")]
pub use software::Software;
pub use source::{OutOfRange, Source};
pub use text::{Describe, Text};
pub use tlv::{Dependency, TlvArea, TlvEntry, TlvError, TlvIter, TlvKind, TlvType, TlvWriter};
pub use trailer::{
    Flag, Magic, SwapInfo, SwapType, TornFlags, TrailerLayout, TrailerState, align_down, align_up,
    magic_bytes,
};
pub use validate::{
    BoardIds, Refusal, Rules, Signed, Strictness, Validated, image_hash, validate, validate_sealed,
};
pub use verifier::{HashOnly, PureCheck, Verifier, WithPrivateKey};
pub use version::{ParseVersionError, Version};
