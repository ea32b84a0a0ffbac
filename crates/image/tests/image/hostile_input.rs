//! Whatever the bytes, validation answers; and only the signed image is accepted.

use std::sync::LazyLock;

use crate::vectors::{file, manifest};
use proptest::prelude::*;
use updraft_image::{
    BoardIds, Dependency, Flags, HashKind, HashOnly, Header, PublicKey, Rules, Signed, Software,
    Source, Strictness, TlvArea, TlvKind, TlvType, TlvWriter, Version, image_hash, validate,
};

struct Original {
    image: Vec<u8>,
    key: Vec<u8>,
}

static ORIGINALS: LazyLock<Vec<Original>> = LazyLock::new(|| {
    let manifest = manifest();
    [
        ("img/ecdsa-p256.bin", "ecdsa-p256"),
        ("img/customtlv.bin", "ecdsa-p256"),
        ("img/allprot.bin", "ed25519"),
        ("img/tiny.bin", "ed25519"),
        ("img/rsa-2048.bin", "rsa-2048"),
        ("img/rsa-3072.bin", "rsa-3072"),
    ]
    .map(|(name, key)| Original { image: file(name), key: manifest.key(key) })
    .into()
});

/// Every way to ask about an image; none may panic. Returns whether the plain rules accept it.
fn ask_everything(image: &[u8], key: &[u8]) -> bool {
    let mut source = image;
    let Ok(header) = Header::parse(image) else {
        return false;
    };
    let keys = [PublicKey::from_der(key).unwrap()];
    let board = Some(BoardIds { vendor: Some([1; 16]), class: Some([2; 16]), required: true });
    for strictness in [Strictness::Imitate, Strictness::Strict] {
        for signed in [Signed::Hash, Signed::Image] {
            for (security_counter, board) in [(None, None), (Some(1), board)] {
                let allow_list = security_counter.is_some();
                let hash = if allow_list { HashKind::Sha512 } else { HashKind::Sha256 };
                let rules = Rules {
                    hash,
                    signed,
                    strictness,
                    supported: Flags(u32::MAX),
                    max_size: 0,
                    allow_list,
                    security_counter,
                    board,
                };
                let _ = validate(&mut source, &header, &rules, &mut Software::new(&keys));
                let _ = validate(&mut source, &header, &rules, &mut HashOnly);
            }
        }
    }
    let _ = image_hash(&mut source, &header, HashKind::Sha384);
    if let Ok(area) = TlvArea::open(&mut source, &header) {
        for mut tlvs in [area.iter(), area.iter_bounded(), area.iter_protected()] {
            while let Ok(Some(entry)) = tlvs.next(&mut source) {
                let mut buf = [0; 300];
                let _ = entry.payload(&mut source, &mut buf);
            }
        }
    }
    validate(&mut source, &header, &Rules::default(), &mut Software::new(&keys)).is_ok()
}

fn header() -> impl Strategy<Value = Header> {
    let version = any::<(u8, u8, u16, u32)>()
        .prop_map(|(major, minor, revision, build)| Version::new(major, minor, revision, build));
    (any::<u32>(), any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>(), version, any::<u32>())
        .prop_map(|(load_addr, hdr_size, protect_tlv_size, img_size, flags, version, pad)| Header {
            load_addr,
            hdr_size,
            protect_tlv_size,
            img_size,
            flags: Flags(flags),
            version,
            pad,
        })
}

fn tlvs() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8)
}

proptest! {
    #[test]
    fn a_header_survives_its_bytes(header in header()) {
        prop_assert_eq!(Header::parse(&header.emit()), Ok(header));
    }

    #[test]
    fn a_version_survives_its_text_and_its_bytes(bytes in any::<[u8; 8]>()) {
        let version = Version::from_bytes(bytes);
        prop_assert_eq!(version.to_bytes(), bytes);
        prop_assert_eq!(version.to_string().parse(), Ok(version));
    }

    #[test]
    fn a_dependency_survives_its_bytes(image in any::<u8>(), bytes in any::<[u8; 8]>()) {
        let dependency = Dependency { image, version: Version::from_bytes(bytes) };
        prop_assert_eq!(Dependency::from_bytes(dependency.to_bytes()), dependency);
    }

    #[test]
    fn tlvs_survive_their_areas(protected in tlvs(), unprotected in tlvs(), body in 0u32..100) {
        let mut image = vec![0; 32 + body as usize];
        let mut buf = vec![0; 1000];
        let mut header = Header { hdr_size: 32, img_size: body, ..Header::default() };
        for (kind, tlvs) in
            [(TlvKind::Protected, &protected), (TlvKind::Unprotected, &unprotected)]
        {
            let mut writer = TlvWriter::new(kind, &mut buf).unwrap();
            for (kind, payload) in tlvs {
                writer.push(TlvType(*kind), payload).unwrap();
            }
            let area = writer.finish();
            if kind == TlvKind::Unprotected || !tlvs.is_empty() {
                image.extend_from_slice(area);
            }
            if kind == TlvKind::Protected && !tlvs.is_empty() {
                header.protect_tlv_size = area.len() as u16;
            }
        }
        image[..32].copy_from_slice(&header.emit());

        let mut source = image.as_slice();
        let area = TlvArea::open(&mut source, &header).unwrap();
        prop_assert_eq!(area.end(), source.size());
        let mut found = Vec::new();
        let mut walk = area.iter_bounded();
        while let Some(entry) = walk.next(&mut source).unwrap() {
            let mut buf = [0; 40];
            let payload = entry.payload(&mut source, &mut buf).unwrap().unwrap();
            found.push((entry.area, (entry.kind.0, payload.to_vec())));
        }
        let side = |kind, tlvs: Vec<_>| tlvs.into_iter().map(move |tlv| (kind, tlv));
        let expected: Vec<_> = side(TlvKind::Protected, protected)
            .chain(side(TlvKind::Unprotected, unprotected))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn random_bytes_are_answered(
        header in header(),
        small in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut header = header;
        if small {
            // Sizes that lead into the bytes, so that TLVs are read.
            header.hdr_size %= 64;
            header.img_size %= 128;
            header.protect_tlv_size %= 64;
        }
        let mut image = header.emit().to_vec();
        image.extend_from_slice(&rest);
        prop_assert!(!ask_everything(&image, &ORIGINALS[0].key));
    }

    #[test]
    fn a_mutated_image_is_answered_and_refused_where_it_is_signed(
        which in 0..4usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        near_end in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let original = &ORIGINALS[which];
        let mut image = original.image.clone();
        let from = if near_end { image.len() - 200.min(image.len()) } else { 0 };
        for (at, change) in changes {
            let at = from + at.index(image.len() - from);
            image[at] ^= change;
        }
        if let Some(cut) = cut {
            image.truncate(cut.index(image.len() + 1));
        }
        let header = Header::parse(&original.image).unwrap();
        let signed = header.hashed_len().unwrap() as usize;
        let changed = image.get(..signed) != original.image.get(..signed);
        let accepted = ask_everything(&image, &original.key);
        prop_assert!(!(accepted && changed), "accepted although what is signed was changed");
    }
}
