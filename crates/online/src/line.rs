//! A line to a server: TCP, and TLS over it, without ever waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;

use crate::LineError;

/// Bytes that wait to be sent before no more are taken.
const BACKLOG: usize = 64 * 1024;
/// Bytes that a server may still say to somebody who has said goodbye.
const FAREWELL: usize = 256 * 1024;

/// Bytes that have gone over sockets, those of TLS included, those of TCP and IP not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To the servers.
    pub sent: u64,
    /// From the servers.
    pub received: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Handshake,
    Open,
    /// Nothing more is sent, and what comes is of no interest.
    Leaving,
}

/// How far goodbye is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    NotYet,
    /// TLS has told it, behind all that was written.
    Told,
    /// TCP has, too.
    Shut,
}

/// What reading brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes.
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
    /// Nothing more will come.
    End,
}

pub(crate) struct Line {
    socket: TcpStream,
    /// `host:port`.
    pub peer: String,
    /// Further addresses to try.
    others: Vec<SocketAddr>,
    tls: Option<Box<ClientConnection>>,
    /// What waits to be sent, without TLS.
    out: Vec<u8>,
    stage: Stage,
    /// TLS was told that nothing follows, and TCP was.
    closing: Closing,
    /// Bytes that have come since goodbye.
    unheard: usize,
    pub traffic: Traffic,
}

impl Line {
    /// Begins to connect to the first of `addresses` that answers.
    pub fn connect(
        peer: String,
        mut addresses: Vec<SocketAddr>,
        tls: Option<ClientConnection>,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, LineError> {
        addresses.reverse();
        let mut failed = io::Error::new(ErrorKind::NotFound, "no address");
        while let Some(address) = addresses.pop() {
            match open(address, registry, token) {
                Ok(socket) => {
                    return Ok(Self {
                        socket,
                        peer,
                        others: addresses,
                        tls: tls.map(Box::new),
                        out: Vec::new(),
                        stage: Stage::Connecting,
                        closing: Closing::NotYet,
                        unheard: 0,
                        traffic: Traffic::default(),
                    });
                }
                Err(error) => failed = error,
            }
        }
        Err(LineError::Unreachable { peer, source: failed })
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Goes on with connecting and greeting; says whether the line has just become open.
    pub fn advance(&mut self, registry: &Registry, token: Token) -> Result<bool, LineError> {
        if self.stage == Stage::Connecting && !self.is_connected(registry, token)? {
            return Ok(false);
        }
        if self.stage != Stage::Handshake {
            return Ok(false);
        }
        if let Some(tls) = &mut self.tls {
            while tls.is_handshaking() {
                let before = self.traffic;
                exchange(tls, &mut self.socket, &mut self.traffic, &self.peer)?;
                if self.traffic == before {
                    return Ok(false);
                }
            }
        }
        self.stage = Stage::Open;
        Ok(true)
    }

    /// Whether TCP stands. An address that does not answer is left for the next one.
    fn is_connected(&mut self, registry: &Registry, token: Token) -> Result<bool, LineError> {
        let failed = match self.socket.take_error() {
            Ok(None) => match self.socket.peer_addr() {
                Ok(_) => {
                    // Small messages are not to wait for each other.
                    let _ = self.socket.set_nodelay(true);
                    self.stage = Stage::Handshake;
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => error,
            },
            Ok(Some(error)) | Err(error) => error,
        };
        self.give_up(failed, registry, token).map(|()| false)
    }

    /// Whether there are further addresses to try.
    pub fn has_others(&self) -> bool {
        self.stage == Stage::Connecting && !self.others.is_empty()
    }

    /// Leaves what has taken too long for the next address, if there is one.
    pub fn give_up(
        &mut self,
        why: io::Error,
        registry: &Registry,
        token: Token,
    ) -> Result<(), LineError> {
        let others =
            if self.stage == Stage::Connecting { &mut self.others } else { &mut Vec::new() };
        while let Some(address) = others.pop() {
            if let Ok(socket) = open(address, registry, token) {
                self.socket = socket;
                return Ok(());
            }
        }
        Err(LineError::Unreachable { peer: self.peer.clone(), source: why })
    }

    /// Whether more may be written.
    pub fn has_room(&self) -> bool {
        self.stage == Stage::Open && self.out.len() < BACKLOG
    }

    /// Takes bytes to be sent.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        self.out.extend_from_slice(bytes);
        self.flush().map(|_| ())
    }

    /// Sends what waits; says whether anything could be sent.
    pub fn make_room(&mut self) -> Result<bool, LineError> {
        let before = self.out.len();
        self.flush()?;
        Ok(self.out.len() < before)
    }

    /// Sends what waits; says whether nothing does any more.
    pub fn flush(&mut self) -> Result<bool, LineError> {
        if !matches!(self.stage, Stage::Open | Stage::Leaving) {
            return Ok(self.out.is_empty());
        }
        loop {
            let Some(tls) = &mut self.tls else {
                return self.flush_plain();
            };
            // TLS takes no more than its own buffer holds.
            let taken = tls.writer().write(&self.out).unwrap_or(0);
            self.out.drain(..taken);
            let is_last = self.stage == Stage::Leaving && self.out.is_empty();
            if is_last && self.closing == Closing::NotYet {
                tls.send_close_notify();
                self.closing = Closing::Told;
            }
            let sent_before = self.traffic.sent;
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(0) => return Err(self.broken(ErrorKind::WriteZero.into())),
                    Ok(sent) => self.traffic.sent += sent as u64,
                    Err(error) if is_later(&error) => return Ok(false),
                    Err(error) => return Err(self.broken(error)),
                }
            }
            if self.out.is_empty() {
                return Ok(true);
            }
            if taken == 0 && self.traffic.sent == sent_before {
                // It takes nothing although it holds nothing: trying again would not end.
                return Ok(false);
            }
        }
    }

