//! CRC-32C (Castagnoli), as in RFC 3720: reflected, bits inverted before and after.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What each value of each half byte of a word comes to: half a kibibyte that makes the look at
/// every row, which every boot takes eight times, an order of magnitude shorter.
static HALVES: [[u32; 16]; 8] = {
    let mut tables = [[0; 16]; 8];
    let mut half = 0;
    while half < 8 {
        let mut value = 0;
        while value < 16 {
            tables[half][value] = shifted((value as u32) << (4 * half), 32);
            value += 1;
        }
        half += 1;
    }
    tables
};

/// `crc` after so many bits more.
const fn shifted(crc: u32, bits: u32) -> u32 {
    let mut crc = crc;
    let mut bit = 0;
    while bit < bits {
        crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
        bit += 1;
    }
    crc
}

/// A CRC in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            let mixed = self.0 ^ u32::from_le_bytes(*word);
            let halves = HALVES.iter().enumerate();
            self.0 =
                halves.fold(0, |crc, (at, table)| crc ^ table[(mixed >> (4 * at)) as usize & 0x0f]);
        }
        for byte in rest {
            self.0 = shifted(self.0 ^ u32::from(*byte), 8);
        }
    }

    /// The CRC of `bytes` alone.
    pub(crate) fn of(bytes: &[u8]) -> u32 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.finish()
    }

    pub(crate) const fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Crc;

    /// RFC 3720, B.4, and the check value of the catalogues.
    #[test]
    fn known_values() {
        assert_eq!(Crc::of(b"123456789"), 0xe306_9283);
        assert_eq!(Crc::of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(Crc::of(&[0xff; 32]), 0x62a8_ab43);
    }
}
