//! Runs a virtual device on a UDP socket, and a serial line if it has one: packets and time go in,
//! packets and console lines come out. Everything else that happens to the device is done to it from
//! outside, by closure: what comes over Bluetooth as well.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use updraft_sim::device::{BUFFERS, Device, Status};

use super::Serial;
use crate::report::Hint;

/// The longest wait for a packet, so that commands are not left waiting.
const NAP: Duration = Duration::from_millis(20);

/// Something done to the device: it is called with the device and its time, and what it returns is
/// called once the console has said what came of it.
type Deed = Box<dyn FnOnce(&mut Device, Duration) -> Report + Send>;
type Report = Box<dyn FnOnce()>;

/// A device, its socket and its clock.
#[derive(Debug)]
pub struct Host {
    device: Device,
    socket: UdpSocket,
    serial: Option<Serial>,
    clock: Instant,
    deeds: Receiver<Deed>,
    running: Arc<AtomicU64>,
}

impl Host {
    /// A device that answers on `address`, and the handle to it. It is played as long as there is
    /// a handle.
    pub fn bind(device: Device, address: impl ToSocketAddrs) -> anyhow::Result<(Self, Remote)> {
        let socket = UdpSocket::bind(address)
            .context("the UDP address cannot be used")
            .hint("give another one with --udp; port 0 takes any that is free")?;
        let bell = bell(&socket).context("the device's socket cannot be reached")?;
        let (tell, deeds) = channel();
        let clock = Instant::now();
        let running = Arc::default();
        let remote = Remote { deeds: tell, bell: Arc::new(bell), running: Arc::clone(&running) };
        Ok((Self { device, socket, serial: None, clock, deeds, running }, remote))
    }

    /// Gives it a serial line, on which it prints and answers too.
    pub fn connect(&mut self, serial: Serial) {
        self.serial = Some(serial);
    }

