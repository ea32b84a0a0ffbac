//! What a power cut in the middle of an operation leaves behind.

/// Chances out of 256 that a bit changes, for [`Torn::Bits`]: an operation that had hardly begun
/// or was all but over leaves other traces than one in the middle.
const SHARES: [u64; 9] = [1, 3, 10, 40, 128, 216, 246, 253, 255];

/// How much of the interrupted operation took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Torn {
    /// Nothing.
    Skip,
    /// The first half: of a write, rounded down to whole write units; of an erase, to bytes.
    Half,
    /// Everything but one of the bits that were to change; the seed picks it.
    AllButOneBit(u64),
    /// A random part of the bits that were to change; the seed picks how many and which.
    Bits(u64),
}

impl Torn {
    /// Lets the operation happen that far: `cells` are what is there, `wanted` what was to be.
    pub(crate) fn apply(self, cells: &mut [u8], wanted: &[u8], write_size: Option<u32>) {
        match self {
            Self::Skip => {}
            Self::Half => {
                let half = cells.len() / 2;
                let half = match write_size {
                    Some(unit) => half - half % unit.max(1) as usize,
                    None => half,
                };
                cells[..half].copy_from_slice(&wanted[..half]);
            }
            Self::AllButOneBit(seed) => {
                let changing: u64 =
                    cells.iter().zip(wanted).map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
                let mut left_out = (changing > 0).then(|| Random(seed).next() % changing);
                each_changing_bit(cells, wanted, || match &mut left_out {
                    Some(0) => {
                        left_out = None;
                        false
                    }
                    Some(more) => {
                        *more -= 1;
                        true
                    }
                    None => true,
                });
            }
            Self::Bits(seed) => {
                let mut random = Random(seed);
                let share = SHARES[(random.next() % SHARES.len() as u64) as usize];
                each_changing_bit(cells, wanted, || random.next() % 256 < share);
            }
        }
    }
}

fn each_changing_bit(cells: &mut [u8], wanted: &[u8], mut changes: impl FnMut() -> bool) {
    for (cell, wanted) in cells.iter_mut().zip(wanted) {
        let mut left = *cell ^ wanted;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            if changes() {
                *cell ^= bit;
            }
        }
    }
}

/// SplitMix64: small, seeded, good enough to pick bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(torn: Torn) -> u32 {
        let mut cells = [0xff; 16];
        torn.apply(&mut cells, &[0; 16], Some(8));
        cells.iter().map(|cell| cell.count_zeros()).sum()
    }

    #[test]
    fn each_class_leaves_what_it_says() {
        assert_eq!(changed(Torn::Skip), 0);
        assert_eq!(changed(Torn::Half), 64);
        for seed in 0..64 {
            assert_eq!(changed(Torn::AllButOneBit(seed)), 127);
            assert_eq!(changed(Torn::Bits(seed)), changed(Torn::Bits(seed)));
        }
        let spread: Vec<_> = (0..64).map(|seed| changed(Torn::Bits(seed))).collect();
        assert!(spread.iter().any(|n| *n < 32) && spread.iter().any(|n| *n > 96), "{spread:?}");
    }

    #[test]
    fn half_a_write_is_a_whole_number_of_write_units() {
        let mut cells = [0xff; 8];
        Torn::Half.apply(&mut cells, &[0; 8], Some(8));
        assert_eq!(cells, [0xff; 8]);
    }
}
