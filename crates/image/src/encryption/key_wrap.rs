//! AES key wrap (RFC 3394): TLV ENCKW. The wrapping key is as long as the content key.

use core::fmt;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use crate::{ContentKey, KeyUnwrap, TlvType, UnwrapError, WrapFormat, WrappedKey};

/// What unwraps to this in front was wrapped with the same key (RFC 3394, 2.2.3.1).
const INITIAL: u64 = 0xa6a6_a6a6_a6a6_a6a6;
/// 64-bit blocks of the longest key.
const LONGEST: usize = 4;
const ROUNDS: u64 = 6;

/// A symmetric key that content keys are wrapped with.
pub struct AesKeyWrap {
    wrapping: ContentKey,
}

/// A key in blocks, and the block in front that tells whether it was unwrapped rightly.
struct Blocks {
    front: u64,
    blocks: Zeroizing<[u64; LONGEST]>,
    /// How many there are.
    used: usize,
}

impl AesKeyWrap {
    /// The wrapping key, 16 or 32 bytes; `None` for any other length.
    pub fn from_slice(wrapping: &[u8]) -> Option<Self> {
        Some(Self { wrapping: ContentKey::from_slice(wrapping)? })
    }

    /// Wraps `key`; `None` if it is not as long as the wrapping key.
    pub fn seal(&self, key: &ContentKey) -> Option<WrappedKey> {
        if key.length() != self.wrapping.length() {
            return None;
        }
        let mut blocks = Blocks::read(INITIAL, key.as_bytes());
        match self.key() {
            Either::Aes128(key) => blocks.wrap(&aes::Aes128Enc::new(key.into())),
            Either::Aes256(key) => blocks.wrap(&aes::Aes256Enc::new(key.into())),
        }
        let mut payload = [0; 8 + 8 * LONGEST];
        let (front, rest) = payload.split_first_chunk_mut()?;
        *front = blocks.front.to_be_bytes();
        blocks.write(rest);
        WrappedKey::from_slice(TlvType::ENCKW, payload.get(..8 + 8 * blocks.used)?)
    }

    fn key(&self) -> Either<'_> {
        match self.wrapping.as_bytes().try_into() {
            Ok(key) => Either::Aes256(key),
            Err(_) => Either::Aes128(self.wrapping.as_bytes().first_chunk().unwrap_or(&[0; 16])),
        }
    }
}

enum Either<'k> {
    Aes128(&'k [u8; 16]),
    Aes256(&'k [u8; 32]),
}

impl Blocks {
    fn read(front: u64, bytes: &[u8]) -> Self {
        let mut blocks = Self { front, blocks: Zeroizing::new([0; LONGEST]), used: 0 };
        for (to, from) in blocks.blocks.iter_mut().zip(bytes.as_chunks().0) {
            *to = u64::from_be_bytes(*from);
            blocks.used += 1;
        }
        blocks
    }

    fn write(&self, out: &mut [u8]) {
        for (to, from) in out.as_chunks_mut().0.iter_mut().zip(self.blocks.iter()) {
            *to = from.to_be_bytes();
        }
    }

    fn wrap(&mut self, aes: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>) {
        let mut step = 0;
        for _ in 0..ROUNDS {
            for block in self.blocks.iter_mut().take(self.used) {
                step += 1;
                let mut both = join(self.front, *block);
                aes.encrypt_block(&mut both);
                (self.front, *block) = split(&both);
                self.front ^= step;
            }
        }
    }

    fn unwrap(&mut self, aes: &impl BlockCipherDecrypt<BlockSize = aes::cipher::consts::U16>) {
        let mut step = ROUNDS * self.used as u64;
        for _ in 0..ROUNDS {
            for block in self.blocks.iter_mut().take(self.used).rev() {
                let mut both = join(self.front ^ step, *block);
                aes.decrypt_block(&mut both);
                (self.front, *block) = split(&both);
                step -= 1;
            }
        }
    }
}

fn join(front: u64, block: u64) -> aes::Block {
    ((u128::from(front) << 64) | u128::from(block)).to_be_bytes().into()
}

fn split(both: &aes::Block) -> (u64, u64) {
    let both = u128::from_be_bytes((*both).into());
    ((both >> 64) as u64, both as u64)
}

impl KeyUnwrap for AesKeyWrap {
    fn format(&self) -> Option<WrapFormat> {
        WrapFormat::new(TlvType::ENCKW, self.wrapping.length())
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        self.format().ok_or(UnwrapError::NoPrivateKey)?.check(kind, payload)?;
        let (front, wrapped) = payload.split_first_chunk().ok_or(UnwrapError::Tag)?;
        let mut blocks = Blocks::read(u64::from_be_bytes(*front), wrapped);
        match self.key() {
            Either::Aes128(key) => blocks.unwrap(&aes::Aes128::new(key.into())),
            Either::Aes256(key) => blocks.unwrap(&aes::Aes256::new(key.into())),
        }
        // One comparison of all 64 bits: its time tells nothing about how many are right.
        if blocks.front != INITIAL {
            return Err(UnwrapError::Tag);
        }
        let mut key = Zeroizing::new([0; 8 * LONGEST]);
        blocks.write(key.as_mut_slice());
        let key = key.get(..wrapped.len()).and_then(ContentKey::from_slice);
        key.ok_or(UnwrapError::KeyLength { found: wrapped.len() })
    }
}

impl fmt::Debug for AesKeyWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKeyWrap({})", self.wrapping.length())
    }
}
