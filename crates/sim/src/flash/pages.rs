//! Bytes that are cheap to copy: copies share what neither of them has changed since.
//!
//! ```text
//! Pages ─▶ root ─▶ branch (64 pages) ─▶ page (1 KiB)      each shared until it is written to
//! ```
//! A copy costs one reference; the first change after it copies a page, its branch and the root.
//! Every page and branch remembers its hash until it changes, so that the hash of the whole costs
//! what has changed since it was last asked for.

use std::sync::{Arc, OnceLock};

/// Bytes of a page.
const PAGE: usize = 1024;
/// Pages of a branch.
const FAN: usize = 64;

#[derive(Clone, Debug)]
struct Page {
    bytes: [u8; PAGE],
    hash: OnceLock<u128>,
}

#[derive(Clone, Debug)]
struct Branch {
    pages: Vec<Arc<Page>>,
    hash: OnceLock<u128>,
}

/// So many bytes, from address 0 on.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    root: Arc<Vec<Arc<Branch>>>,
    len: usize,
}

impl Pages {
    /// `len` times `byte`.
    pub(crate) fn filled(byte: u8, len: usize) -> Self {
        let page = Arc::new(Page { bytes: [byte; PAGE], hash: OnceLock::new() });
        let branch = |pages| {
            Arc::new(Branch { pages: vec![Arc::clone(&page); pages], hash: OnceLock::new() })
        };
        let pages = len.div_ceil(PAGE);
        let full = branch(FAN);
        let mut root = vec![full; pages / FAN];
        if !pages.is_multiple_of(FAN) {
            root.push(branch(pages % FAN));
        }
        Self { root: Arc::new(root), len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Fills `buf` from `address` on. The caller has checked the bounds.
    pub(crate) fn read(&self, address: usize, buf: &mut [u8]) {
        let mut at = address;
        let mut rest = buf;
        while !rest.is_empty() {
            let piece = self.piece(at, rest.len());
            let (now, later) = rest.split_at_mut(piece.len());
            now.copy_from_slice(piece);
            at += now.len();
            rest = later;
        }
    }

    /// The bytes of `address..address + len`. The caller has checked the bounds.
    pub(crate) fn to_vec(&self, address: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(address, &mut bytes);
        bytes
    }

    /// The same without copying them, in pieces.
    pub(crate) fn pieces(&self, address: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut at = address;
        let end = address + len;
        std::iter::from_fn(move || {
            let piece = (at < end).then(|| self.piece(at, end - at))?;
            at += piece.len();
            Some(piece)
        })
    }

    /// The bytes at `at` up to the end of their page, `most` of them at most.
    fn piece(&self, at: usize, most: usize) -> &[u8] {
        let page = &self.root[at / PAGE / FAN].pages[at / PAGE % FAN];
        let from = at % PAGE;
        &page.bytes[from..PAGE.min(from + most)]
    }

    /// Puts `data` at `address`. The caller has checked the bounds.
    pub(crate) fn write(&mut self, address: usize, data: &[u8]) {
        let mut rest = data;
        self.change(address, data.len(), |cells| {
            let (now, later) = rest.split_at(cells.len());
            cells.copy_from_slice(now);
            rest = later;
        });
    }

    /// Sets `len` bytes from `address` on to `byte`.
    pub(crate) fn fill(&mut self, address: usize, len: usize, byte: u8) {
        self.change(address, len, |cells| cells.fill(byte));
    }

    /// Hands `len` bytes from `address` on to `change`, in pieces.
    pub(crate) fn change(&mut self, address: usize, len: usize, mut change: impl FnMut(&mut [u8])) {
        let end = address + len;
        let mut at = address;
        let root = Arc::make_mut(&mut self.root);
        while at < end {
            let branch = Arc::make_mut(&mut root[at / PAGE / FAN]);
            branch.hash = OnceLock::new();
            let page = Arc::make_mut(&mut branch.pages[at / PAGE % FAN]);
            page.hash = OnceLock::new();
            let from = at % PAGE;
            let to = PAGE.min(from + end - at);
            change(&mut page.bytes[from..to]);
            at += to - from;
        }
    }

    /// 128 bits that stand for the bytes, the same on every machine and in every run.
    pub(crate) fn hash(&self) -> u128 {
        let branches = self.root.iter().map(|branch| {
            *branch.hash.get_or_init(|| {
                let pages = branch.pages.iter();
                combined(pages.map(|page| *page.hash.get_or_init(|| of_bytes(&page.bytes))))
            })
        });
        combined(branches)
    }
}

/// Hashes in their order.
pub(crate) fn combined(hashes: impl IntoIterator<Item = u128>) -> u128 {
    let words = hashes.into_iter().flat_map(|hash| [hash as u64, (hash >> 64) as u64]);
    of_words(words)
}

fn of_bytes(bytes: &[u8; PAGE]) -> u128 {
    let (words, _) = bytes.as_chunks::<8>();
    of_words(words.iter().map(|word| u64::from_le_bytes(*word)))
}

/// Two multiply-and-fold chains side by side. Good at telling states apart, and no help against
/// somebody who makes up states that collide.
fn of_words(words: impl Iterator<Item = u64>) -> u128 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let (mut one, mut two) = (0x243f_6a88_85a3_08d3_u64, 0x1319_8a2e_0370_7344_u64);
    for word in words {
        one = fold(one ^ word, 0xa409_3822_299f_31d1);
        two = fold(two.rotate_left(23) ^ word, 0x082e_fa98_ec4e_6c89);
    }
    u128::from(one) << 64 | u128::from(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 3 * FAN * PAGE + 5 * PAGE + 100;

    #[test]
    fn what_is_written_is_read_across_every_border() {
        let mut pages = Pages::filled(0xff, LEN);
        let mut plain = vec![0xff; LEN];
        for (at, len) in [(0, 1), (PAGE - 3, 7), (FAN * PAGE - 1, 2), (5, 70 * PAGE), (LEN - 9, 9)]
        {
            let data: Vec<u8> = (0..len).map(|n| (n * 7 + at) as u8).collect();
            pages.write(at, &data);
            plain[at..at + len].copy_from_slice(&data);
            assert!(pages.to_vec(0, LEN) == plain, "{len} bytes at {at}");
            assert!(pages.pieces(3, LEN - 3).flatten().eq(&plain[3..]));
        }
        pages.fill(100, LEN - 100, 0);
        assert!(pages.to_vec(100, LEN - 100).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_copy_and_its_original_do_not_see_each_others_changes() {
        let mut one = Pages::filled(0, LEN);
        one.write(7, b"both");
        let mut two = one.clone();
        two.write(7, b"two!");
        one.write(PAGE, b"one!");
        assert_eq!((one.to_vec(7, 4), two.to_vec(7, 4)), (b"both".to_vec(), b"two!".to_vec()));
        assert_eq!(two.to_vec(PAGE, 4), [0; 4]);
    }

    #[test]
    fn the_hash_follows_the_bytes_and_nothing_else() {
        let mut pages = Pages::filled(0xff, LEN);
        let fresh = pages.hash();
        assert_eq!(fresh, Pages::filled(0xff, LEN).hash());
        let mut seen = vec![fresh];
        for at in [0, 8, PAGE, FAN * PAGE, LEN - 1] {
            pages.write(at, &[0x7f]);
            assert!(!seen.contains(&pages.hash()), "byte {at}");
            seen.push(pages.hash());
        }
        let mut copy = pages.clone();
        copy.write(0, &[0x7f]);
        assert_eq!(copy.hash(), pages.hash());
        pages.fill(0, LEN, 0xff);
        assert_eq!(pages.hash(), fresh);
        assert_eq!(
            fresh, 87491634019245851007524341060059021282,
            "another value makes recorded states worthless"
        );
    }
}
