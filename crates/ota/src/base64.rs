//! Base64 (RFC 4648, section 4).

/// Decodes `text` into `buffer`; `None` if it is no base64, or if there is no room.
pub(crate) fn decode(text: impl Iterator<Item = char>, buffer: &mut [u8]) -> Option<usize> {
    let (mut bits, mut count, mut at, mut padding) = (0u32, 0u32, 0usize, 0u32);
    for c in text {
        if c == '=' {
            padding += 1;
            continue;
        }
        let value = match c {
            'A'..='Z' => u32::from(c) - u32::from('A'),
            'a'..='z' => u32::from(c) - u32::from('a') + 26,
            '0'..='9' => u32::from(c) - u32::from('0') + 52,
            '+' => 62,
            '/' => 63,
            _ => return None,
        };
        // Nothing comes after padding.
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | value;
        count += 1;
        if count % 4 == 0 {
            let [_, bytes @ ..] = bits.to_be_bytes();
            buffer.get_mut(at..at.checked_add(3)?)?.copy_from_slice(&bytes);
            at += 3;
            bits = 0;
        }
    }
    let (rest, spare) = match (count % 4, padding) {
        (0, 0) => (0, 0),
        (2, 2) => (1, bits & 0xf),
        (3, 1) => (2, bits & 0x3),
        _ => return None,
    };
    let bytes = (bits << (6 * (4 - count % 4) % 24)).to_be_bytes();
    let end = at.checked_add(rest)?;
    buffer.get_mut(at..end)?.copy_from_slice(bytes.get(1..1 + rest)?);
    (spare == 0).then_some(end)
}

/// Writes `bytes` as base64, a piece of text at a time.
pub(crate) fn encode(bytes: &[u8], mut put: impl FnMut(&str)) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded.iter_mut().skip(1).zip(group).for_each(|(to, from)| *to = *from);
        let bits = u32::from_be_bytes(padded);
        let mut text = [b'='; 4];
        for (number, digit) in text.iter_mut().enumerate().take(group.len() + 1) {
            let index = (bits >> (18 - 6 * number)) & 63;
            *digit = DIGITS.get(index as usize).copied().unwrap_or_default();
        }
        put(core::str::from_utf8(&text).unwrap_or_default());
    }
}
