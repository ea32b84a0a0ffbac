//! TCP and UDP over Ethernet, with an address by DHCP. One connection at a time.

use core::time::Duration;

use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet, SocketStorage,
};
use smoltcp::socket::{dhcpv4, tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Address};

use super::ethernet::{Ethernet, Frames};

/// Where SMP is spoken over UDP.
const SMP_PORT: u16 = 1337;
/// Local ports of connections begin here.
const FIRST_PORT: u16 = 49_152;
/// The other side is given up if it has not answered for so long.
const PATIENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(20);

/// Frames that are looked at before everything else goes on.
const MOST_FRAMES: usize = 16;

/// The memory of the stack: `R` bytes that have come over the connection and are not read yet.
#[derive(Debug)]
pub struct Buffers<const R: usize> {
    received: [u8; R],
    sent: [u8; 2048],
    requests: [u8; 2048],
    answers: [u8; 2048],
}

impl<const R: usize> Buffers<R> {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self { received: [0; R], sent: [0; 2048], requests: [0; 2048], answers: [0; 2048] }
    }
}

impl<const R: usize> Default for Buffers<R> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is in the buffers; apart from them, as it is not made of zeros.
pub(super) struct Places<'s> {
    sockets: [SocketStorage<'s>; 3],
    requests: [udp::PacketMetadata; 4],
    answers: [udp::PacketMetadata; 4],
}

impl Places<'_> {
    pub const fn new() -> Self {
        Self {
            sockets: [SocketStorage::EMPTY; 3],
            requests: [udp::PacketMetadata::EMPTY; 4],
            answers: [udp::PacketMetadata::EMPTY; 4],
        }
    }
}

/// The connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

pub(super) struct Stack<'s, E> {
    frames: Frames<E>,
    interface: Interface,
    sockets: SocketSet<'s>,
    connection: SocketHandle,
    smp: SocketHandle,
    dhcp: SocketHandle,
    port: u16,
}

fn instant(now: Duration) -> Instant {
    Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

impl<'s, E: Ethernet> Stack<'s, E> {
    /// `seed` differs from start to start.
    pub fn new<const R: usize>(
        chip: E,
        (buffers, places): (&'s mut Buffers<R>, &'s mut Places<'s>),
        seed: u64,
        now: Duration,
    ) -> Self {
        let Buffers { received, sent, requests, answers } = buffers;
        let mut frames = Frames::new(chip);
        let address = EthernetAddress(frames.address());
        let mut config = Config::new(address.into());
        config.random_seed = seed;
        let interface = Interface::new(config, &mut frames, instant(now));
        let mut sockets = SocketSet::new(&mut places.sockets[..]);
        let mut connection = tcp::Socket::new(
            tcp::SocketBuffer::new(&mut received[..]),
            tcp::SocketBuffer::new(&mut sent[..]),
        );
        connection.set_timeout(Some(PATIENCE));
        connection.set_nagle_enabled(false);
        let mut smp = udp::Socket::new(
            udp::PacketBuffer::new(&mut places.requests[..], &mut requests[..]),
            udp::PacketBuffer::new(&mut places.answers[..], &mut answers[..]),
        );
        // The one thing that can be wrong is a port of 0.
        let _ = smp.bind(SMP_PORT);
        let connection = sockets.add(connection);
        let smp = sockets.add(smp);
        let dhcp = sockets.add(dhcpv4::Socket::new());
        let port = FIRST_PORT | seed as u16;
        Self { frames, interface, sockets, connection, smp, dhcp, port }
    }

    /// Does what there is to do.
    pub fn poll(&mut self, now: Duration) {
        let (now, frames, sockets) = (instant(now), &mut self.frames, &mut self.sockets);
        // Not all that there are: somebody may send faster than they are worked on.
        for _ in 0..MOST_FRAMES {
            let seen = self.interface.poll_ingress_single(now, frames, sockets);
            if seen == PollIngressSingleResult::None {
                break;
            }
        }
        self.interface.poll_egress(now, frames, sockets);
        match self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            Some(dhcpv4::Event::Configured(lease)) => {
                let (address, router) = (lease.address, lease.router);
                self.set(Some(IpCidr::Ipv4(address)));
                if let Some(router) = router {
                    // There is room for one.
                    let _ = self.interface.routes_mut().add_default_ipv4_route(router);
                }
            }
            Some(dhcpv4::Event::Deconfigured) => {
                self.set(None);
                self.interface.routes_mut().remove_default_ipv4_route();
            }
            None => {}
        }
    }

    fn set(&mut self, address: Option<IpCidr>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for one.
            addresses.extend(address);
        });
    }

    /// Its address, once it has one.
    pub fn address(&self) -> Option<Ipv4Address> {
        self.interface.ipv4_addr()
    }

    fn connection(&mut self) -> &mut tcp::Socket<'s> {
        self.sockets.get_mut(self.connection)
    }

    /// Begins to connect.
    pub fn connect(&mut self, to: (Ipv4Address, u16)) -> Result<(), Gone> {
        self.port = self.port.wrapping_add(1) | FIRST_PORT;
        let (port, handle) = (self.port, self.connection);
        let connection = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        connection.abort();
        connection.connect(self.interface.context(), to, port).map_err(|_| Gone)
    }

    /// Whether it is connected by now.
    pub fn is_connected(&mut self) -> Result<bool, Gone> {
        let connection = self.connection();
        match connection.state() {
            tcp::State::Closed => Err(Gone),
            _ => Ok(connection.may_send()),
        }
    }

    /// Bytes that can be read.
    pub fn waiting(&mut self) -> usize {
        self.connection().recv_queue()
    }

    /// Reads what has come.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        let connection = self.connection();
        match connection.can_recv() {
            true => connection.recv_slice(buffer).map_err(|_| Gone),
            false if connection.may_recv() => Ok(0),
            false => Err(Gone),
        }
    }

    /// Whether nothing more will come, whatever is still waiting.
    pub fn has_ended(&mut self) -> bool {
        use tcp::State::{Established, FinWait1, FinWait2, SynReceived, SynSent};
        let state = self.connection().state();
        !matches!(state, SynSent | SynReceived | Established | FinWait1 | FinWait2)
    }

    /// Takes as much of `bytes` as there is room for.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        self.connection().send_slice(bytes).map_err(|_| Gone)
    }

    /// Whether everything that was sent has arrived.
    pub fn is_drained(&mut self) -> bool {
        let connection = self.connection();
        connection.send_queue() == 0 || !connection.is_active()
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.connection().close();
    }

    /// The next request by SMP.
    pub fn request(&mut self, buffer: &mut [u8]) -> Option<(usize, IpEndpoint)> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.smp);
        let (len, from) = socket.recv_slice(buffer).ok()?;
        Some((len, from.endpoint))
    }

    /// The answer to it.
    pub fn answer(&mut self, answer: &[u8], to: IpEndpoint) {
        // A peer that cannot be answered asks again.
        let _ = self.sockets.get_mut::<udp::Socket<'_>>(self.smp).send_slice(answer, to);
    }
}
