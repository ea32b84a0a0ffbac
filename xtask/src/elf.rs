//! Linked programs: how large they are, by section, and what goes onto the chip, by segment.

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
/// The segment is loaded to the chip.
const LOAD: u32 = 1;
/// The section is the table of symbols.
const SYMBOLS: u32 = 2;
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

/// The value of a symbol in a 32-bit little-endian ELF file; `None` if it has no such symbol.
pub fn symbol(file: &[u8], name: &str) -> Option<u32> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    if !file.starts_with(b"\x7fELF\x01\x01") {
        return None;
    }
    let (table, entry, count) = (word(32)? as usize, half(46)? as usize, half(48)? as usize);
    let sections = (0..count).map(|index| table + index * entry);
    let symbols = sections.clone().find(|section| word(section + 4) == Some(SYMBOLS))?;
    let names = sections.clone().nth(word(symbols + 24)? as usize)?;
    let (from, size) = (word(symbols + 16)? as usize, word(symbols + 20)? as usize);
    let names = word(names + 16)? as usize;
    (from..from + size).step_by(16).find_map(|at| {
        let named = file.get(names + word(at)? as usize..)?;
        let rest = named.strip_prefix(name.as_bytes())?;
        (rest.first() == Some(&0)).then(|| word(at + 4))?
    })
}

/// What a 32-bit little-endian ELF file puts onto a chip: from which address on, and the bytes. Gaps
/// are filled as if erased. `None` for anything else.
pub fn image(file: &[u8]) -> Option<(u32, Vec<u8>)> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    if !file.starts_with(b"\x7fELF\x01\x01") {
        return None;
    }
    let (table, entry, count) = (word(28)? as usize, half(42)? as usize, half(44)? as usize);
    let mut segments = Vec::new();
    for segment in (0..count).map(|index| table + index * entry) {
        let (kind, offset, size) =
            (word(segment)?, word(segment + 4)? as usize, word(segment + 16)?);
        if kind == LOAD && size > 0 {
            let bytes = file.get(offset..offset + size as usize)?;
            segments.push((word(segment + 12)?, bytes));
        }
    }
    let start = segments.iter().map(|(address, _)| *address).min()?;
    let mut bytes = Vec::new();
    for (address, segment) in segments {
        let at = (address - start) as usize;
        let end = at + segment.len();
        bytes.resize(bytes.len().max(end), 0xff);
        bytes[at..end].copy_from_slice(segment);
    }
    Some((start, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_lie_where_they_are_loaded_and_gaps_are_erased() {
        let mut file = vec![0; 52];
        file[..6].copy_from_slice(b"\x7fELF\x01\x01");
        file[28] = 52;
        file[42] = 32;
        file[44] = 2;
        for (offset, address, size) in [(116u32, 0x106u32, 2u32), (118, 0x100, 4)] {
            let mut segment = [0; 32];
            segment[0] = 1;
            segment[4..8].copy_from_slice(&offset.to_le_bytes());
            segment[12..16].copy_from_slice(&address.to_le_bytes());
            segment[16..20].copy_from_slice(&size.to_le_bytes());
            file.extend(segment);
        }
        file.extend([5, 6, 1, 2, 3, 4]);
        assert_eq!(image(&file), Some((0x100, vec![1, 2, 3, 4, 0xff, 0xff, 5, 6])));
        assert_eq!(image(b"#!/bin/sh"), None);
    }

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
    fn a_symbol_is_found_by_its_whole_name() {
        // No section, symbols with their names in section 2, and the names.
        let mut file = elf(&[(0, 0, 0), (SYMBOLS, 0, 32), (3, 0, 12)]);
        file[92 + 16..92 + 20].copy_from_slice(&172u32.to_le_bytes());
        file[92 + 24..92 + 28].copy_from_slice(&2u32.to_le_bytes());
        file[132 + 16..132 + 20].copy_from_slice(&204u32.to_le_bytes());
        for (name, value) in [(0u32, 7u32), (6, 8)] {
            file.extend([name, value, 0, 0].map(u32::to_le_bytes).as_flattened());
        }
        file.extend(b"_size\0_siz\0\0");
        assert_eq!(symbol(&file, "_size"), Some(7));
        assert_eq!(symbol(&file, "_siz"), Some(8));
        assert_eq!(symbol(&file, "_si"), None);
        assert_eq!(symbol(b"#!/bin/sh", "_size"), None);
    }

    #[test]
    fn what_is_loaded_counts_and_variables_count_twice_if_they_begin_with_a_value() {
        let file = elf(&[(1, ALLOC, 1000), (1, ALLOC | WRITE, 10), (NOBITS, ALLOC | WRITE, 200)]);
        assert_eq!(footprint(&file), Some(Footprint { flash: 1010, ram: 210 }));
        assert_eq!(footprint(&elf(&[(1, 0, 77)])), Some(Footprint::default()));
        assert_eq!(footprint(b"#!/bin/sh"), None);
    }
}
