//! What a power cut in the middle of an operation leaves behind.
//!
//! | class | what is left | on |
//! |---|---|---|
//! | nothing | everything as it was | every kind |
//! | half | the first half done; a self-erasing row is left erased | every kind |
//! | one bit | one of the bits changed | every kind |
//! | all but one bit | everything done except for one bit | every kind |
//! | bits | any part of the bits changed | every kind |
//! | unstable | the same, and some of the bits read differently from time to time | kinds without an error-correcting code |
//! | unreadable | words that cannot be read | words with an error-correcting code |
//!
//! A row that erases itself is erased first and programmed then; it can be torn in either half.

use updraft_flash::Kind;

/// Chances out of 256 that a bit changes, for [`Torn::Bits`]: an operation that had hardly begun
/// or was all but over leaves other traces than one in the middle.
const SHARES: [u64; 9] = [1, 3, 10, 40, 128, 216, 246, 253, 255];

/// Bytes at the end of a slot that its flags and its magic are in, at most.
const FIELDS: usize = 128;

/// How much of the interrupted operation took place.
///
/// On a device of a kind that cannot end in one of the last two, they are as [`Torn::Bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Torn {
    /// Nothing.
    Skip,
    /// The first half: of a write, rounded down to whole write units; of an erase, to bytes. A
    /// self-erasing row has been erased and not programmed.
    Half,
    /// One of the bits that were to change; the seed picks it. It is one near the end, where a slot
    /// has its trailer.
    OneBit(u64),
    /// Everything but one of the bits that were to change; the seed picks it.
    AllButOneBit(u64),
    /// A random part of the bits that were to change; the seed picks how many and which.
    Bits(u64),
    /// The same, and some of the bits are unstable: every read gives one value or the other, until
    /// they are programmed or erased. The seed picks which bits, and what reads give.
    Unstable(u64),
    /// Words whose error-correcting code does not match: reading them fails until they are
    /// erased. The seed picks which.
    Unreadable(u64),
}

/// How what is being written survives being damaged. It decides which classes a bootloader has
/// to withstand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// There is one copy, without a check: MCUboot's trailers and status records.
    Plain,
    /// There are several copies, each with a check, of which one is whole at any time: a status
    /// area, records of our own.
    Redundant,
}

impl Torn {
    /// Every class in which an operation on flash of `kind` can end, each with `seed`.
    pub fn classes(kind: Kind, seed: u64) -> impl Iterator<Item = Self> {
        let all = [
            Self::Skip,
            Self::Half,
            Self::OneBit(seed),
            Self::AllButOneBit(seed),
            Self::Bits(seed),
            Self::Unstable(seed),
            Self::Unreadable(seed),
        ];
        all.into_iter().filter(move |torn| torn.occurs_on(kind))
    }

    /// Whether an operation on flash of `kind` can end like this.
    pub const fn occurs_on(self, kind: Kind) -> bool {
        match self {
            Self::Skip | Self::Half | Self::OneBit(_) | Self::AllButOneBit(_) | Self::Bits(_) => {
                true
            }
            Self::Unstable(_) => kind.can_be_unstable(),
            Self::Unreadable(_) => kind.can_be_unreadable(),
        }
    }

    /// Whether a bootloader must survive this where `format` is written. What it need not survive
    /// is counted and reported: no reader of a single copy without a check can tell an unstable
    /// cell from a good one, or knows what stood in one that cannot be read.
    pub const fn gates(self, format: Format) -> bool {
        match self {
            Self::Skip | Self::Half | Self::OneBit(_) | Self::AllButOneBit(_) | Self::Bits(_) => {
                true
            }
            Self::Unstable(_) | Self::Unreadable(_) => matches!(format, Format::Redundant),
        }
    }

    /// The same class with another seed, if it has one.
    pub const fn with_seed(self, seed: u64) -> Self {
        match self {
            Self::Skip | Self::Half => self,
            Self::OneBit(_) => Self::OneBit(seed),
            Self::AllButOneBit(_) => Self::AllButOneBit(seed),
            Self::Bits(_) => Self::Bits(seed),
            Self::Unstable(_) => Self::Unstable(seed),
            Self::Unreadable(_) => Self::Unreadable(seed),
        }
    }

    /// The seed, if it has one.
    pub const fn seed(self) -> Option<u64> {
        match self {
            Self::Skip | Self::Half => None,
            Self::OneBit(seed)
            | Self::AllButOneBit(seed)
            | Self::Bits(seed)
            | Self::Unstable(seed)
            | Self::Unreadable(seed) => Some(seed),
        }
    }

