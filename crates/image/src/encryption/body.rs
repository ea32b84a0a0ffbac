//! The body's cipher: AES in counter mode from any byte on.

use core::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
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
        let mut counter = at / BLOCK;
        // Only the first block may begin in the middle.
        let mut skip = (at % BLOCK) as usize;
        let mut rest = buf;
        while !rest.is_empty() {
            let mut block = aes::Block::default();
            if let Some(low) = block.last_chunk_mut() {
                *low = counter.to_be_bytes();
            }
            match &self.0 {
                Aes::Aes128(aes) => aes.encrypt_block(&mut block),
                Aes::Aes256(aes) => aes.encrypt_block(&mut block),
            }
            let len = rest.len().min(block.len() - skip);
            let (piece, behind) = rest.split_at_mut(len);
            for (byte, key) in piece.iter_mut().zip(block.iter().skip(skip)) {
                *byte ^= key;
            }
            (rest, skip) = (behind, 0);
            counter = counter.wrapping_add(1);
        }
    }
}

/// Encrypts or decrypts the body of one image, at any place of it. Both are the same operation.
pub struct BodyCipher {
    ctr: Ctr,
    start: u32,
    end: u32,
}

impl BodyCipher {
    /// The cipher of the image with `header`, whose content key is `key`.
    pub fn new(key: &ContentKey, header: &Header) -> Result<Self, HeaderError> {
        Ok(Self { ctr: Ctr::new(key), start: header.hdr_size.into(), end: header.tlv_offset()? })
    }

    /// Encrypts or decrypts what of the body is in `buf`, which lies at offset `at` of the image.
    /// Header and TLVs are left alone.
    pub fn apply(&self, at: u32, buf: &mut [u8]) {
        let clear = self.start.saturating_sub(at) as usize;
        let Some(buf) = buf.get_mut(clear..) else { return };
        let at = at.max(self.start);
        let left = self.end.saturating_sub(at) as usize;
        let len = buf.len().min(left);
        self.ctr.apply(at - self.start, buf.get_mut(..len).unwrap_or_default());
    }
}

impl fmt::Debug for BodyCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyCipher({:#x}..{:#x})", self.start, self.end)
    }
}
