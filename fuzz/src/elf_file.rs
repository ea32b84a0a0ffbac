//! Arbitrary bytes as an ELF file of firmware.
//!
//! Asserts: what is read from one is in the order of addresses and does not overlap, and is read
//! again, as the same bytes, once written out.

use updraft_sign::elf;
use updraft_sign::hex::Segment;

/// Takes one input.
pub fn run(data: &[u8]) {
    let Ok(segments) = elf::segments(data) else { return };
    for pair in segments.windows(2) {
        let end = u64::from(pair[0].address) + pair[0].bytes.len() as u64;
        assert!(end < pair[1].address.into(), "apart, or they would be one");
    }
    let last = segments.last().map_or(0, |it| u64::from(it.address) + it.bytes.len() as u64);
    // An address past the end of memory cannot be written.
    if last < 1 << 32 {
        let named: Vec<_> = segments.iter().map(|segment| ("part", segment.clone())).collect();
        let written = elf::emit(&named).expect("what was read is written");
        assert_eq!(elf::segments(&written), Ok(segments));
    }
}

/// One and two segments.
pub fn seeds() -> Vec<Vec<u8>> {
    let segment = |address, len| Segment { address, bytes: vec![7; len] };
    let one = elf::emit(&[("text", segment(0xc200, 40))]);
    let two = elf::emit(&[("boot", segment(0, 12)), ("app", segment(0xc000, 20))]);
    [one, two].into_iter().flatten().collect()
}