    /// Lets the operation happen that far.
    pub(crate) fn apply(self, change: &Change<'_>) -> Aftermath {
        let old = change.old;
        if !self.occurs_on(change.kind) {
            return Self::Bits(self.seed().unwrap_or_default()).apply(change);
        }
        match self {
            Self::Skip => Aftermath::of(old.to_vec()),
            Self::Half => change.half(),
            Self::OneBit(seed) => Aftermath::of(change.one_bit(&mut Random(seed))),
            Self::AllButOneBit(seed) => {
                let [.., (from, to)] = change.stages();
                let changing: u64 =
                    from.iter().zip(to).map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
                let mut left_out = (changing > 0).then(|| Random(seed).next() % changing);
                let changes = || match &mut left_out {
                    Some(0) => {
                        left_out = None;
                        false
                    }
                    Some(more) => {
                        *more -= 1;
                        true
                    }
                    None => true,
                };
                Aftermath::of(each_changing_bit(from, to, changes))
            }
            Self::Bits(seed) => {
                let mut random = Random(seed);
                let share = SHARES[(random.next() % SHARES.len() as u64) as usize];
                let (from, to) = change.stage(&mut random);
                Aftermath::of(each_changing_bit(from, to, || random.next() % 256 < share))
            }
            Self::Unstable(seed) => change.unstable(&mut Random(seed)),
            Self::Unreadable(seed) => change.unreadable(&mut Random(seed)),
        }
    }
}

/// What an operation was to change.
pub(crate) struct Change<'c> {
    pub(crate) kind: Kind,
    /// Bytes of a word or row.
    pub(crate) write_size: u32,
    /// Whether the operation is a write, not an erase.
    pub(crate) is_write: bool,
    /// The same bytes before, erased, and after.
    pub(crate) old: &'c [u8],
    pub(crate) erased: &'c [u8],
    pub(crate) wanted: &'c [u8],
}

/// What a torn operation left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Aftermath {
    pub(crate) bytes: Vec<u8>,
    /// How many bytes from the start on were dealt with entirely.
    pub(crate) done: usize,
    /// Bits that are unstable, by offset.
    pub(crate) unstable: Vec<(usize, u8)>,
    /// Offsets of words that cannot be read.
    pub(crate) unreadable: Vec<usize>,
}

impl Aftermath {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, done: 0, unstable: Vec::new(), unreadable: Vec::new() }
    }
}

/// What bits change from, and what to.
type Stage<'c> = (&'c [u8], &'c [u8]);

impl<'c> Change<'c> {
    /// The write of a row that is not only erased goes by way of the erased row.
    fn stages(&self) -> [Stage<'c>; 2] {
        let Self { old, erased, wanted, .. } = *self;
        if self.kind.writes_replace() && wanted != erased {
            [(old, erased), (erased, wanted)]
        } else {
            [(old, wanted); 2]
        }
    }

