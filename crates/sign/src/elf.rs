//! ELF files: what linkers write, and what debuggers and programmers read. Only what is stored in
//! flash matters here: the loadable segments, at the addresses that they are stored at.

use object::elf;
use object::endian::Endianness;
use object::read::elf::{ElfFile32, ProgramHeader as _, SectionHeader as _};
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Writer};

use crate::hex::{LARGEST, Segment, flatten};

/// Why a file is no ELF file of firmware, or none can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The file cannot be read.
    #[error("no 32-bit ELF file: {0}")]
    Format(String),
    /// Nothing in it is loaded.
    #[error("the ELF file has no loadable segment")]
    Empty,
    /// Two segments give the same byte.
    #[error("two segments of the ELF file lie at {0:#x}")]
    Overlap(u32),
    /// The data is too far apart.
    #[error("the segments of the ELF file span {0} bytes")]
    Span(u64),
}

impl From<object::Error> for ElfError {
    fn from(error: object::Error) -> Self {
        Self::Format(error.to_string())
    }
}

/// Whether `bytes` begin as ELF files do.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(&elf::ELFMAG)
}

/// Reads what is stored, at its physical addresses, in their order; there is at least one segment.
///
/// Linkers may put the file's own headers into the first segment. So the sections count that are
/// allocated and have content, as `objcopy` takes them; whole segments only where a file has no
/// sections.
pub fn segments(bytes: &[u8]) -> Result<Vec<Segment>, ElfError> {
    let file = ElfFile32::<Endianness>::parse(bytes)?;
    let endian = file.endian();
    let sections = file.elf_section_table();
    let mut found = Vec::new();
    for header in file.elf_program_headers() {
        if header.p_type(endian) != elf::PT_LOAD || header.p_filesz(endian) == 0 {
            continue;
        }
        let (start, len) = header.file_range(endian);
        if sections.is_empty() {
            found.push((header.p_paddr(endian), start, len));
        }
        for section in sections.iter() {
            let Some((offset, size)) = section.file_range(endian) else { continue };
            let inside =
                offset >= start && offset.saturating_add(size) <= start.saturating_add(len);
            if section.sh_flags(endian).contains(elf::SHF_ALLOC) && size > 0 && inside {
                // Within the segment, whose length is a u32.
                let address = header.p_paddr(endian).wrapping_add((offset - start) as u32);
                found.push((address, offset, size));
            }
        }
    }
    found.sort_unstable();
    let mut segments: Vec<Segment> = Vec::new();
    // Many headers may name the same bytes.
    let total = found.iter().fold(0u64, |sum, (_, _, size)| sum.saturating_add(*size));
    if total > LARGEST {
        return Err(ElfError::Span(total));
    }
    for (address, offset, size) in found {
        let data = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            bytes.get(start..end)
        });
        let data = data.ok_or_else(|| ElfError::Format("a segment lies beyond its end".into()))?;
        let end = segments.last().map(|last| u64::from(last.address) + last.bytes.len() as u64);
        match (segments.last_mut(), end) {
            (Some(_), Some(end)) if end > u64::from(address) => {
                return Err(ElfError::Overlap(address));
            }
            (Some(last), Some(end)) if end == u64::from(address) => {
                last.bytes.extend_from_slice(data)
            }
            _ => segments.push(Segment { address, bytes: data.to_vec() }),
        }
    }
    if segments.is_empty() { Err(ElfError::Empty) } else { Ok(segments) }
}

/// The same in one segment; gaps are filled with 0xff.
pub fn parse(bytes: &[u8]) -> Result<Segment, ElfError> {
    flatten(&segments(bytes)?, 0xff).map_err(ElfError::Span)
}

