//! The ARM-Thumb filter: calls as they are in code, or with the address that they lead to.
//!
//! A call (`BL`) is two half-words, `11110` and the upper 11 bits of a distance, `11111` and the
//! lower 11; the distance is in half-words from the address behind the call. Before compression
//! each distance becomes the address called, counted from the start of the body, so that all calls
//! of one function look alike.
//!
//! Both ways leave the ten bits that mark a call as they are, and no half-word can be the end of
//! one call and the beginning of another. So whether a byte belongs to a call can be told from its
//! neighbours, and any part of the data can be converted, in either direction, without the rest.

/// Bytes of a call.
pub(super) const CALL: usize = 4;
/// How far behind a byte its call may reach.
pub(super) const BEHIND: usize = 3;

/// Which form is made of which.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Addresses become distances: code, after decompression.
    Decode,
    /// Distances become addresses: what was compressed.
    Encode,
}

/// Converts the call in `bytes`, which stand at `position` of the body; `None` if it is none.
pub(super) fn convert(
    [b0, b1, b2, b3]: [u8; CALL],
    position: u32,
    direction: Direction,
) -> Option<[u8; CALL]> {
    if b1 & 0xf8 != 0xf0 || b3 & 0xf8 != 0xf8 {
        return None;
    }
    let bits = |byte: u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
    let found = bits(b1, 7, 19) | bits(b0, 0xff, 11) | bits(b3, 7, 8) | bits(b2, 0xff, 0);
    let behind = position.wrapping_add(CALL as u32) >> 1;
    let made = match direction {
        Direction::Decode => found.wrapping_sub(behind),
        Direction::Encode => found.wrapping_add(behind),
    };
    let byte = |shift: u32| (made >> shift) as u8;
    Some([byte(11), 0xf0 | byte(19) & 7, byte(0), 0xf8 | byte(8) & 7])
}

/// Converts every call that lies in `span` as a whole; `position` is where `span` is in the body.
pub(super) fn convert_span(span: &mut [u8], position: u32, direction: Direction) {
    let odd = (position & 1) as usize;
    let mut at = odd;
    while let Some(bytes) = span.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<CALL>) {
        match convert(*bytes, position.wrapping_add(at as u32), direction) {
            Some(converted) => {
                *bytes = converted;
                at += CALL;
            }
            None => at += 2,
        }
    }
}

/// Decodes `span` in place, which stands at `position` of the body between `before` and `after`.
///
/// `before` is what came last before it, up to three bytes, not decoded; `after` is what follows,
/// and has to have three bytes unless the body ends sooner.
pub(super) fn decode(before: &[u8], span: &mut [u8], after: &[u8], position: u32) {
    let end = position.wrapping_add(span.len() as u32);
    // Calls across either end, before the others are touched: a call that lies in the span as a
    // whole shares no byte with these.
    for (edge, reach) in [(position, before.len()), (end, span.len())] {
        for back in 0..reach.min(BEHIND) as u32 {
            decode_across(before, span, after, position, edge.wrapping_sub(back + 1));
        }
    }
    convert_span(span, position, Direction::Decode);
}

/// Decodes the call at `start`, if there is one and it crosses an end of the span.
fn decode_across(before: &[u8], span: &mut [u8], after: &[u8], position: u32, start: u32) {
    if start & 1 != 0 {
        return;
    }
    // Index in the three parts as if they were one.
    let from = start.wrapping_sub(position).wrapping_add(before.len() as u32) as usize;
    let (span_from, span_to) = (before.len(), before.len() + span.len());
    let mut bytes = [0; CALL];
    for (index, byte) in (from..).zip(&mut bytes) {
        let found = match index {
            i if i < span_from => before.get(i),
            i if i < span_to => span.get(i - span_from),
            i => after.get(i - span_to),
        };
        let Some(found) = found else { return };
        *byte = *found;
    }
    let Some(converted) = convert(bytes, start, Direction::Decode) else { return };
    for (index, byte) in (from..).zip(converted) {
        if let Some(to) = index.checked_sub(span_from).and_then(|at| span.get_mut(at)) {
            *to = byte;
        }
    }
}