    fn stage(&self, random: &mut Random) -> Stage<'c> {
        let [first, second] = self.stages();
        // An erased row has nothing to be torn in before it is programmed.
        let either = first != second && first.0 != first.1;
        if either && !random.next().is_multiple_of(2) { first } else { second }
    }

    /// As bytes are picked before bits, a field is as likely as content beside it.
    fn one_bit(&self, random: &mut Random) -> Vec<u8> {
        let (from, to) = self.stage(random);
        let mut bytes = from.to_vec();
        let changing = |start: usize| -> Vec<usize> {
            (start..from.len()).filter(|at| from[*at] != to[*at]).collect()
        };
        let mut places = changing(from.len().saturating_sub(FIELDS));
        if places.is_empty() {
            places = changing(0);
        }
        if places.is_empty() {
            return bytes;
        }
        let at = places[(random.next() % places.len() as u64) as usize];
        let mut bits = from[at] ^ to[at];
        for _ in 0..random.next() % u64::from(bits.count_ones()) {
            bits &= bits - 1;
        }
        bytes[at] ^= bits & bits.wrapping_neg();
        bytes
    }

    fn half(&self) -> Aftermath {
        let Self { old, erased, wanted, .. } = *self;
        if self.kind.writes_replace() && self.is_write {
            return Aftermath::of(erased.to_vec());
        }
        let half = old.len() / 2;
        let unit = if self.is_write { self.write_size.max(1) as usize } else { 1 };
        let half = half - half % unit;
        let bytes = [&wanted[..half], &old[half..]].concat();
        Aftermath { done: half, ..Aftermath::of(bytes) }
    }

    fn unstable(&self, random: &mut Random) -> Aftermath {
        let share = SHARES[(random.next() % SHARES.len() as u64) as usize];
        let (from, to) = self.stage(random);
        let mut left = Aftermath::of(each_changing_bit(from, to, || random.next() % 256 < share));
        let mask = |random: &mut Random, at: usize| {
            let changing = from[at] ^ to[at];
            changing & random.next() as u8 & random.next() as u8
        };
        left.unstable = (0..from.len())
            .filter(|at| from[*at] != to[*at])
            .map(|at| (at, mask(random, at)))
            .filter(|(_, mask)| *mask != 0)
            .collect();
        if left.unstable.is_empty() {
            let changing = (0..from.len()).find(|at| from[*at] != to[*at]);
            left.unstable.extend(changing.map(|at| (at, from[at] ^ to[at])));
        }
        left
    }

    /// Words are written one after another, and erased all at once.
    fn unreadable(&self, random: &mut Random) -> Aftermath {
        let Self { old, erased, wanted, .. } = *self;
        let word = self.write_size.max(1) as usize;
        let share = SHARES[(random.next() % SHARES.len() as u64) as usize];
        let mut left = Aftermath::of(old.to_vec());
        let torn: Vec<usize> = if self.is_write {
            left.done = (random.next() % (old.len() / word).max(1) as u64) as usize * word;
            left.bytes[..left.done].copy_from_slice(&wanted[..left.done]);
            vec![left.done]
        } else {
            let programmed = (0..old.len()).step_by(word);
            let mut programmed =
                programmed.filter(|at| old[*at..][..word] != erased[*at..][..word]);
            let first = programmed.next();
            let more: Vec<_> = programmed.filter(|_| random.next() % 256 < share).collect();
            first.into_iter().chain(more).collect()
        };
        for at in torn {
            let end = old.len().min(at + word);
            let bits =
                each_changing_bit(&old[at..end], &wanted[at..end], || random.next() % 256 < share);
            left.bytes[at..end].copy_from_slice(&bits);
            left.unreadable.push(at);
        }
        left
    }
}

/// `from` with those of its bits as in `to` for which `changes` says so.
fn each_changing_bit(from: &[u8], to: &[u8], mut changes: impl FnMut() -> bool) -> Vec<u8> {
    let mut cells = from.to_vec();
    for (cell, to) in cells.iter_mut().zip(to) {
        let mut left = *cell ^ to;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            if changes() {
                *cell ^= bit;
            }
        }
    }
    cells
}

