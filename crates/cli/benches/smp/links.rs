//! What lies between a client and the [`Stub`]: datagrams that take their time, and a serial line
//! that carries ten bits for a byte.
//!
//! The stub has room for one request less than it has buffers: an answer takes one too. A request
//! counts until its answer has arrived, wherever it is; one for which there is no room is lost.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use updraft_pty::Pty;
use updraft_smp::framing::{Console, Framing, Received};

use crate::stub::Stub;

/// The longest wait, so that the end is noticed.
const NAP: Duration = Duration::from_millis(20);
/// How long before its time something is waited for without sleeping.
const SPIN: Duration = Duration::from_micros(150);
/// Bytes of the largest message on a line.
const SIZE: usize = 8192;

/// A server that is running. It ends when it is asked what it has seen.
pub struct Running {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Stub>,
}

impl Running {
    fn start(work: impl FnOnce(&AtomicBool) -> Stub + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let flag = over.clone();
        Self { over, thread: std::thread::spawn(move || work(&flag)) }
    }

    /// Ends it.
    pub fn end(self) -> Stub {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the server has ended well")
    }
}

/// A server behind UDP whose answers come a round trip later.
pub fn udp(stub: Stub, address: SocketAddr, round_trip: Duration) -> Running {
    let socket = UdpSocket::bind(address)
        .unwrap_or_else(|error| panic!("{address} is where smpmgr expects a server: {error}"));
    socket.set_nonblocking(true).unwrap();
    Running::start(move |over| {
        let mut stub = stub;
        let mut buffer = vec![0; 65536];
        let mut travelling: VecDeque<(Instant, Vec<u8>, SocketAddr)> = VecDeque::new();
        while !over.load(Ordering::Relaxed) {
            while let Some((_, answer, peer)) = due(&mut travelling, |next| next.0) {
                let _ = socket.send_to(&answer, peer);
                stub.answered(Instant::now());
            }
            let next = travelling.front().map(|next| next.0);
            let wait = next.map_or(NAP, |at| at.saturating_duration_since(Instant::now()));
            // Waking up costs those most who wait for every answer: nobody pays for it.
            if !round_trip.is_zero() {
                wait_for(&socket, wait.min(NAP));
            }
            while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
                let now = Instant::now();
                if travelling.len() + 1 >= stub.buffers.count {
                    stub.seen.dropped += 1;
                    continue;
                }
                if let Some(answer) = stub.answer(&buffer[..len], now) {
                    travelling.push_back((now + round_trip, answer, peer));
                }
                if round_trip.is_zero() {
                    break;
                }
            }
        }
        stub
    })
}

/// A server at the end of a serial line of `baud` bits per second, and the path to the line.
pub fn serial(stub: Stub, baud: u32) -> (Running, PathBuf) {
    let pty = Pty::open().unwrap();
    let path: &Path = pty.path();
    let path = path.to_owned();
    let byte = Duration::from_secs(10) / baud;
    let running = Running::start(move |over| {
        let mut stub = stub;
        let mut console = Console::<SIZE>::default();
        let mut buffer = [0; 4096];
        // When each direction of the wire is free again.
        let (mut up, mut down) = (Instant::now(), Instant::now());
        let mut arriving: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let mut leaving: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let clock = Instant::now();
        let mut late = Duration::ZERO;
        while !over.load(Ordering::Relaxed) {
            while let Some((at, line)) = due(&mut leaving, |next| next.0) {
                late = at.elapsed();
                pty.send(&line);
                stub.answered(at);
            }
            while let Some((at, message)) = due(&mut arriving, |next| next.0) {
                if leaving.len() + 1 >= stub.buffers.count {
                    stub.seen.dropped += 1;
                    continue;
                }
                let Some(answer) = stub.answer(&message, at) else { continue };
                let mut line = Vec::new();
                Console::<SIZE>::send(&answer, |piece| line.extend_from_slice(piece)).unwrap();
                down = down.max(at) + byte * line.len() as u32;
                leaving.push_back((down, line));
            }
            let next = [arriving.front(), leaving.front()].into_iter().flatten().map(|next| next.0);
            let wait = next.min().map_or(NAP, |at| at.saturating_duration_since(Instant::now()));
            // The end of a sleep is too coarse for a fast line, and good enough for a slow one.
            let spin = if baud > 500_000 { SPIN } else { Duration::ZERO };
            if let Some(sleep) = wait.checked_sub(spin) {
                wait_for(&pty, sleep.min(NAP));
            }
            let bytes = pty.receive(&mut buffer).unwrap_or_default();
            // What is sent while the wire is busy waits for it, as in a UART's queue. That an answer
            // came later than it should have is not the client's fault.
            up = up.max(Instant::now() - late);
            for one in bytes {
                up += byte;
                if let Some(Received::Message(message)) = console.receive(*one, clock.elapsed()) {
                    arriving.push_back((up, message.to_vec()));
                }
            }
        }
        stub
    });
    (running, path)
}

/// The first in the queue, if its time has come.
fn due<T>(queue: &mut VecDeque<T>, at: impl Fn(&T) -> Instant) -> Option<T> {
    if at(queue.front()?) <= Instant::now() { queue.pop_front() } else { None }
}

fn wait_for(fd: &impl std::os::fd::AsFd, timeout: Duration) {
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let _ = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout));
}
