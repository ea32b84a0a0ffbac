//! The body's cipher: AES in counter mode from any byte on.

use core::fmt;

use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    ParBlocks,
};
use zeroize::Zeroize;

use crate::{ContentKey, Header, HeaderError, KeyLength};

const BLOCK: u32 = 16;

/// AES that only encrypts, which is all that counter mode needs. Its round keys are wiped when it
/// is dropped.
enum Aes {
    Aes128(aes::Aes128Enc),
    Aes256(aes::Aes256Enc),
}

/// AES in counter mode, the counter block being 12 zero bytes and a big-endian u32.
pub(super) struct Ctr(Aes);

impl Ctr {
    pub(super) fn new(key: &ContentKey) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(key.as_bytes()) {
            *to = *from;
        }
        let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &bytes;
        let aes = match key.length() {
            KeyLength::Aes128 => Aes::Aes128(aes::Aes128Enc::new(half.into())),
            KeyLength::Aes256 => Aes::Aes256(aes::Aes256Enc::new((&bytes).into())),
        };
        bytes.zeroize();
        Self(aes)
    }

    /// Encrypts or decrypts `buf`, which lies `at` bytes into the stream.
    pub(super) fn apply(&self, at: u32, buf: &mut [u8]) {
        let stream = Stream { at, buf };
        match &self.0 {
            Aes::Aes128(aes) => aes.encrypt_with_backend(stream),
            Aes::Aes256(aes) => aes.encrypt_with_backend(stream),
        }
    }
}

impl Drop for Ctr {
    /// Whoever expands a key, or goes through blocks by many at a time, keeps it in places of its own.
    fn drop(&mut self) {
        super::wipe_stack();
    }
}

/// Bytes of a stream, and where in it they lie.
struct Stream<'b> {
    at: u32,
    buf: &'b mut [u8],
}

impl BlockSizeUser for Stream<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Stream<'_> {
    /// Software computes several blocks in the time of one, and only that code is used: the code
    /// for single blocks would be as large again.
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut counter = self.at / BLOCK;
        // Only the first block may begin in the middle.
        let mut skip = (self.at % BLOCK) as usize;
        let mut rest = self.buf;
        while !rest.is_empty() {
            let mut pads = ParBlocks::<B>::default();
            for pad in &mut pads {
                if let Some(low) = pad.last_chunk_mut() {
                    *low = counter.to_be_bytes();
                }
                counter = counter.wrapping_add(1);
            }
            backend.encrypt_par_blocks((&mut pads).into());
            let pads = pads.as_flattened().get(skip..).unwrap_or_default();
            let (piece, behind) = rest.split_at_mut(rest.len().min(pads.len()));
            piece.iter_mut().zip(pads).for_each(|(byte, pad)| *byte ^= pad);
            (rest, skip) = (behind, 0);
        }
    }
}

/// Encrypts or decrypts the body of one image, at any place of it. Both are the same operation.
///
/// It keeps the key and not what AES makes of it, which takes fifteen times as much: on a chip it
/// is at hand all through an upgrade, in two copies.
pub struct BodyCipher {
    key: ContentKey,
    start: u32,
    end: u32,
}

impl BodyCipher {
    /// The cipher of the image with `header`, whose content key is `key`.
    pub fn new(key: &ContentKey, header: &Header) -> Result<Self, HeaderError> {
        let (start, end) = (header.hdr_size.into(), header.tlv_offset()?);
        Ok(Self { key: key.copy(), start, end })
    }

    /// Encrypts or decrypts what of the body is in `buf`, which lies at offset `at` of the image.
    /// Header and TLVs are left alone.
    pub fn apply(&self, at: u32, buf: &mut [u8]) {
        let clear = self.start.saturating_sub(at) as usize;
        let Some(buf) = buf.get_mut(clear..) else { return };
        let at = at.max(self.start);
        let left = self.end.saturating_sub(at) as usize;
        let len = buf.len().min(left);
        Ctr::new(&self.key).apply(at - self.start, buf.get_mut(..len).unwrap_or_default());
    }
}

impl fmt::Debug for BodyCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyCipher({:#x}..{:#x})", self.start, self.end)
    }
}
