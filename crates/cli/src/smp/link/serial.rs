//! SMP over a serial line, which the device's console may share.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serial2::SerialPort;
use updraft_smp::client;
use updraft_smp::framing::{Console, Framing, Raw, Received};

use super::Link;
use crate::report::Hint;

/// Bytes of the largest message that is taken.
const SIZE: usize = 16 * 1024;
/// Bytes of text that are kept until somebody asks for them; older ones go first.
const TEXT: usize = 64 * 1024;

/// How messages are told from each other on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framed {
    /// Lines of base64, beside the text of a console.
    Console,
    /// One message behind the other.
    Raw,
}

#[derive(Debug)]
enum Receiver {
    Console(Box<Console<SIZE>>),
    Raw(Box<Raw<SIZE>>),
}

impl Receiver {
    fn new(framed: Framed) -> Self {
        match framed {
            Framed::Console => Self::Console(Box::default()),
            Framed::Raw => Self::Raw(Box::default()),
        }
    }
}

/// A serial port, or a pseudo-terminal.
#[derive(Debug)]
pub struct Serial {
    path: PathBuf,
    baud: u32,
    /// `None` once it has failed. Nothing stays open of it: over USB, a device that comes back
    /// would get another name.
    port: Option<SerialPort>,
    framed: Framed,
    receiver: Receiver,
    /// Bytes that came behind the last message.
    waiting: VecDeque<u8>,
    message: Vec<u8>,
    /// What else is printed on the line.
    text: VecDeque<u8>,
    clock: Instant,
    /// What was sent last.
    sent: Vec<u8>,
    /// Whether lines go out no faster than `baud` says.
    paced: bool,
}

impl Serial {
    /// The port `path` at `baud` bits per second.
    pub fn open(path: &Path, baud: u32, framed: Framed) -> anyhow::Result<Self> {
        let port = open(path, baud)?;
        Ok(Self {
            path: path.to_owned(),
            baud,
            port: Some(port),
            framed,
            receiver: Receiver::new(framed),
            waiting: VecDeque::new(),
            message: Vec::new(),
            text: VecDeque::new(),
            clock: Instant::now(),
            sent: Vec::new(),
            paced: false,
        })
    }

    /// Sends line by line, and waits after each for as long as a wire would carry it.
    fn send_paced(&self, port: &SerialPort, bytes: &[u8]) -> std::io::Result<()> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let bits = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_mul(10);
            let nanos = bits.saturating_mul(1_000_000_000) / u64::from(self.baud.max(1));
            let until = Instant::now() + Duration::from_nanos(nanos);
            port.write_all(line)?;
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Looks for a message in what has come, and puts aside what else is printed on the line.
    fn complete(&mut self) -> bool {
        while let Some(byte) = self.waiting.pop_front() {
            let now = self.clock.elapsed();
            let received = match &mut self.receiver {
                Receiver::Console(console) => console.receive(byte, now),
                Receiver::Raw(raw) => raw.receive(byte, now),
            };
            match received {
                Some(Received::Message(message)) => {
                    self.message.clear();
                    self.message.extend_from_slice(message);
                    return true;
                }
                Some(Received::Text(text)) => {
                    self.text.extend(text);
                    let excess = self.text.len().saturating_sub(TEXT);
                    self.text.drain(..excess);
                }
                None => {}
            }
        }
        false
    }
}

impl Link for Serial {
    fn kind(&self) -> client::Link {
        match self.framed {
            Framed::Console => client::Link::Console,
            Framed::Raw => client::Link::RawSerial,
        }
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        let write = |piece: &[u8]| bytes.extend_from_slice(piece);
        match self.framed {
            Framed::Console => Console::<SIZE>::send(message, write)?,
            Framed::Raw => Raw::<SIZE>::send(message, write)?,
        }
        // Devices take few lines ahead; a UART is slow enough for them, USB and pseudo-terminals
        // are not. On a UART the wait changes nothing, so it need not be known which one it is.
        self.paced |= self.framed == Framed::Console && self.sent == message;
        self.sent.clear();
        self.sent.extend_from_slice(message);
        let Some(port) = &self.port else { return Err(gone()) };
        let sent = if self.paced { self.send_paced(port, &bytes) } else { port.write_all(&bytes) };
        if sent.is_err() {
            self.port = None;
        }
        sent.context("the message could not be sent")
    }

    fn receive(&mut self, timeout: Duration) -> anyhow::Result<Option<&[u8]>> {
        let until = Instant::now() + timeout;
        let mut buffer = [0; 1024];
        while !self.complete() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let Some(port) = &mut self.port else { return Err(gone()) };
            port.set_read_timeout(left.max(Duration::from_millis(1)))?;
            match port.read(&mut buffer) {
                Ok(0) => {
                    self.port = None;
                    return Err(gone());
                }
                Ok(len) => self.waiting.extend(buffer.get(..len).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    self.port = None;
                    return Err(error).context("the serial port failed");
                }
            }
        }
        Ok(Some(&self.message))
    }

    fn take_text(&mut self) -> Option<Vec<u8>> {
        match self.framed {
            Framed::Console => Some(self.text.drain(..).collect()),
            Framed::Raw => None,
        }
    }

    /// Over USB, the port goes when the device resets, and comes back with it.
    fn reopen(&mut self) -> anyhow::Result<()> {
        self.port = None;
        self.port = Some(open(&self.path, self.baud)?);
        self.receiver = Receiver::new(self.framed);
        self.waiting.clear();
        Ok(())
    }
}

fn open(path: &Path, baud: u32) -> anyhow::Result<SerialPort> {
    let port = SerialPort::open(path, baud);
    let port = port
        .with_context(|| format!("{} cannot be opened", path.display()))
        .hint("is it the right port, does another program have it, may you use it?")?;
    port.discard_input_buffer().context("the serial port failed")?;
    Ok(port)
}

fn gone() -> anyhow::Error {
    let gone: anyhow::Result<()> = Err(std::io::Error::from(ErrorKind::NotConnected))
        .context("the serial port is gone")
        .hint("plug the device in again");
    gone.expect_err("just made")
}
