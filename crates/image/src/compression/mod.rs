//! Compressed images: decompressed on the chip, and verified, within a known amount of RAM.
//!
//! imgtool compresses the body with LZMA2 (dictionary 128 KiB, lc 3, lp 1, pb 2), with or without
//! the ARM-Thumb filter. What is stored is an image like any other, with its own hash and
//! signature; protected TLVs tell size, hash and signature of the image that it was made of:
//!
//! ```text
//! header   flags COMPRESSED_LZMA2 [COMPRESSED_ARM_THUMB]
//! body     dictionary size (1) · lc, lp, pb (1) · raw LZMA2 stream [zeros, if encrypted]
//! TLVs     protected: … DECOMP_SIZE · DECOMP_SHA · DECOMP_SIGNATURE · [COMP_DEC_SIZE] …
//! ```
//!
//! | | RAM |
//! |---|---|
//! | [`Decoder`], whatever the image | [`Decoder::RAM`]: less than 28 ½ KiB |
//! | a piece | 1 byte or more |
//! | [`Window`]: the slot that the image is written to, or RAM that it is loaded to | none |
//! | [`RamWindow`]: where the output is kept nowhere else | dictionary + 3 bytes, or the body |
//!
//! ```
//! # use updraft_image::{CompressionError, Decoder, Decompressed, Header, Source, Window};
//! # fn install<W: Window>(
//! #     slots: W, header: &Header, decoder: &mut Decoder,
//! #     write: fn(&mut W, u32, &[u8]) -> Result<(), W::Error>,
//! # ) -> Result<(), CompressionError<W::Error>> {
//! // `slots` reads the secondary slot as a `Source`, and looks back into the primary one.
//! let mut piece = [0; 1024];
//! let mut image = Decompressed::open(slots, header, decoder, &mut piece)?;
//! // `image.size()` bytes have to fit into the primary slot.
//! while let Some(piece) = image.next_piece()? {
//!     write(piece.window, piece.offset, piece.bytes).map_err(CompressionError::Read)?;
//! }
//! # Ok(())
//! # }
//! ```
//! After that, [`crate::validate`] finds an ordinary image in the primary slot. An image that is
//! encrypted as well is decrypted on the way: `Decrypted` over a window is a window.
//!
//! Sources: imgtool 2.5.0, `main.py` (`sign`) and `image.py`; nrfconnect/sdk-mcuboot,
//! `docs/compression_format.md` and `boot/zephyr/decompression.c`. Upstream's bootloader has no
//! decompressor.

mod decompressed;
mod error;
mod layout;
mod lzma2;
mod symbols;
mod thumb;
mod window;

pub use decompressed::{Decompressed, Piece, validate_compressed};
pub use error::CompressionError;
pub use lzma2::Decoder;
pub use window::{RamWindow, Window};
