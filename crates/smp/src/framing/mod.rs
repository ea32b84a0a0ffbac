//! How messages travel where nothing else says where one ends.
//!
//! ```text
//! Console       text lines: marked, base64, length and CRC; lives beside logs and shells
//! Raw           the bare messages; for lines that lose nothing, such as USB
//! Reassembler   messages cut into writes and notifications, over Bluetooth LE
//! Packets       a stream of bytes cut into packets, over USB; one of the first two on top
//! ```
//! The first two, for serial lines, are a [`Framing`]: bytes go in one by one, messages come out; a
//! message goes in, pieces for the line come out. A receiver holds one message of at most `N` bytes,
//! header included.
//!
//! Format sources: Zephyr's "MCUmgr serial transport" documentation and MCUboot's
//! `docs/serial_recovery.md`, transport encoding.

mod base64;
mod console;
mod fragments;
mod packets;
mod raw;

use core::fmt;
use core::time::Duration;

pub use console::{Console, Encoder, Line};
pub use fragments::{ATT_MTU_MIN, Broken, Reassembler, fragments};
pub use packets::Packets;
pub use raw::Raw;

/// What a byte completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message, header and payload. It need not be well-formed.
    Message(&'a [u8]),
    /// Bytes that belong to no message: what else is printed on the line.
    Text(&'a [u8]),
}

/// A message that is too long for its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Its length in bytes.
    pub len: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes is too long for a frame", self.len)
    }
}

impl core::error::Error for TooLong {}

/// A way to carry messages over a stream of bytes.
pub trait Framing {
    /// Takes the byte that arrived at `now`, a time that never goes back.
    fn receive(&mut self, byte: u8, now: Duration) -> Option<Received<'_>>;

    /// Puts `message` on the line: `write` gets it in pieces, in order.
    fn send(message: &[u8], write: impl FnMut(&[u8])) -> Result<(), TooLong>;
}

/// CRC-16/XMODEM of `bytes`, continued from `crc`; a new one begins with 0. Behind a message and
/// its CRC, the high byte first, it is 0.
pub fn crc16(crc: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_xmodem() {
        assert_eq!(crc16(0, b"123456789"), 0x31c3);
        assert_eq!(crc16(crc16(0, b"1234"), b"56789\x31\xc3"), 0);
    }
}
