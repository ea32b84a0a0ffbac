//! A connection as the rest sees it: bytes in, bytes out, with TLS or without.

use core::cell::RefCell;
use core::time::Duration;

use firmware_board::Board;
use smoltcp::wire::Ipv4Address;

use super::ethernet::Ethernet;
use super::ground::Ground;
use super::stack::Gone;

/// How long a peer may keep the device waiting in the middle of something.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(super) trait Line {
    /// What has come, nothing if nothing has.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone>;

    /// Takes as much of `bytes` as there is room for.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone>;
}

/// The TCP connection. While it waits, everything else goes on.
pub(super) struct Tcp<'g, 'f, 'k, B: Board, E, const N: usize, const LINES: usize> {
    ground: &'g RefCell<Ground<'f, 'k, B, E, N, LINES>>,
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
            pause(ground, until)?;
        }
        ground.borrow_mut().stack.connect(to)?;
        while !ground.borrow_mut().stack.is_connected()? {
            pause(ground, until)?;
        }
        Ok(Self { ground })
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
) -> Result<(), Gone> {
    let mut ground = ground.borrow_mut();
    if ground.turn() >= until {
        return Err(Gone);
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