    /// Where it answers.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr().context("the socket has no address")
    }

    /// Turns the power on and plays the device; `console` gets every line.
    pub fn run(mut self, mut console: impl FnMut(&str)) -> anyhow::Result<()> {
        let console = &mut console;
        let mut buffer = vec![0; 65536];
        let mut inbox = Inbox::default();
        self.device.power_on(Duration::ZERO);
        loop {
            loop {
                match self.deeds.try_recv() {
                    Ok(deed) => {
                        let report = deed(&mut self.device, self.clock.elapsed());
                        self.print(console);
                        report();
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.device.poll(self.clock.elapsed());
            self.print(console);
            let runs = self.device.status() == Status::Running;
            self.running.store(if runs { self.device.boots() } else { 0 }, Ordering::Relaxed);
            let due = self.device.deadline().map(|due| due.saturating_sub(self.clock.elapsed()));
            let wait = due.unwrap_or(NAP).clamp(Duration::from_millis(1), NAP);
            match &self.serial {
                Some(serial) if inbox.requests.is_empty() => {
                    serial.wait(&self.socket, wait)?;
                    self.listen(&mut buffer)?;
                    self.print(console);
                }
                _ => {}
            }
            self.socket.set_read_timeout(Some(wait))?;
            // Waits only when there is nothing to do, and looks for more before each request: what
            // came meanwhile would have met the same buffers.
            for _ in 0..Inbox::LOOKS {
                self.socket.set_nonblocking(!inbox.requests.is_empty() || self.serial.is_some())?;
                match self.socket.recv_from(&mut buffer) {
                    Ok((len, peer)) => inbox.take(buffer.get(..len).unwrap_or_default(), peer),
                    Err(error) if is_silence(&error) => break,
                    Err(error) => return Err(error).context("the device's socket failed"),
                }
            }
            let Some((packet, peer)) = inbox.requests.pop_front() else { continue };
            let socket = &self.socket;
            // An answer that cannot be sent is lost, like any other datagram.
            let send = |answer: &[u8]| drop(socket.send_to(answer, peer));
            self.device.packet(&packet, self.clock.elapsed(), send);
            self.print(console);
        }
    }
}

impl Host {
    /// Prints what the device has said: on its serial line too, where that carries text.
    fn print(&mut self, console: &mut impl FnMut(&str)) {
        for line in self.device.console() {
            console(&line);
            if let Some(serial) = self.serial.as_mut().filter(|_| self.device.serial_carries_text())
            {
                serial.print(&line);
            }
        }
    }

    /// Lets the device hear what came over its serial line.
    fn listen(&mut self, buffer: &mut [u8]) -> anyhow::Result<()> {
        let Some(serial) = &mut self.serial else { return Ok(()) };
        let bytes = serial.receive(buffer)?;
        if !bytes.is_empty() {
            self.device.serial(bytes, self.clock.elapsed(), |piece| serial.send(piece));
        }
        Ok(())
    }
}

/// The requests that the device has buffers for. It drops more, as devices do.
#[derive(Debug, Default)]
struct Inbox {
    requests: VecDeque<(Vec<u8>, SocketAddr)>,
}

impl Inbox {
    /// The last buffer is for the answer.
    const ROOM: usize = BUFFERS.count as usize - 1;
    /// How many datagrams are looked at in a row, so that a flood does not stop the device.
    const LOOKS: usize = 64;

    fn take(&mut self, packet: &[u8], peer: SocketAddr) {
        if !packet.is_empty() && self.requests.len() < Self::ROOM {
            self.requests.push_back((packet.to_vec(), peer));
        }
    }
}

/// Nothing came, or the answer before met a closed port.
fn is_silence(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

/// A socket whose datagrams wake the device up: an empty one asks for nothing.
fn bell(socket: &UdpSocket) -> std::io::Result<UdpSocket> {
    let mut address = socket.local_addr()?;
    let home: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() {
        address.set_ip(home);
    }
    let bell = UdpSocket::bind((address.ip(), 0))?;
    bell.connect(address)?;
    Ok(bell)
}

/// A handle to a device that is played elsewhere.
#[derive(Clone, Debug)]
pub struct Remote {
    deeds: Sender<Deed>,
    bell: Arc<UdpSocket>,
    running: Arc<AtomicU64>,
}

impl Remote {
    /// Does something to the device and waits for what comes of it.
    pub fn with<R: Send + 'static>(
        &self,
        deed: impl FnOnce(&mut Device, Duration) -> R + Send + 'static,
    ) -> anyhow::Result<R> {
        let (tell, told) = channel();
        let deed = move |device: &mut Device, now| -> Report {
            let outcome = deed(device, now);
            // Nobody waits any more if this fails.
            Box::new(move || drop(tell.send(outcome)))
        };
        let gone = || anyhow!("the virtual device has stopped");
        self.deeds.send(Box::new(deed)).map_err(|_| gone())?;
        // Without it the device looks a little later.
        let _ = self.bell.send(&[]);
        told.recv().map_err(|_| gone())
    }
}

impl Remote {
    /// The boot that the running application came with; `None` if none runs.
    pub fn runs(&self) -> Option<u64> {
        Some(self.running.load(Ordering::Relaxed)).filter(|boots| *boots > 0)
    }

    /// Waits until an application runs. `None`: the device has stopped for good.
    pub fn wait_until_it_runs(&self) -> Option<u64> {
        loop {
            if let Some(boots) = self.runs() {
                return Some(boots);
            }
            self.with(|_, _| ()).ok()?;
            std::thread::sleep(NAP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_without_a_buffer_are_dropped() {
        let mut inbox = Inbox::default();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        (0..20).for_each(|n| inbox.take(&[n], peer));
        assert_eq!(inbox.requests.iter().map(|(packet, _)| packet[0]).max(), Some(6));
        inbox.requests.pop_front();
        (20..30).for_each(|n| inbox.take(&[n], peer));
        assert_eq!(inbox.requests.back(), Some(&(vec![20], peer)));
    }
}
