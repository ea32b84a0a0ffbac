//! Header, TLVs and validation over an arbitrary slot, under arbitrary rules and fixed keys.
//!
//! ```text
//! 0  rules: strictness, hash, what is signed, allow list, ids, counter, bound, keys
//! 1  the slot
//! ```
//! Asserts: what the strict rules accept, the imitating ones accept too, as the same image; and
//! nothing is accepted that is longer than its slot.

use updraft_image::{
    BoardIds, Flags, HashKind, HashOnly, Header, PublicKey, Rules, Signed, Software, Strictness,
    TlvArea, Validated, Verifier, validate,
};

/// One of each scheme.
const KEYS: [&[u8]; 5] = [
    include_bytes!("../keys/ed25519.der"),
    include_bytes!("../keys/ecdsa-p256.der"),
    include_bytes!("../keys/ecdsa-p384.der"),
    include_bytes!("../keys/rsa-2048.der"),
    include_bytes!("../keys/rsa-3072.der"),
];

/// Takes one input.
pub fn run(data: &[u8]) {
    let Some((&choice, slot)) = data.split_first() else { return };
    walk(slot);
    let Ok(header) = Header::parse(slot) else { return };
    let accepted = |strictness| {
        let rules = rules(choice, strictness);
        if choice & 0x80 == 0 {
            verdict(slot, &header, &rules, &mut HashOnly)
        } else {
            let keys = KEYS.map(|der| PublicKey::from_der(der).expect("a key"));
            verdict(slot, &header, &rules, &mut Software::new(&keys))
        }
    };
    if let Some(strict) = accepted(Strictness::Strict) {
        assert!(strict.size as usize <= slot.len(), "{strict:?} in {} bytes", slot.len());
        let imitating = accepted(Strictness::Imitate).expect("strict only refuses more");
        assert_eq!((strict.hash, strict.size), (imitating.hash, imitating.size));
    }
}

fn rules(choice: u8, strictness: Strictness) -> Rules {
    let flag = |bit: u8| choice & (1 << bit) != 0;
    Rules {
        hash: HashKind::ALL[usize::from(choice & 3) % 3],
        signed: if flag(2) { Signed::Image } else { Signed::Hash },
        strictness,
        supported: if flag(3) { Flags::ENCRYPTED } else { Flags::default() },
        max_size: if flag(4) { 4096 } else { 0 },
        allow_list: flag(4),
        security_counter: flag(5).then_some(1),
        board: flag(6).then_some(BoardIds {
            vendor: flag(3).then_some([1; 16]),
            class: flag(4).then_some([2; 16]),
            required: flag(7),
        }),
    }
}

fn verdict(
    mut slot: &[u8],
    header: &Header,
    rules: &Rules,
    verifier: &mut impl Verifier,
) -> Option<Validated> {
    validate(&mut slot, header, rules, verifier).ok()
}

/// Walks all TLVs in each of the three ways.
fn walk(mut slot: &[u8]) {
    let Ok(header) = Header::parse(slot) else { return };
    assert_eq!(Header::parse(&header.emit()), Ok(header), "a header survives being written");
    let Ok(area) = TlvArea::open(&mut slot, &header) else { return };
    for mut tlvs in [area.iter(), area.iter_bounded(), area.iter_protected()] {
        let mut payload = [0; 300];
        while let Ok(Some(entry)) = tlvs.next(&mut slot) {
            let _ = entry.payload(&mut slot, &mut payload);
        }
    }
}

/// The small golden images, for signed and for unsigned bootloaders.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for name in crate::repository_names("vectors/mcuboot/img") {
        let image = crate::repository_file(&format!("vectors/mcuboot/img/{name}"));
        if name.ends_with(".bin") && image.len() < 5000 {
            for choice in [0x00, 0x80, 0x81, 0x84, 0x30] {
                seeds.push([&[choice], &image[..]].concat());
            }
        }
    }
    seeds
}
