//! How large a linked program is, by section.

/// What a program takes on the chip, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Code, constants and initial values.
    pub flash: u32,
    /// Variables.
    pub ram: u32,
}

/// The section is loaded to the chip, or takes room there.
const ALLOC: u32 = 2;
const WRITE: u32 = 1;
/// The section has no contents in the file.
const NOBITS: u32 = 8;

/// The footprint of a 32-bit little-endian ELF file; `None` for anything else.
pub fn footprint(file: &[u8]) -> Option<Footprint> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    if !file.starts_with(b"\x7fELF\x01\x01") {
        return None;
    }
    let (table, entry, count) = (word(32)? as usize, half(46)? as usize, half(48)? as usize);
    let mut sum = Footprint::default();
    for index in 0..count {
        let section = table + index * entry;
        let (kind, flags, size) = (word(section + 4)?, word(section + 8)?, word(section + 20)?);
        if flags & ALLOC == 0 {
            continue;
        }
        if kind != NOBITS {
            sum.flash += size;
        }
        if flags & WRITE != 0 {
            sum.ram += size;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and sections of these kinds, flags and sizes.
    fn elf(sections: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut file = vec![0; 52];
        file[..6].copy_from_slice(b"\x7fELF\x01\x01");
        file[32..36].copy_from_slice(&52u32.to_le_bytes());
        file[46..48].copy_from_slice(&40u16.to_le_bytes());
        file[48..50].copy_from_slice(&(sections.len() as u16).to_le_bytes());
        for (kind, flags, size) in sections {
            let mut section = [0; 40];
            section[4..8].copy_from_slice(&kind.to_le_bytes());
            section[8..12].copy_from_slice(&flags.to_le_bytes());
            section[20..24].copy_from_slice(&size.to_le_bytes());
            file.extend(section);
        }
        file
    }

    #[test]
    fn what_is_loaded_counts_and_variables_count_twice_if_they_begin_with_a_value() {
        let file = elf(&[(1, ALLOC, 1000), (1, ALLOC | WRITE, 10), (NOBITS, ALLOC | WRITE, 200)]);
        assert_eq!(footprint(&file), Some(Footprint { flash: 1010, ram: 210 }));
        assert_eq!(footprint(&elf(&[(1, 0, 77)])), Some(Footprint::default()));
        assert_eq!(footprint(b"#!/bin/sh"), None);
    }
}