/// SplitMix64: small, seeded, good enough to pick bits.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
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

    const NOR: Kind = Kind::Nor;

    fn write<'c>(kind: Kind, size: u32, old: &'c [u8], wanted: &'c [u8]) -> Change<'c> {
        let erased = &[0xff; 64][..old.len()];
        Change { kind, write_size: size, is_write: true, old, erased, wanted }
    }

    fn changed(torn: Torn) -> u32 {
        let left = torn.apply(&write(NOR, 8, &[0xff; 16], &[0; 16]));
        left.bytes.iter().map(|cell| cell.count_zeros()).sum()
    }

    #[test]
    fn each_class_leaves_what_it_says() {
        assert_eq!(changed(Torn::Skip), 0);
        assert_eq!(changed(Torn::Half), 64);
        assert_eq!(changed(Torn::OneBit(1)), 1);
        for seed in 0..64 {
            assert_eq!(changed(Torn::AllButOneBit(seed)), 127);
            assert_eq!(changed(Torn::Bits(seed)), changed(Torn::Bits(seed)));
        }
        let spread: Vec<_> = (0..64).map(|seed| changed(Torn::Bits(seed))).collect();
        assert!(spread.iter().any(|n| *n < 32) && spread.iter().any(|n| *n > 96), "{spread:?}");
    }

    #[test]
    fn half_a_write_is_a_whole_number_of_write_units() {
        let left = Torn::Half.apply(&write(NOR, 8, &[0xff; 8], &[0; 8]));
        assert_eq!(left, Aftermath::of(vec![0xff; 8]));
    }

    #[test]
    fn half_a_row_is_an_erased_row() {
        let left = Torn::Half.apply(&write(Kind::SelfErasingRows, 16, &[1; 16], &[2; 16]));
        assert_eq!(left, Aftermath::of(vec![0xff; 16]));
    }

    #[test]
    fn a_torn_row_is_on_its_way_to_erased_or_from_there() {
        let change = write(Kind::SelfErasingRows, 16, &[0x0f; 16], &[0xf0; 16]);
        let (mut erasing, mut programming) = (0, 0);
        for seed in 0..200 {
            let bytes = Torn::Bits(seed).apply(&change).bytes;
            let on_the_way_there = bytes.iter().all(|byte| byte & 0x0f == 0x0f);
            let on_the_way_back = bytes.iter().all(|byte| byte & 0xf0 == 0xf0);
            assert!(on_the_way_there || on_the_way_back, "{bytes:02x?}");
            erasing += u32::from(!on_the_way_back);
            programming += u32::from(!on_the_way_there);
            let bytes = Torn::AllButOneBit(seed).apply(&change).bytes;
            let missing: u32 = bytes.iter().map(|byte| (byte ^ 0xf0).count_ones()).sum();
            assert_eq!(missing, 1, "{bytes:02x?}");
        }
        assert!(erasing > 20 && programming > 20, "{erasing}, {programming}");
    }

    #[test]
    fn only_bits_that_were_to_change_are_unstable_and_at_least_one_is() {
        for seed in 0..200 {
            let left = Torn::Unstable(seed).apply(&write(NOR, 1, &[0xff, 0xff], &[0xff, 0xfe]));
            assert_eq!(left.unstable, [(1, 1)]);
        }
    }

    #[test]
    fn a_torn_write_leaves_one_word_unreadable_and_those_before_it_done() {
        let mut places = [false; 4];
        for seed in 0..100 {
            let change = write(Kind::EccWords, 8, &[0xff; 32], &[0x5a; 32]);
            let left = Torn::Unreadable(seed).apply(&change);
            let [at] = left.unreadable[..] else { panic!("{left:?}") };
            assert_eq!(left.done, at);
            assert!(left.bytes[..at].iter().all(|byte| *byte == 0x5a));
            assert!(left.bytes[at + 8..].iter().all(|byte| *byte == 0xff));
            places[at / 8] = true;
        }
        assert_eq!(places, [true; 4]);
    }

    #[test]
    fn a_torn_erase_leaves_unreadable_only_what_was_programmed() {
        let old = [[0; 8], [0xff; 8], [0; 8], [0; 8]].concat();
        let change = Change { is_write: false, ..write(Kind::EccWords, 8, &old, &[0xff; 32]) };
        let mut all = false;
        for seed in 0..100 {
            let left = Torn::Unreadable(seed).apply(&change);
            assert!(left.unreadable.starts_with(&[0]) && !left.unreadable.contains(&8));
            all |= left.unreadable == [0, 16, 24];
        }
        assert!(all);
    }

    #[test]
    fn every_kind_has_its_classes_and_the_hard_ones_gate_where_there_is_redundancy() {
        let limited = Kind::NorLimited { word: 4, programs: 2 };
        let common =
            [Torn::Skip, Torn::Half, Torn::OneBit(7), Torn::AllButOneBit(7), Torn::Bits(7)];
        for (kind, hard) in [
            (Kind::Nor, Torn::Unstable(7)),
            (limited, Torn::Unstable(7)),
            (Kind::SelfErasingRows, Torn::Unstable(7)),
            (Kind::EccWords, Torn::Unreadable(7)),
        ] {
            let classes: Vec<_> = Torn::classes(kind, 7).collect();
            assert_eq!(classes, [&common[..], &[hard]].concat(), "{kind:?}");
            assert!(common.iter().all(|torn| torn.gates(Format::Plain)));
            assert!(classes.iter().all(|torn| torn.gates(Format::Redundant)));
            assert!(!hard.gates(Format::Plain));
        }
    }

    #[test]
    fn a_class_that_a_kind_cannot_end_in_is_a_part_of_the_bits() {
        let change = write(NOR, 8, &[0xff; 16], &[0; 16]);
        assert_eq!(Torn::Unreadable(5).apply(&change), Torn::Bits(5).apply(&change));
        let change = write(Kind::EccWords, 8, &[0xff; 16], &[0; 16]);
        assert_eq!(Torn::Unstable(5).apply(&change), Torn::Bits(5).apply(&change));
    }
}
