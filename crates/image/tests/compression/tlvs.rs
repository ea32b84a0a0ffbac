//! The TLVs of a compressed image: which ones it needs, and which ones the uncompressed one has.

use updraft_image::{
    CompressionError, Decoder, Decompressed, Flags, Header, HeaderError, RamWindow, TlvArea,
    TlvKind, TlvType,
};

use crate::support::{IMGTOOL, MARGIN, Plain, area, into_ram, into_slot};

/// A compressed image in parts, to be put together wrongly.
struct Parts {
    header: Header,
    body: Vec<u8>,
    protected: Vec<(TlvType, Vec<u8>)>,
    unprotected: Vec<(TlvType, Vec<u8>)>,
}

impl Parts {
    fn new() -> Self {
        let mut plain = Plain::new(vec![1; 300]);
        plain.protected =
            vec![(TlvType::SEC_CNT, vec![9, 0, 0, 0]), (TlvType(0xa0), b"custom".to_vec())];
        Self::of(&plain.compressed(&IMGTOOL, false))
    }

    fn of(image: &[u8]) -> Self {
        let (header, mut source) = (Header::parse(image).unwrap(), image);
        let (mut protected, mut unprotected) = (Vec::new(), Vec::new());
        let mut walk = TlvArea::open(&mut source, &header).unwrap().iter();
        while let Some(entry) = walk.next(&mut source).unwrap() {
            let start = entry.offset as usize;
            let payload = image[start..start + usize::from(entry.len)].to_vec();
            match entry.area {
                TlvKind::Protected => protected.push((entry.kind, payload)),
                TlvKind::Unprotected => unprotected.push((entry.kind, payload)),
            }
        }
        let start = usize::from(header.hdr_size);
        let body = image[start..start + header.img_size as usize].to_vec();
        Self { header, body, protected, unprotected }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn image(&self) -> Vec<u8> {
        let protected = match self.protected.as_slice() {
            [] => Vec::new(),
            tlvs => area(TlvKind::Protected, tlvs),
        };
        let header = Header {
            protect_tlv_size: protected.len() as u16,
            img_size: self.body.len() as u32,
            ..self.header
        };
        let mut image = header.emit().to_vec();
        image.resize(header.hdr_size.into(), 0xff);
        image.extend_from_slice(&self.body);
        image.extend_from_slice(&protected);
        image.extend_from_slice(&area(TlvKind::Unprotected, &self.unprotected));
        image
    }

    fn position(&self, kind: TlvType) -> usize {
        self.protected.iter().position(|(found, _)| *found == kind).unwrap()
    }
}

#[test]
fn the_uncompressed_image_keeps_all_tlvs_but_those_of_compression() {
    let found = Parts::of(&into_slot(&Parts::new().image(), 64).unwrap());
    let kinds: Vec<TlvType> = found.protected.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [TlvType::SEC_CNT, TlvType(0xa0)]);
    assert_eq!(found.header.flags, Flags::default());
    let kinds: Vec<TlvType> = found.unprotected.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [TlvType::SHA256]);
}

#[test]
fn a_protected_area_of_compression_tlvs_alone_disappears() {
    let plain = Plain::new(vec![1; 300]);
    let found = Parts::of(&into_slot(&plain.compressed(&IMGTOOL, true), 64).unwrap());
    assert_eq!((found.protected.len(), found.header.protect_tlv_size), (0, 0));
}

#[test]
fn every_signature_is_replaced_and_everything_else_stays_in_its_place() {
    let image = Parts::new()
        .with(|parts| {
            parts.protected.push((TlvType::DECOMP_SIGNATURE, b"of the uncompressed".to_vec()));
            parts.unprotected.push((TlvType::KEYHASH, vec![5; 32]));
            parts.unprotected.push((TlvType::ED25519, vec![6; 64]));
            parts.unprotected.push((TlvType(0xb0), Vec::new()));
        })
        .image();
    let found = Parts::of(&into_slot(&image, 7).unwrap());
    let expected = [
        (TlvType::KEYHASH, vec![5; 32]),
        (TlvType::ED25519, b"of the uncompressed".to_vec()),
        (TlvType(0xb0), Vec::new()),
    ];
    assert_eq!(found.unprotected[1..], expected);
}