/// Writes segments for an Arm processor; each is a section of its name, too, for tools that look
/// for sections.
pub fn emit(segments: &[(&str, Segment)]) -> Result<Vec<u8>, ElfError> {
    let fail = |error: object::write::Error| ElfError::Format(error.to_string());
    let mut file = Vec::new();
    let names: Vec<_> = segments.iter().map(|(name, _)| format!(".{name}")).collect();
    let mut writer = Writer::new_single_phase(Endianness::Little, false, &mut file);
    let header = FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_ARM,
        e_entry: 0,
        e_flags: elf::EF_ARM_EABI_VER5,
    };
    writer.write_file_header(&header).map_err(fail)?;
    writer.write_program_headers_placeholder(segments.len() as u32);
    let mut placed = Vec::new();
    for ((_, segment), name) in segments.iter().zip(&names) {
        let offset = writer.write_align(4);
        writer.write(&segment.bytes);
        placed.push((offset, segment, writer.add_section_name(name.as_bytes())));
    }
    writer.write_shstrtab().map_err(fail)?;
    writer.write_null_section_header();
    for (offset, segment, name) in &placed {
        writer.write_section_header(&SectionHeader {
            sh_name: writer.section_name_offset(Some(*name)),
            sh_type: elf::SHT_PROGBITS,
            sh_flags: elf::SHF_ALLOC,
            sh_addr: segment.address.into(),
            sh_offset: *offset,
            sh_size: segment.bytes.len() as u64,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        });
    }
    writer.write_shstrtab_section_header();
    let headers: Vec<_> = placed.iter().map(|(offset, it, _)| load(*offset, it)).collect();
    let mut start = Vec::new();
    writer.write_headers_to(&mut start, &headers).map_err(fail)?;
    file[..start.len()].copy_from_slice(&start);
    Ok(file)
}

fn load(offset: u64, segment: &Segment) -> ProgramHeader {
    let (address, size) = (u64::from(segment.address), segment.bytes.len() as u64);
    ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: elf::PF_R,
        p_offset: offset,
        p_vaddr: address,
        p_paddr: address,
        p_filesz: size,
        p_memsz: size,
        p_align: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{ElfError, Segment, emit, is_elf, parse, segments};

    fn segment(address: u32, byte: u8, len: usize) -> Segment {
        Segment { address, bytes: vec![byte; len] }
    }

    #[test]
    fn segments_survive_their_file() {
        let parts = [("bootloader", segment(0x100, 1, 7)), ("primary", segment(0x110, 2, 3))];
        let file = emit(&parts).unwrap();
        assert!(is_elf(&file));
        let read = parse(&file).unwrap();
        assert_eq!((read.address, read.bytes.len()), (0x100, 0x13));
        assert_eq!(read.bytes[..8], [1, 1, 1, 1, 1, 1, 1, 0xff]);
        assert_eq!(read.bytes[0x10..], [2; 3]);
    }

    /// What a linker makes that puts the file's headers into the first segment.
    #[test]
    fn only_what_sections_hold_is_stored() {
        let mut file = emit(&[("text", segment(0xc200, 7, 0x20))]).unwrap();
        // The program header, behind the file's 52 bytes: offset, addresses and sizes.
        let word = |file: &mut Vec<u8>, at: usize, value: u32| {
            file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        let offset = u32::from_le_bytes(file[56..60].try_into().unwrap());
        word(&mut file, 56, 0);
        word(&mut file, 60, 0xc200 - offset);
        word(&mut file, 64, 0xc200 - offset);
        word(&mut file, 68, offset + 0x20);
        word(&mut file, 72, offset + 0x20);
        assert_eq!(segments(&file).unwrap(), [segment(0xc200, 7, 0x20)]);
    }

    #[test]
    fn files_of_anything_else_are_refused() {
        assert!(matches!(parse(b"\x7fELF"), Err(ElfError::Format(_))));
        assert_eq!(parse(&emit(&[]).unwrap()), Err(ElfError::Empty));
        let twice = [("a", segment(4, 1, 4)), ("b", segment(6, 1, 4))];
        assert_eq!(parse(&emit(&twice).unwrap()), Err(ElfError::Overlap(6)));
        let far = [("a", segment(0, 1, 4)), ("b", segment(0x4000_0000, 1, 4))];
        assert_eq!(parse(&emit(&far).unwrap()), Err(ElfError::Span(0x4000_0004)));
        let mut short = emit(&[("a", segment(0, 1, 400))]).unwrap();
        short.truncate(200);
        assert!(parse(&short).is_err());
    }
}
