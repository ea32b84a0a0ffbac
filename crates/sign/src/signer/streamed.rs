//! Signing what is not in memory: a build goes through, piece by piece, on its way into its file.
//!
//! ```text
//! build ──▶ piece ──▶ image file:  header · body · protected TLVs · TLVs
//!             └─────▶ hash ──────────────────────────────────────────┘
//! ```
//! The header tells the length of the body before the first byte of it, so that the length has to
//! be known, and is held to.

use std::io::{self, Read, Write};

use updraft_image::{Hasher, Header, TlvKind};

use super::padding::{check_size, pad};
use super::{Maker, SignError, SignedImage, Signer, check_room_for_header, make, tlvs};
use crate::options::{Padding, SignOptions};

/// Bytes that are held at a time: few enough to stay in the processor's caches, and of a size that
/// filesystems write in one go.
const PIECE: usize = 64 << 10;

/// Why a build that goes through was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// As with one in memory.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The build cannot be read.
    #[error("the build cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The image cannot be written.
    #[error("the image cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The build is longer or shorter than it was said to be.
    #[error("the build has not the {said} bytes that it had")]
    Length {
        /// How long it was said to be.
        said: usize,
    },
}

/// What an image came about with that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The signature, if it is signed.
    pub signature: Option<Vec<u8>>,
    /// Bytes of the body compressed and before, if compressing was tried: smaller or not.
    pub compressed: Option<(usize, usize)>,
}

/// Writes the image that [`sign`](super::sign) makes of a build of `len` bytes, with little of it in
/// memory at a time, unless the options ask for what needs all of it. What was written is of no use
/// unless this succeeds.
pub fn sign_stream(
    input: &mut dyn Read,
    len: usize,
    options: &SignOptions,
    signer: Signer<'_>,
    output: &mut dyn Write,
) -> Result<Written, StreamError> {
    if !goes_through(options) {
        return sign_at_once(input, len, options, signer, output);
    }
    let maker = Maker::new(options, signer)?;
    let header_size = usize::from(maker.header_size);
    // Either the room for the header comes first, or the build begins with it.
    let room = if options.pad_header { header_size } else { 0 };
    // Behind the longest header there is enough of the build to tell whether it is an image.
    let mut piece = vec![0; PIECE.max(header_size + Header::SIZE)];
    piece[..room].fill(options.erased);
    let mut total = fill(input, &mut piece[room..])?;
    check_room_for_header(&piece[room..room + total], options)?;
    let body = (room + len).checked_sub(header_size);
    let (header, protected) = maker.frame(body.ok_or(StreamError::Length { said: len })?, None)?;
    piece[..Header::SIZE].copy_from_slice(&tlvs::header(&header, options.endian));

    let mut hasher = Hasher::new(maker.hash);
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        output.write_all(bytes).map_err(StreamError::Write)
    };
    put(&piece[..room + total])?;
    loop {
        let read = fill(input, &mut piece)?;
        if read == 0 {
            break;
        }
        total += read;
        put(&piece[..read])?;
    }
    if total != len {
        return Err(StreamError::Length { said: len });
    }
    put(&protected)?;

    let (tlvs, signature) = maker.tlvs(&hasher.finish(), &[])?;
    let area = tlvs::area(TlvKind::Unprotected, &tlvs, options.endian)?;
    let body_end = usize::from(header.hdr_size) + header.img_size as usize;
    check_size(body_end + protected.len() + area.len(), options)?;
    output.write_all(&area).map_err(StreamError::Write)?;
    Ok(Written { signature, compressed: None })
}

/// Whether the body stays as it is, is signed by its hash, and is followed by nothing but TLVs.
fn goes_through(options: &SignOptions) -> bool {
    options.compression.is_none()
        && options.encryption.is_none()
        && options.padding == Padding::None
        && !options.pure
}

fn sign_at_once(
    input: &mut dyn Read,
    len: usize,
    options: &SignOptions,
    signer: Signer<'_>,
    output: &mut dyn Write,
) -> Result<Written, StreamError> {
    let mut build = Vec::new();
    input.read_to_end(&mut build).map_err(StreamError::Read)?;
    if build.len() != len {
        return Err(StreamError::Length { said: len });
    }
    let SignedImage { mut image, signature, compressed } = make(&build, options, signer)?;
    pad(&mut image, options)?;
    output.write_all(&image).map_err(StreamError::Write)?;
    Ok(Written { signature, compressed })
}

/// Reads until the buffer is full, or nothing follows. Returns how much it was.
fn fill(input: &mut dyn Read, piece: &mut [u8]) -> Result<usize, StreamError> {
    let mut full = 0;
    while full < piece.len() {
        match input.read(&mut piece[full..]) {
            Ok(0) => break,
            Ok(read) => full += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StreamError::Read(error)),
        }
    }
    Ok(full)
}