#[test]
fn missing_repeated_and_misshapen_tlvs_are_refused() {
    let refused =
        |change: fn(&mut Parts)| into_slot(&Parts::new().with(change).image(), 64).unwrap_err();
    for kind in [TlvType::DECOMP_SIZE, TlvType::DECOMP_SHA] {
        let image = Parts::new().with(|parts| {
            let at = parts.position(kind);
            // Unprotected, it does not count.
            let tlv = parts.protected.remove(at);
            parts.unprotected.push(tlv);
        });
        assert_eq!(into_slot(&image.image(), 64), Err(CompressionError::Missing { kind }));
        let image = Parts::new().with(|parts| {
            let twice = parts.protected[parts.position(kind)].clone();
            parts.protected.push(twice);
        });
        assert_eq!(into_slot(&image.image(), 64), Err(CompressionError::Twice { kind }));
        let image = Parts::new().with(|parts| {
            let at = parts.position(kind);
            parts.protected[at].1.push(0);
        });
        assert!(matches!(
            into_slot(&image.image(), 64),
            Err(CompressionError::Tlv { entry }) if entry.kind == kind
        ));
    }
    // Signed, but nobody says what the uncompressed image's signature is.
    let error = refused(|parts| parts.unprotected.push((TlvType::ED25519, vec![6; 64])));
    assert_eq!(error, CompressionError::Missing { kind: TlvType::DECOMP_SIGNATURE });
    let error = refused(|parts| {
        let at = parts.position(TlvType::DECOMP_SIZE);
        parts.protected[at].1.fill(0);
    });
    assert!(matches!(error, CompressionError::Tlv { .. }), "an empty body");
    let error = refused(|parts| {
        let at = parts.position(TlvType::DECOMP_SIZE);
        parts.protected[at].1.fill(0xff);
    });
    assert_eq!(error, CompressionError::Header(HeaderError::Overflow));
}

#[test]
fn an_encrypted_image_has_to_say_where_its_stream_ends() {
    let encrypted = |size: Option<u32>| {
        let parts = Parts::new().with(|parts| {
            parts.header.flags = parts.header.flags | Flags::ENCRYPTED_AES128;
            let size = size.map(|size| size.to_le_bytes().to_vec());
            parts.protected.extend(size.map(|size| (TlvType::COMP_DEC_SIZE, size)));
            parts.body.extend([0; 11]);
        });
        (parts.body.len() as u32 - 11, into_slot(&parts.image(), 64))
    };
    let missing = CompressionError::Missing { kind: TlvType::COMP_DEC_SIZE };
    let (size, found) = encrypted(None);
    assert_eq!(found, Err(missing));
    assert!(encrypted(Some(size)).1.is_ok());
    for wrong in [size - 1, size + 1] {
        assert!(matches!(encrypted(Some(wrong)).1, Err(CompressionError::Stream { .. })));
    }
    for wrong in [size + 12, u32::MAX] {
        assert!(matches!(encrypted(Some(wrong)).1, Err(CompressionError::Tlv { .. })));
    }
    assert!(matches!(encrypted(Some(1)).1, Err(CompressionError::Stream { offset: 32 })));
}

#[test]
fn only_lzma2_with_its_parameters_is_decompressed() {
    let refused =
        |change: fn(&mut Parts)| into_slot(&Parts::new().with(change).image(), 64).unwrap_err();
    let flags = |flags| CompressionError::Flags { flags };
    let filter = Flags::COMPRESSED_ARM_THUMB;
    assert_eq!(refused(|parts| parts.header.flags = Flags::COMPRESSED_ARM_THUMB), flags(filter));
    let both = Flags::COMPRESSED_LZMA1 | Flags::COMPRESSED_LZMA2;
    assert_eq!(
        refused(|parts| parts.header.flags = parts.header.flags | Flags::COMPRESSED_LZMA1),
        flags(both)
    );
    for (at, found) in [(0, [41, 0x66]), (1, [0x0a, 0xe1]), (1, [0x0a, 0x68])] {
        let image = Parts::new().with(|parts| parts.body[at] = found[at]).image();
        assert_eq!(into_slot(&image, 64), Err(CompressionError::Parameters { found }));
    }
    let hdr_size = 31;
    let image = Parts::new().with(|parts| parts.header.hdr_size = hdr_size).image();
    let short = HeaderError::HeaderSize { hdr_size };
    assert_eq!(into_slot(&image, 64), Err(CompressionError::Header(short)));
}

#[test]
fn a_ring_has_to_hold_what_may_be_looked_back_at() {
    let dictionary = IMGTOOL.dictionary as usize;
    for (size, filtered, needed) in [
        (1000, false, 1000),
        (1000, true, 1000),
        (dictionary + 2, true, dictionary + 2),
        (dictionary + 9, false, dictionary),
        (dictionary + 9, true, dictionary + MARGIN),
    ] {
        let plain = Plain::new((0..size).map(|at| ((at * at) >> 8) as u8).collect());
        let image = plain.compressed(&IMGTOOL, filtered);
        assert!(into_ram(&image, 256, needed).unwrap() == plain.image());
        let (needed, reach) = (needed as u32, needed as u32 - 1);
        let error = into_ram(&image, 256, reach as usize).unwrap_err();
        assert_eq!(error, CompressionError::Window { needed, reach });
    }
}

#[test]
fn a_piece_of_nothing_is_refused() {
    let image = Parts::new().image();
    let (mut decoder, mut ring) = (Decoder::new(), [0; 300]);
    let window = RamWindow::new(image.as_slice(), &mut ring);
    let opened = Decompressed::open(window, &Header::parse(&image).unwrap(), &mut decoder, &mut []);
    assert!(matches!(opened, Err(CompressionError::NoRoom)));
}
