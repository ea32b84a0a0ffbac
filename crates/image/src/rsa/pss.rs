//! RSA-PSS with SHA-256, MGF1 over SHA-256 and a salt of 32 bytes (RFC 8017, 9.1.2).
//!
//! ```text
//! block    masked data (223, 351) · H (32) · 0xbc
//! data     zeros · 1 · salt (32)              masked with MGF1(H)
//! H        SHA-256(eight zeros · image hash · salt)
//! ```
//! The topmost bit of the block is not looked at: it is zero in what signers make, and the original
//! takes it as if it were. Source: `boot/bootutil/src/image_rsa.c`.

use sha2::{Digest as _, Sha256};

use super::{HASH, Modulus, Number, mask};
use crate::{Decision, Digest, HashKind};

/// Whether `signature` over `digest` is that of the key with this modulus and the exponent 65537,
/// both as long as `LIMBS` words of 32 bits.
pub fn verify<const LIMBS: usize>(modulus: &[u8], digest: &Digest, signature: &[u8]) -> Decision {
    if digest.kind() != HashKind::Sha256 {
        return Decision::NO;
    }
    let Some(modulus) = Modulus::<LIMBS>::new(modulus) else { return Decision::NO };
    let Some(mut block) = modulus.public_power(signature) else { return Decision::NO };
    encodes(&mut block, digest.as_bytes()).unwrap_or_default()
}

/// Whether the block is one that encodes `hash`; `None` if it is malformed.
fn encodes<const LIMBS: usize>(block: &mut Number<LIMBS>, hash: &[u8]) -> Option<Decision> {
    let (0xbc, block) = block.as_flattened_mut().split_last_mut()? else { return None };
    let (data, found) = block.split_last_chunk_mut::<HASH>()?;
    mask(found, data);
    *data.first_mut()? &= 0x7f;
    let (padding, salt) = data.split_last_chunk::<HASH>()?;
    let (1, zeros) = padding.split_last()? else { return None };
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    let expected = Sha256::new().chain_update([0; 8]).chain_update(hash).chain_update(salt);
    Some(Decision::equal(found, &expected.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(hash: &[u8], change: impl Fn(&mut [u8])) -> Number<64> {
        let salt = [7; HASH];
        let mut data = [0; 223];
        data[190] = 1;
        data[191..].copy_from_slice(&salt);
        change(&mut data);
        let bound = Sha256::new().chain_update([0; 8]).chain_update(hash).chain_update(salt);
        let bound = bound.finalize();
        mask(&bound, &mut data);
        data[0] &= 0x7f;
        let mut block = [[0; 4]; 64];
        let bytes = block.as_flattened_mut();
        bytes[..223].copy_from_slice(&data);
        bytes[223..255].copy_from_slice(&bound);
        bytes[255] = 0xbc;
        block
    }

    fn is_good(mut block: Number<64>, hash: &[u8]) -> bool {
        encodes(&mut block, hash).is_some_and(|same| same.is_yes())
    }

    #[test]
    fn every_byte_of_the_block_has_to_be_right() {
        let hash = [3; HASH];
        let good = block(&hash, |_| ());
        assert!(is_good(good, &hash));
        assert!(!is_good(good, &[4; HASH]));
        for at in 0..256 {
            let mut bad = good;
            bad.as_flattened_mut()[at] ^= 1;
            assert!(!is_good(bad, &hash), "byte {at}");
        }
        let mut top = good;
        top.as_flattened_mut()[0] |= 0x80;
        assert!(is_good(top, &hash), "the original takes the topmost bit for a zero");
    }

    #[test]
    fn the_padding_has_to_be_zeros_and_a_one() {
        let hash = [3; HASH];
        assert!(!is_good(block(&hash, |data| data[189] = 1), &hash));
        assert!(!is_good(block(&hash, |data| data[190] = 2), &hash));
        assert!(!is_good(block(&hash, |data| data[190] = 0), &hash));
        // A shorter salt, with the one further behind.
        assert!(!is_good(block(&hash, |data| (data[190], data[191]) = (0, 1)), &hash));
    }
}
