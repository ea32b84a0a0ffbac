//! CRC-32C (Castagnoli), as in RFC 3720: reflected, bits inverted before and after.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// A CRC in the making. Bit by bit: what it is for is a few rows at a boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crc(u32);

impl Crc {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                let low = (self.0 & 1).wrapping_neg();
                self.0 = (self.0 >> 1) ^ (POLYNOMIAL & low);
            }
        }
    }

    pub(super) const fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Crc;

    /// RFC 3720, B.4, and the check value of the catalogues.
    #[test]
    fn known_values() {
        let of = |bytes: &[u8]| {
            let mut crc = Crc::new();
            crc.update(bytes);
            crc.finish()
        };
        assert_eq!(of(b"123456789"), 0xe306_9283);
        assert_eq!(of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(of(&[0xff; 32]), 0x62a8_ab43);
    }
}
