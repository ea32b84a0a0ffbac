//! HCI packets over a stream of bytes, framed as on a UART.
//!
//! ```text
//! 01 command │ 02 ACL data │ 03 synchronous data │ 04 event │ 05 isochronous data
//! then the packet, whose head tells its length
//! ```
//! A thread reads; whole packets wait for whoever asks, so that nothing is torn when a stack is
//! dropped and another one takes the controller over. Source: Bluetooth Core Specification, volume
//! 4, part A.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use bt_hci_transport::{
    PacketKind, PacketToController, PacketToHost, ReadHciError, Transport, WithIndicator,
};
use embassy_futures::yield_now;
use embedded_io::ErrorType;

/// Packets that wait before no more are read.
const WAITING: usize = 256;

/// What keeps a controller from being used.
#[derive(Debug)]
pub enum HciError {
    /// It is gone.
    Closed,
    /// It sent something that is no HCI packet.
    Malformed,
    /// The stream to it failed.
    Io(io::Error),
}

impl fmt::Display for HciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the controller is gone"),
            Self::Malformed => f.write_str("the controller sent what is no HCI packet"),
            Self::Io(error) => write!(f, "the controller cannot be reached any more: {error}"),
        }
    }
}

impl std::error::Error for HciError {}

impl embedded_io::Error for HciError {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self {
            Self::Closed => embedded_io::ErrorKind::NotConnected,
            Self::Malformed => embedded_io::ErrorKind::InvalidData,
            Self::Io(_) => embedded_io::ErrorKind::Other,
        }
    }
}

impl From<ReadHciError<Infallible>> for HciError {
    fn from(_: ReadHciError<Infallible>) -> Self {
        Self::Malformed
    }
}

/// A controller.
pub struct Hci {
    incoming: Arc<Incoming>,
    outgoing: Mutex<Box<dyn Write + Send>>,
}

impl fmt::Debug for Hci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hci").finish_non_exhaustive()
    }
}

impl Hci {
    /// How long the reading thread waits before it looks whether it is still wanted.
    pub const GLANCE: Duration = Duration::from_millis(100);

    /// The controller behind a stream whose reads time out after [`Hci::GLANCE`].
    pub fn new(mut read: impl Read + Send + 'static, write: impl Write + Send + 'static) -> Self {
        let incoming = Arc::new(Incoming::default());
        let queue = Arc::clone(&incoming);
        std::thread::spawn(move || {
            let why = loop {
                match packet(&mut read, &queue) {
                    Ok(packet) => queue.put(packet),
                    Err(why) => break why,
                }
            };
            queue.end(why);
        });
        Self { incoming, outgoing: Mutex::new(Box::new(write)) }
    }
}

impl Drop for Hci {
    fn drop(&mut self) {
        self.incoming.end(HciError::Closed);
    }
}

impl ErrorType for &Hci {
    type Error = HciError;
}

impl Transport for &Hci {
    async fn read<'a, P: PacketToHost<'a>>(&self, rx: &'a mut [u8]) -> Result<P, HciError> {
        // Whoever waits for what the packet before brought has its turn first: a peer may pair in the
        // same breath as it connects.
        yield_now().await;
        let packet = self.incoming.take().await?;
        let mut rest = packet.as_slice();
        let kind = PacketKind::read(&mut rest).map_err(|_| HciError::Malformed)?;
        P::read_hci(kind, &mut rest, rx).map_err(|_| HciError::Malformed)
    }

    async fn write<P: PacketToController>(&self, tx: &P) -> Result<(), HciError> {
        let tx = WithIndicator::new(tx);
        let mut packet = vec![0; tx.size()];
        tx.write_hci(packet.as_mut_slice()).map_err(|_| HciError::Malformed)?;
        let mut outgoing = self.outgoing.lock().expect("no panic holds it");
        outgoing.write_all(&packet).map_err(HciError::Io)
    }
}

/// Packets on their way from the controller.
#[derive(Default)]
struct Incoming {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    packets: VecDeque<Vec<u8>>,
    ended: Option<Option<HciError>>,
    waker: Option<Waker>,
}

