//! A connection as the rest sees it: bytes in, bytes out, with TLS or without.

use core::cell::RefCell;
use core::time::Duration;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};
use firmware_board::Board;
use smoltcp::wire::Ipv4Address;

use super::ethernet::Ethernet;
use super::ground::Ground;
use super::stack::Gone;

/// How long a peer may keep the device waiting in the middle of something.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes before the payload of a TLS record: kind, version, length.
const RECORD_HEAD: usize = 5;
/// The kind of a record that is encrypted.
const SEALED: u8 = 23;
/// What encryption adds at least: a tag.
const SEAL: usize = 16;

/// A connection.
pub(super) trait Line {
    /// What has come, nothing if nothing has.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone>;

    /// Takes as much of `bytes` as there is room for.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone>;
}

/// Why the TLS library gets no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are none yet.
    NotNow,
    /// The peer takes too long.
    Late,
    /// The connection is gone.
    Gone,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotNow => "nothing has come yet",
            Self::Late => "the peer takes too long",
            Self::Gone => "the connection is gone",
        })
    }
}

impl core::error::Error for Refused {}

impl Error for Refused {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotNow => ErrorKind::Interrupted,
            Self::Late => ErrorKind::TimedOut,
            Self::Gone => ErrorKind::ConnectionReset,
        }
    }
}

impl From<Gone> for Refused {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The TCP connection. While it waits, everything else goes on.
pub(super) struct Tcp<'g, 'f, 'k, B: Board, E, const N: usize, const LINES: usize> {
    ground: &'g RefCell<Ground<'f, 'k, B, E, N, LINES>>,
    /// Bytes of the TLS record that has begun.
    record: usize,
}

impl<'g, 'f, 'k, B: Board, E: Ethernet, const N: usize, const LINES: usize>
    Tcp<'g, 'f, 'k, B, E, N, LINES>
{
    /// What goes on meanwhile.
    pub fn ground(&self) -> &'g RefCell<Ground<'f, 'k, B, E, N, LINES>> {
        self.ground
    }

    /// Connects.
    pub fn connect(
        ground: &'g RefCell<Ground<'f, 'k, B, E, N, LINES>>,
        to: (Ipv4Address, u16),
    ) -> Result<Self, Gone> {
        let until = ground.borrow_mut().board.now().saturating_add(PATIENCE);
        while ground.borrow().stack.address().is_none() {
            pause(ground, until).map_err(|_| Gone)?;
        }
        ground.borrow_mut().stack.connect(to)?;
        while !ground.borrow_mut().stack.is_connected()? {
            pause(ground, until).map_err(|_| Gone)?;
        }
        ground.borrow_mut().awaits_records = true;
        Ok(Self { ground, record: 0 })
    }

    /// Closes the connection, once everything has arrived.
    pub fn close(ground: &RefCell<Ground<'f, 'k, B, E, N, LINES>>) {
        let until = ground.borrow_mut().board.now().saturating_add(PATIENCE);
        while !ground.borrow_mut().stack.is_drained() && pause(ground, until).is_ok() {}
        ground.borrow_mut().stack.close();
    }
}

/// Lets time pass, unless it is over.
fn pause<B: Board, E: Ethernet, const N: usize, const LINES: usize>(
    ground: &RefCell<Ground<'_, '_, B, E, N, LINES>>,
    until: Duration,
) -> Result<(), Refused> {
    let mut ground = ground.borrow_mut();
    if ground.turn() >= until {
        return Err(Refused::Late);
    }
    ground.board.idle();
    Ok(())
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Line
    for Tcp<'_, '_, '_, B, E, N, LINES>
{
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        self.ground.borrow_mut().stack.receive(buffer)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        self.ground.borrow_mut().stack.send(bytes)
    }
}

impl<B: Board, E, const N: usize, const LINES: usize> ErrorType
    for Tcp<'_, '_, '_, B, E, N, LINES>
{
    type Error = Refused;
}

/// For the TLS library, which reads records: each is read whole, or not begun.
impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Read
    for Tcp<'_, '_, '_, B, E, N, LINES>
{
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Refused> {
        let begins = self.record == 0;
        let needed = if begins { RECORD_HEAD } else { 1 };
        let until = self.ground.borrow_mut().board.now().saturating_add(PATIENCE);
        loop {
            let mut ground = self.ground.borrow_mut();
            if ground.stack.waiting() >= needed {
                break;
            }
            // Says whether there is anybody left to wait for.
            ground.stack.receive(&mut [])?;
            if begins && !ground.awaits_records {
                return Err(Refused::NotNow);
            }
            drop(ground);
            pause(self.ground, until)?;
        }
        let len = self.ground.borrow_mut().stack.receive(buffer)?;
        self.record = match buffer.get(..len) {
            Some(&[kind, _, _, high, low]) if begins => {
                let len = u16::from_be_bytes([high, low]).into();
                let sealed = kind == SEALED;
                let handshake = self.ground.borrow().awaits_records;
                // The library panics at sealed records without content, and at open ones later on.
                if (sealed && len <= SEAL) || !(sealed || handshake) {
                    return Err(Refused::Gone);
                }
                len
            }
            _ => self.record.saturating_sub(len),
        };
        Ok(len)
    }
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Write
    for Tcp<'_, '_, '_, B, E, N, LINES>
{
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let until = self.ground.borrow_mut().board.now().saturating_add(PATIENCE);
        loop {
            let sent = self.ground.borrow_mut().stack.send(bytes)?;
            if sent > 0 || bytes.is_empty() {
                return Ok(sent);
            }
            pause(self.ground, until)?;
        }
    }

    fn flush(&mut self) -> Result<(), Refused> {
        Ok(())
    }
}
