//! Base64 (RFC 4648, section 4), four characters at a time.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The character that fills up the last quad.
const PADDING: u8 = b'=';

/// The four characters of one to three bytes.
pub(super) fn encode(bytes: &[u8]) -> [u8; 4] {
    let byte = |at| bytes.get(at).copied().map_or(0, u32::from);
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let character = |at: usize| match at > bytes.len() {
        true => PADDING,
        // Six bits are an index into 64 characters.
        false => ALPHABET[(bits >> (18 - 6 * at) & 63) as usize],
    };
    [0, 1, 2, 3].map(character)
}

/// The six bits of a character.
fn value(character: u8) -> Option<u32> {
    Some(u32::from(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// A character that cannot stand where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

/// Characters on their way to become bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quad {
    bits: u32,
    characters: u8,
    padding: u8,
}

/// Up to three bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    bytes: [u8; 3],
    len: usize,
}

impl Bytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Quad {
    pub(super) const fn new() -> Self {
        Self { bits: 0, characters: 0, padding: 0 }
    }

    /// Whether nothing is waiting for more characters.
    pub(super) fn is_empty(&self) -> bool {
        self.characters == 0
    }

    /// Takes a character; the fourth one makes bytes. After a quad with padding another may follow.
    pub(super) fn push(&mut self, character: u8) -> Result<Option<Bytes>, Undecodable> {
        let bits = match character {
            PADDING if self.characters >= 2 => {
                self.padding += 1;
                0
            }
            _ if self.padding > 0 => return Err(Undecodable),
            _ => value(character).ok_or(Undecodable)?,
        };
        self.bits = self.bits << 6 | bits;
        self.characters += 1;
        if self.characters < 4 {
            return Ok(None);
        }
        let [_, a, b, c] = self.bits.to_be_bytes();
        let len = 3 - usize::from(self.padding);
        *self = Self::new();
        Ok(Some(Bytes { bytes: [a, b, c], len }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8; 4]) -> Result<Option<Bytes>, Undecodable> {
        let mut quad = Quad::new();
        text.iter().try_fold(None, |_, character| quad.push(*character))
    }

    #[test]
    fn every_three_bytes_survive() {
        for bits in (0..1 << 24).step_by(257) {
            let [_, bytes @ ..] = u32::to_be_bytes(bits);
            for len in 1..=3 {
                let decoded = decode(&encode(&bytes[..len])).unwrap().unwrap();
                assert_eq!(decoded.as_slice(), &bytes[..len]);
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        assert_eq!((encode(b"f"), encode(b"fo"), encode(b"foo")), (*b"Zg==", *b"Zm8=", *b"Zm9v"));
    }

    #[test]
    fn padding_stands_at_the_end() {
        for wrong in [b"=AAA", b"A=AA", b"AA=A", b"A===", b"A!AA"] {
            assert_eq!(decode(wrong), Err(Undecodable), "{wrong:?}");
        }
    }
}