impl Incoming {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic holds it")
    }

    fn is_over(&self) -> bool {
        self.state().ended.is_some()
    }

    fn put(&self, packet: Vec<u8>) {
        let full = |state: &mut State| state.packets.len() >= WAITING && state.ended.is_none();
        let mut state = self.room.wait_while(self.state(), full).expect("no panic holds it");
        state.packets.push_back(packet);
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    fn end(&self, why: HciError) {
        let mut state = self.state();
        state.ended.get_or_insert(Some(why));
        self.room.notify_all();
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    async fn take(&self) -> Result<Vec<u8>, HciError> {
        poll_fn(|context| {
            let mut state = self.state();
            if let Some(packet) = state.packets.pop_front() {
                self.room.notify_all();
                return Poll::Ready(Ok(packet));
            }
            if let Some(why) = &mut state.ended {
                return Poll::Ready(Err(why.take().unwrap_or(HciError::Closed)));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Reads a packet, its kind before it.
fn packet(from: &mut impl Read, queue: &Incoming) -> Result<Vec<u8>, HciError> {
    let mut packet = vec![0];
    fill(from, queue, &mut packet, 0)?;
    let head = match packet.as_slice() {
        [4] => 2,
        [3] => 3,
        [2 | 5] => 4,
        _ => return Err(HciError::Malformed),
    };
    packet.resize(1 + head, 0);
    fill(from, queue, &mut packet, 1)?;
    let len = match packet.as_slice() {
        [4, _, len] | [3, _, _, len] => usize::from(*len),
        [2, _, _, low, high] => usize::from(u16::from_le_bytes([*low, *high])),
        [5, _, _, low, high] => usize::from(u16::from_le_bytes([*low, *high]) & 0x3fff),
        _ => return Err(HciError::Malformed),
    };
    packet.resize(1 + head + len, 0);
    fill(from, queue, &mut packet, 1 + head)?;
    Ok(packet)
}

/// Fills `packet` from `at`, however long that takes.
fn fill(
    from: &mut impl Read,
    queue: &Incoming,
    packet: &mut [u8],
    mut at: usize,
) -> Result<(), HciError> {
    while let Some(rest) = packet.get_mut(at..).filter(|rest| !rest.is_empty()) {
        if queue.is_over() {
            return Err(HciError::Closed);
        }
        match from.read(rest) {
            Ok(0) => return Err(HciError::Closed),
            Ok(len) => at += len,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(HciError::Io(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bluetooth::block_on;

    /// A stream that hands out `sizes` bytes at a time.
    struct Slow(Vec<u8>, usize);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(self.1).min(self.0.len());
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }

    fn packets(bytes: &[u8], size: usize) -> (Vec<Vec<u8>>, HciError) {
        let hci = Hci::new(Slow(bytes.to_vec(), size), io::sink());
        let mut found = Vec::new();
        loop {
            match block_on(hci.incoming.take()) {
                Ok(packet) => found.push(packet),
                Err(why) => return (found, why),
            }
        }
    }

    #[test]
    fn packets_are_told_from_each_other_however_they_come() {
        let event = [4, 0x0e, 4, 1, 3, 0x0c, 0];
        let data = [2, 1, 0x20, 3, 0, 9, 8, 7];
        let (sync, iso) = ([3, 1, 0, 1, 5], [5, 1, 0, 2, 0x40, 6, 7]);
        let all = [&event[..], &data, &sync, &iso].concat();
        for size in [1, 3, 64] {
            let (found, why) = packets(&all, size);
            assert_eq!(found, [&event[..], &data, &sync, &iso]);
            assert!(matches!(why, HciError::Closed));
        }
    }

    #[test]
    fn what_is_no_packet_ends_the_controller() {
        let (found, why) = packets(&[4, 0x13, 0, 0x55, 1, 2], 2);
        assert_eq!(found, [[4, 0x13, 0]]);
        assert!(matches!(why, HciError::Malformed));
    }
}
