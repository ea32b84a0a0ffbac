//! TLS 1.3 over the device's connection: [`updraft_tls`] says who is believed and what they may say.

use core::cell::RefCell;
use core::time::Duration;

use firmware_board::Board;
use firmware_cortex_m::Chip;
use updraft_image::{Describe, Text};
use updraft_tls::{Device, Gone as NoBytes, Refused, Tls as Connection, Wire};

pub use updraft_tls::{Records, Watch};

use super::ethernet::Ethernet;
use super::ground::Ground;
use super::identity::Identity;
use super::line::{Line, Tcp};
use super::random::Random;
use super::stack::Gone;

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Wire
    for Tcp<'_, '_, '_, B, E, N, LINES>
{
    fn waiting(&mut self) -> usize {
        self.ground().borrow_mut().stack.waiting()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, NoBytes> {
        self.ground().borrow_mut().stack.receive(buffer).map_err(|Gone| NoBytes)
    }

    fn has_ended(&mut self) -> bool {
        self.ground().borrow_mut().stack.has_ended()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, NoBytes> {
        self.ground().borrow_mut().stack.send(bytes).map_err(|Gone| NoBytes)
    }

    fn now(&mut self) -> Duration {
        self.ground().borrow_mut().board.now()
    }

    fn pause(&mut self) {
        let mut ground = self.ground().borrow_mut();
        ground.turn();
        ground.board.idle();
    }
}

/// A connection over TLS.
pub(super) struct Tls<'r, 'g, 'f, 'k, B: Board, E: Ethernet, const N: usize, const LINES: usize> {
    ground: &'g RefCell<Ground<'f, 'k, B, E, N, LINES>>,
    connection: Connection<'r, Tcp<'g, 'f, 'k, B, E, N, LINES>>,
}

impl<'r, 'g, 'f, 'k, B: Board, E: Ethernet, const N: usize, const LINES: usize>
    Tls<'r, 'g, 'f, 'k, B, E, N, LINES>
{
    /// Shakes hands with the server called `server`; without it, says why.
    pub fn open(
        tcp: Tcp<'g, 'f, 'k, B, E, N, LINES>,
        memory: (&'r mut Records, &'r Watch),
        (server, identity, random): (&str, Identity, &mut Random),
    ) -> Option<Self> {
        let ground = tcp.ground();
        let feed = || ground.borrow_mut().board.chip().feed_watchdog();
        let Identity { authority, certificate, key, revoked } = identity;
        let device = Device { server, authority, revoked, certificate, key, feed: &feed };
        let connection = Connection::open(tcp, memory, device, random);
        match connection {
            Ok(connection) => Some(Self { ground, connection }),
            Err(why) => {
                ground.borrow_mut().say(&NotOpened(why));
                None
            }
        }
    }

    /// Says why the connection has ended, unless that is how connections end.
    fn ended(&self, why: Refused) -> Gone {
        if !matches!(why, Refused::Closed | Refused::Gone) {
            self.ground.borrow_mut().say(&Ended(why));
        }
        Gone
    }
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Line
    for Tls<'_, '_, '_, '_, B, E, N, LINES>
{
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        self.connection.receive(buffer).map_err(|why| self.ended(why))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        let now = self.ground.borrow_mut().board.now();
        self.connection.send(bytes, now).map_err(|why| self.ended(why))
    }
}

struct NotOpened(Refused);

impl Describe for NotOpened {
    fn describe(&self, to: &mut Text<'_>) {
        to.fill("no TLS with the server: {}", &[&self.0.text()]);
    }
}

struct Ended(Refused);

impl Describe for Ended {
    fn describe(&self, to: &mut Text<'_>) {
        to.fill("TLS with the server has ended: {}", &[&self.0.text()]);
    }
}
