//! What imgtool wrote is read field by field, and written again byte for byte.

use crate::vectors::{ExpectedTlv, Tally, file, manifest};
use updraft_image::{
    Dependency, Digest, Flags, HashKind, Header, HeaderError, TlvArea, TlvEntry, TlvKind, TlvType,
    TlvWriter, Version, image_hash,
};

fn walk(image: &[u8], header: &Header) -> (TlvArea, Vec<TlvEntry>) {
    let mut source = image;
    let area = TlvArea::open(&mut source, header).unwrap();
    let mut entries = Vec::new();
    let mut tlvs = area.iter_bounded();
    while let Some(entry) = tlvs.next(&mut source).unwrap() {
        entries.push(entry);
    }
    (area, entries)
}

fn payload<'i>(image: &'i [u8], entry: &TlvEntry) -> &'i [u8] {
    &image[entry.offset as usize..][..entry.len.into()]
}

#[test]
fn every_field_and_tlv_of_every_image_is_read_and_written_again() {
    let mut tally = Tally::default();
    for vector in manifest().vectors {
        let Some(expect) = &vector.expect else {
            continue;
        };
        if vector.file.ends_with(".hex") {
            tally.exclude("Intel HEX: the same image in another wrapping");
            continue;
        }
        let image = file(&vector.file);
        if vector.file == "img/bigendian.bin" {
            let found = Header::MAGIC.swap_bytes();
            assert_eq!(Header::parse(&image), Err(HeaderError::Magic { found }));
            tally.exclude("big-endian: no boot loader for it");
            continue;
        }
        tally.run();
        let name = &vector.file;
        let header = Header::parse(&image).unwrap();
        let version: Version = expect.header.version.parse().unwrap();
        let expected = Header {
            load_addr: expect.header.load_addr,
            hdr_size: expect.header.hdr_size,
            protect_tlv_size: expect.header.protect_tlv_size,
            img_size: expect.header.img_size,
            flags: Flags(expect.header.flags),
            version,
            pad: expect.header.pad1,
        };
        assert_eq!(header, expected, "{name}");
        assert_eq!(header.emit(), image[..Header::SIZE], "{name}");
        assert_eq!(header.version.to_string(), expect.header.version, "{name}");
        assert_eq!(header.hashed_len().unwrap(), expect.hash_region_len, "{name}");

        let (area, entries) = walk(&image, &header);
        assert_eq!(area.end(), expect.image_end, "{name}");
        let sides = [(TlvKind::Protected, &expect.prot), (TlvKind::Unprotected, &expect.unprot)];
        for (kind, expected) in sides {
            let found: Vec<_> = entries.iter().filter(|entry| entry.area == kind).collect();
            assert_eq!(found.len(), expected.len(), "{name}");
            let mut buf = vec![0; 4096];
            let mut writer = TlvWriter::new(kind, &mut buf).unwrap();
            for (entry, ExpectedTlv { kind, len, offset, sha256 }) in found.iter().zip(expected) {
                // The manifest counts from the entry's type, ours from its payload.
                assert_eq!((entry.kind.0, entry.len, entry.offset), (*kind, *len, *offset + 4));
                let payload = payload(&image, entry);
                assert_eq!(Digest::of(HashKind::Sha256, payload).to_string(), *sha256, "{name}");
                writer.push(entry.kind, payload).unwrap();
            }
            let (start, end) = match kind {
                TlvKind::Protected => (header.tlv_offset().unwrap(), area.protected_end()),
                TlvKind::Unprotected => (area.protected_end(), area.end()),
            };
            if !expected.is_empty() {
                assert_eq!(writer.finish(), &image[start as usize..end as usize], "{name}");
            }
        }

        let hash = entries.iter().find_map(|entry| HashKind::from_tlv(entry.kind)).unwrap();
        if !header.flags.intersects(Flags::ENCRYPTED) || name.contains("clear") {
            let computed = image_hash(&mut image.as_slice(), &header, hash).unwrap();
            assert_eq!(Some(computed.to_string()), vector.image_hash, "{name}");
        }
    }
    assert_eq!(tally.report("images with an expectation"), (97, 102));
}

#[test]
fn a_dependency_names_an_image_and_its_lowest_version() {
    let image = file("img/dep2.bin");
    let (_, entries) = walk(&image, &Header::parse(&image).unwrap());
    let dependencies: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == TlvType::DEPENDENCY)
        .map(|entry| Dependency::from_bytes(payload(&image, entry).try_into().unwrap()))
        .collect();
    let expected = [
        Dependency { image: 0, version: Version::new(1, 0, 0, 0) },
        Dependency { image: 1, version: Version::new(2, 3, 4, 5) },
    ];
    assert_eq!(dependencies, expected);
    assert_eq!(expected[1].to_bytes(), [1, 0, 0, 0, 2, 3, 4, 0, 5, 0, 0, 0]);
}

#[test]
fn a_version_is_written_as_imgtool_reads_it() {
    for (text, version) in [
        ("0", Version::new(0, 0, 0, 0)),
        ("10.20", Version::new(10, 20, 0, 0)),
        ("1.2.3", Version::new(1, 2, 3, 0)),
        ("255.255.65535+4294967295", Version::new(255, 255, 65535, u32::MAX)),
    ] {
        assert_eq!(text.parse(), Ok(version));
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    for text in ["", "1.", "01.2.3", "1.2.3-rc1", "1.2.x", "1.2.3.4", "+1", "1.2.3+", "256", " 1"] {
        assert!(text.parse::<Version>().is_err(), "{text:?}");
    }
}
