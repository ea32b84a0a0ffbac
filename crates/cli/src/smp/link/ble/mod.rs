//! SMP over Bluetooth LE: this computer as a central, on a controller of its own.
//!
//! ```text
//! Link ── messages ─▶ thread: trouble-host ── HCI ── controller ─ ─ ─ device
//!      ◀─ packets ──    finds, connects, pairs; and again when the device was away
//! ```

mod central;
mod scan;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use updraft_smp::client;

use super::Link;
use crate::bluetooth::{BondFile, Controller};

pub use scan::heard;

/// Messages that wait for the radio.
const WAITING: usize = 16;
/// How long a message waits for room among them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which device, and how to be safe with it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name, or its address as six bytes in hexadecimal with colons.
    pub device: String,
    /// The six digits that it shows or that come with it.
    pub passkey: Option<u32>,
}

/// What the thread says.
enum Event {
    /// The device is there, with this ATT MTU.
    Ready(u16),
    /// A message came.
    Packet(Vec<u8>),
    /// Nothing more will come.
    Failed(anyhow::Error),
}

/// What is said to the thread.
struct Orders {
    messages: Channel<CriticalSectionRawMutex, Vec<u8>, WAITING>,
    close: Signal<CriticalSectionRawMutex, ()>,
}

/// A connection to a device, taken up again by itself whenever it is lost.
pub struct Ble {
    orders: Arc<Orders>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
    mtu: u16,
    packet: Vec<u8>,
}

impl Ble {
    /// Finds the device and connects to it. `bonds` are asked for its key, and get a new one.
    pub fn connect(controller: &Controller, peer: Peer, bonds: BondFile) -> anyhow::Result<Self> {
        let hci = controller.open()?;
        let (tell, events) = channel();
        let orders = Arc::new(Orders { messages: Channel::new(), close: Signal::new() });
        let taken = Arc::clone(&orders);
        let thread = std::thread::Builder::new().name("bluetooth".into()).spawn(move || {
            if let Err(error) = central::run(&hci, &peer, bonds, &taken, &tell) {
                // Nobody listens any more if this fails.
                let _ = tell.send(Event::Failed(error));
            }
        });
        let thread = Some(thread.context("no thread for Bluetooth can be started")?);
        let mut ble = Self { orders, events, thread, mtu: 0, packet: Vec::new() };
        while ble.mtu == 0 {
            match ble.events.recv() {
                Ok(event) => drop(ble.take(event)?),
                Err(_) => return Err(gone()),
            }
        }
        Ok(ble)
    }

    /// Whether the event is a packet.
    fn take(&mut self, event: Event) -> anyhow::Result<bool> {
        match event {
            Event::Ready(mtu) => self.mtu = mtu,
            Event::Packet(packet) => {
                self.packet = packet;
                return Ok(true);
            }
            Event::Failed(error) => return Err(error),
        }
        Ok(false)
    }
}

impl Drop for Ble {
    fn drop(&mut self) {
        self.orders.close.signal(());
        if let Some(thread) = self.thread.take() {
            // A panic was printed already.
            let _ = thread.join();
        }
    }
}

impl Link for Ble {
    fn kind(&self) -> client::Link {
        client::Link::Ble { mtu: self.mtu }
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        // While the device is away nobody takes messages: they are lost, like on any other link.
        while self.orders.messages.try_send(message.to_vec()).is_err() {
            if Instant::now() >= until {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn receive(&mut self, timeout: Duration) -> anyhow::Result<Option<&[u8]>> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    if self.take(event)? {
                        return Ok(Some(&self.packet));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
    }
}

fn gone() -> anyhow::Error {
    anyhow!("the Bluetooth controller is gone")
}
