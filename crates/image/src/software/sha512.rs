//! SHA-512 (FIPS 180-4) around the compression of `sha2`, in a third of the code that its general
//! hashes put around it.

use sha2::block_api::compress512;

const BLOCK: usize = 128;

/// FIPS 180-4, 5.3.5.
static START: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// A running hash.
#[derive(Clone)]
pub struct Sha512 {
    state: [u64; 8],
    block: [u8; BLOCK],
    /// Bytes taken in.
    len: u64,
}

impl Sha512 {
    #[inline(never)]
    pub fn new() -> Self {
        Self { state: START, block: [0; BLOCK], len: 0 }
    }

    fn place(&self) -> usize {
        self.len as usize % BLOCK
    }

    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.block[self.place()] = *byte;
            self.len = self.len.wrapping_add(1);
            if self.place() == 0 {
                compress512(&mut self.state, core::slice::from_ref(&self.block));
            }
        }
    }

    /// The digest of everything taken in; the hash is of no more use.
    #[inline(never)]
    pub fn finish(&mut self) -> [u8; 64] {
        let bits = u128::from(self.len) * 8;
        self.update(&[0x80]);
        while self.place() != BLOCK - 16 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut digest = [0; 64];
        for (to, from) in digest.as_chunks_mut().0.iter_mut().zip(&self.state) {
            *to = from.to_be_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::Sha512;
    use crate::{Digest, HashKind};

    #[test]
    fn hashes_are_those_of_the_crate_whatever_the_pieces() {
        let message: [u8; 300] = core::array::from_fn(|at| at as u8);
        for len in 0..message.len() {
            let expected = Digest::of(HashKind::Sha512, &message[..len]);
            for piece in [1, 64, 127, 300] {
                let mut hash = Sha512::new();
                message[..len].chunks(piece).for_each(|piece| hash.update(piece));
                assert_eq!(hash.finish(), expected.as_bytes(), "{len} bytes");
            }
        }
    }
}