    fn flush_plain(&mut self) -> Result<bool, LineError> {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(0) => return Err(self.broken(ErrorKind::WriteZero.into())),
                Ok(sent) => {
                    self.traffic.sent += sent as u64;
                    self.out.drain(..sent);
                }
                Err(error) if is_later(&error) => return Ok(false),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(true)
    }

    /// Reads what has come.
    pub fn read(&mut self, to: &mut [u8]) -> Result<Piece, LineError> {
        if self.stage != Stage::Open {
            return Ok(Piece::Nothing);
        }
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(to) {
                Ok(0) => Ok(Piece::End),
                Ok(len) => {
                    self.traffic.received += len as u64;
                    Ok(Piece::Bytes(len))
                }
                Err(error) if is_later(&error) => Ok(Piece::Nothing),
                Err(error) => Err(self.broken(error)),
            };
        };
        loop {
            match tls.reader().read(to) {
                Ok(0) => return Ok(Piece::End),
                Ok(len) => return Ok(Piece::Bytes(len)),
                Err(error) if is_later(&error) => {}
                // The server has not said goodbye; MQTT and HTTP know by themselves what is whole.
                Err(_) => return Ok(Piece::End),
            }
            let before = self.traffic.received;
            exchange(tls, &mut self.socket, &mut self.traffic, &self.peer)?;
            if self.traffic.received == before && tls.wants_read() {
                // The last exchange may have brought the end.
                return match tls.reader().read(to) {
                    Ok(0) => Ok(Piece::End),
                    Ok(len) => Ok(Piece::Bytes(len)),
                    Err(error) if is_later(&error) => Ok(Piece::Nothing),
                    Err(_) => Ok(Piece::End),
                };
            }
        }
    }

    /// Says goodbye behind all that was written. The line is to be kept, and [`left`](Self::left)
    /// called, until that is sent.
    pub fn leave(&mut self) {
        let was_open = self.stage == Stage::Open;
        self.stage = Stage::Leaving;
        if !was_open {
            self.out.clear();
            self.closing = Closing::Told;
        }
    }

    /// Whether goodbye is said, and heard. A server that goes on talking is not listened to without
    /// end.
    pub fn left(&mut self, scratch: &mut [u8]) -> bool {
        match self.flush() {
            Ok(false) => return false,
            Ok(true) => {}
            Err(_) => return true,
        }
        // What is still unread when a socket is closed would make the system take back what was
        // sent.
        if self.closing != Closing::Shut && self.socket.shutdown(Shutdown::Write).is_err() {
            return true;
        }
        self.closing = Closing::Shut;
        while self.unheard < FAREWELL {
            match self.socket.read(scratch) {
                Ok(len @ 1..) => self.unheard += len,
                Err(error) if is_later(&error) => return false,
                _ => return true,
            }
        }
        true
    }

    fn broken(&self, source: io::Error) -> LineError {
        LineError::Broken { peer: self.peer.clone(), source }
    }
}

fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(socket)
}

/// Whether it only has to be tried again.
fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Sends and receives what TLS has and wants, as far as the socket goes.
fn exchange(
    tls: &mut ClientConnection,
    socket: &mut TcpStream,
    traffic: &mut Traffic,
    peer: &str,
) -> Result<(), LineError> {
    let broken = |source| LineError::Broken { peer: peer.to_owned(), source };
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(0) => break,
            Ok(sent) => traffic.sent += sent as u64,
            Err(error) if is_later(&error) => break,
            // What the server has said before it closed the line is worth more.
            Err(_) => break,
        }
    }
    if !tls.wants_read() {
        return Ok(());
    }
    let handshaking = tls.is_handshaking();
    match tls.read_tls(socket) {
        Ok(0) if handshaking => {
            let (peer, encrypted) = (peer.to_owned(), true);
            return Err(LineError::Closed { peer, greeted: false, encrypted });
        }
        Ok(len) => traffic.received += len as u64,
        Err(error) if is_later(&error) => return Ok(()),
        Err(error) => return Err(broken(error)),
    }
    if let Err(error) = tls.process_new_packets() {
        // The server learns why, if it still listens.
        let _ = tls.write_tls(socket);
        return Err(LineError::tls(peer, error));
    }
    Ok(())
}
