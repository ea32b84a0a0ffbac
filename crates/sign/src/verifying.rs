//! What a verifier on the desk asks of an image file before it asks
//! [`validate`](updraft_image::validate).

use updraft_image::{Flags, HashKind, Header, Rules, Signed, TlvArea, TlvType};

/// Bytes that an area of TLVs begins with: its magic and its length.
const TLV_INFO: u64 = 4;

/// Rules that fit the image in `file`: its own hash algorithm, and what its signatures cover.
/// Without a board nothing else is known of the bootloader.
pub fn rules_of(file: &[u8], header: &Header) -> Rules {
    let mut source = file;
    let supported = Flags::COMPRESSED_LZMA2 | Flags::COMPRESSED_ARM_THUMB | Flags::ENCRYPTED;
    let mut rules = Rules { supported, ..Rules::default() };
    let Ok(area) = TlvArea::open(&mut source, header) else {
        return rules;
    };
    let mut tlvs = area.iter_bounded();
    let mut hash = None;
    while let Ok(Some(entry)) = tlvs.next(&mut source) {
        hash = hash.or(HashKind::from_tlv(entry.kind));
        if entry.kind == TlvType::SIG_PURE {
            rules.signed = Signed::Image;
        }
    }
    rules.hash = hash.unwrap_or_default();
    rules
}

/// How many bytes of the image are not in the file, as far as that can be told: it was cut off.
pub fn missing(file: &[u8], header: &Header) -> Option<u64> {
    let mut source = file;
    let end = match TlvArea::open(&mut source, header) {
        Ok(area) => u64::from(area.end()),
        Err(_) => match u64::from(header.hashed_len().ok()?) {
            // All that is known is there; at least the info of the TLV area follows.
            content if content <= file.len() as u64 => content + TLV_INFO,
            content => content,
        },
    };
    end.checked_sub(file.len() as u64).filter(|missing| *missing > 0)
}

/// The payloads of all TLVs of a type in their order, as far as the TLVs can be walked.
pub fn payloads<'f>(file: &'f [u8], header: &Header, kind: TlvType) -> Vec<&'f [u8]> {
    let mut source = file;
    let Ok(area) = TlvArea::open(&mut source, header) else { return Vec::new() };
    let mut entries = area.iter_bounded();
    let mut found = Vec::new();
    while let Ok(Some(entry)) = entries.next(&mut source) {
        let start = entry.offset as usize;
        let end = start.saturating_add(entry.len.into());
        if entry.kind == kind
            && let Some(payload) = file.get(start..end)
        {
            found.push(payload);
        }
    }
    found
}
