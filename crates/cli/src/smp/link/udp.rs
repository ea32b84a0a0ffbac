//! SMP over UDP.

use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use anyhow::Context;
use updraft_smp::client;

use super::Link;
use crate::report::Hint;

/// The port that SMP over UDP uses.
pub const UDP_PORT: u16 = 1337;

/// SMP over UDP: a datagram holds a message.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    peer: SocketAddr,
    buffer: Vec<u8>,
    /// Whether the device was ever there.
    heard: bool,
}

impl Udp {
    /// A link to `target`: a host or address, with or without a port.
    pub fn connect(target: &str) -> anyhow::Result<Self> {
        let peer = resolve(target)?;
        let any: SocketAddr = match peer {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any).context("no UDP socket could be opened")?;
        socket.connect(peer).with_context(|| format!("{peer} cannot be reached"))?;
        Ok(Self { socket, peer, buffer: vec![0; 65536], heard: false })
    }
}

/// Whether an error says that the device is away: nobody listens (yet), or, once it was `heard`, that
/// its address answers no more, or that its network went with it.
fn is_away(error: &std::io::Error, heard: bool) -> bool {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => true,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            heard
        }
        _ => false,
    }
}

/// The address of a host, with SMP's port unless it names another one.
pub fn resolve(target: &str) -> anyhow::Result<SocketAddr> {
    let with_port = target.to_socket_addrs().ok().and_then(|mut found| found.next());
    let bare = || {
        let host = target.trim_start_matches('[').trim_end_matches(']');
        (host, UDP_PORT).to_socket_addrs()
    };
    match with_port {
        Some(peer) => Ok(peer),
        None => bare()
            .with_context(|| format!("{target} is no address and no host that can be found"))
            .usage("--udp HOST, --udp HOST:PORT or --udp [IPV6]:PORT")?
            .next()
            .with_context(|| format!("{target} has no address")),
    }
}

impl Link for Udp {
    fn kind(&self) -> client::Link {
        match self.peer {
            SocketAddr::V4(_) => client::Link::Udp,
            SocketAddr::V6(_) => client::Link::Udp6,
        }
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        match self.socket.send(message) {
            Ok(_) => Ok(()),
            // What the last datagram met.
            Err(error) if is_away(&error, self.heard) => Ok(()),
            Err(error) => Err(error).context("the message could not be sent"),
        }
    }

    fn receive(&mut self, timeout: Duration) -> anyhow::Result<Option<&[u8]>> {
        // A time-out of zero would mean to wait for ever.
        self.socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        match self.socket.recv(&mut self.buffer) {
            Ok(len) => {
                self.heard = true;
                Ok(self.buffer.get(..len))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) if is_away(&error, self.heard) => {
                // It came at once; wait, or the caller would spin.
                std::thread::sleep(timeout.min(Duration::from_millis(50)));
                Ok(None)
            }
            Err(error) => Err(error).context("the link failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn a_device_that_was_there_may_take_its_network_along() {
        for kind in
            [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable, ErrorKind::NetworkDown]
        {
            assert!(is_away(&Error::from(kind), true), "{kind}");
            assert!(!is_away(&Error::from(kind), false), "{kind}: that is worth telling at once");
        }
        assert!(is_away(&Error::from(ErrorKind::ConnectionRefused), false));
        assert!(!is_away(&Error::from(ErrorKind::PermissionDenied), true));
    }
}
