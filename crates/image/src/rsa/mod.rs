//! RSA (RFC 8017): the arithmetic and the mask, which signatures and content keys share.

mod modular;
#[cfg(feature = "sig-rsa")]
pub mod pss;

use sha2::{Digest as _, Sha256};

pub use modular::Modulus;
#[cfg(feature = "sig-rsa")]
use modular::Number;

/// Bytes of a SHA-256 hash.
pub const HASH: usize = 32;

/// XORs `MGF1(seed)` with SHA-256 into `data` (RFC 8017, B.2.1).
pub fn mask(seed: &[u8], data: &mut [u8]) {
    for (counter, piece) in (0_u32..).zip(data.chunks_mut(HASH)) {
        let hash = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        piece.iter_mut().zip(hash).for_each(|(byte, mask)| *byte ^= mask);
    }
}
