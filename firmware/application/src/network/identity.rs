//! Whom the device trusts and who it is: a place in the image that can be filled after the build.
//!
//! ```text
//! updraft-tls 1\n
//! four times u16 (little-endian) and so many bytes:
//!   the authority's certificate, DER │ the device's, DER │ its private key, 32 bytes │
//!   serial numbers of revoked certificates, each behind a byte that says how long it is
//! each may be empty; the last one may be missing
//! zeros up to the end
//! ```

const FIRST_LINE: &[u8] = b"updraft-tls 1\n";

/// Certificates and key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Identity {
    /// Who issues certificates for servers.
    pub authority: &'static [u8],
    /// The device's certificate; empty if it has none.
    pub certificate: &'static [u8],
    /// P-256; empty if there is no certificate.
    pub key: &'static [u8],
    /// Serial numbers of what the authority has revoked.
    pub revoked: &'static [u8],
}

impl Identity {
    /// What `bytes` say; nobody is trusted if they say nothing.
    pub fn of(bytes: &'static [u8]) -> Self {
        Self::parse(bytes).unwrap_or_default()
    }

    fn parse(bytes: &'static [u8]) -> Option<Self> {
        let (authority, rest) = part(bytes.strip_prefix(FIRST_LINE)?)?;
        let (certificate, rest) = part(rest)?;
        let (key, rest) = part(rest)?;
        let revoked = if rest.is_empty() { &[] } else { part(rest)?.0 };
        Some(Self { authority, certificate, key, revoked })
    }
}

fn part(bytes: &'static [u8]) -> Option<(&'static [u8], &'static [u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_le_bytes(*len).into())
}

/// What a device is called, other than all others: `mps2-an386-525400123456`.
#[derive(Debug)]
pub(super) struct OwnName {
    bytes: [u8; 64],
    len: usize,
}

impl OwnName {
    /// The name of the board, and the address of the chip. Of the name, what there is room for.
    pub fn new(board: &str, mac: [u8; 6]) -> Self {
        let dash = if board.is_empty() { "" } else { "-" };
        let digit =
            |value: u8| char::from_digit(value.into(), 16).map_or(b'0', |digit| digit as u8);
        let mac = mac.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]);
        let mut name = Self { bytes: [0; 64], len: 0 };
        for byte in board.bytes().take(48).chain(dash.bytes()).chain(mac) {
            if let Some(room) = name.bytes.get_mut(name.len) {
                *room = byte;
                name.len += 1;
            }
        }
        name
    }

    pub fn text(&self) -> &str {
        let name = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }
}
