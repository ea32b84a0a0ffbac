//! A serial line of a machine: for clients a pseudo-terminal, for tests what was printed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use updraft_pty::Pty;

use crate::Error;

/// How often the line looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);

/// Told what a machine prints before any client sees it; says whether the machine hears from now
/// on what is sent to it, or nothing new.
pub(crate) type Ears = Box<dyn FnMut(&[u8]) -> Option<bool> + Send>;

/// One of a machine's UARTs.
#[derive(Debug)]
pub struct Line {
    pty: Arc<Pty>,
    uart: UnixStream,
    printed: Arc<Printed>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Printed {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// Bytes before this one have been waited for.
    seen: usize,
}

impl Printed {
    fn text(&self) -> MutexGuard<'_, Text> {
        self.text.lock().expect("no panic holds it")
    }
}

impl Line {
    /// The line behind QEMU's socket, which ends in `pty`.
    pub(crate) fn new(
        uart: UnixStream,
        pty: Arc<Pty>,
        mut ears: Option<Ears>,
    ) -> Result<Self, Error> {
        // What was sent to a machine without power.
        while !pty.receive(&mut [0; 4096])?.is_empty() {}
        let printed = Arc::new(Printed::default());
        let over = Arc::new(AtomicBool::new(false));
        let hears = Arc::new(AtomicBool::new(true));
        let from_machine = {
            let (pty, printed, mut uart) = (pty.clone(), printed.clone(), uart.try_clone()?);
            let hears = hears.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(len @ 1..) = uart.read(&mut buffer) {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    if let Some(now) = ears.as_mut().and_then(|ears| ears(bytes)) {
                        hears.store(now, Ordering::SeqCst);
                    }
                    printed.text().bytes.extend_from_slice(bytes);
                    printed.more.notify_all();
                    pty.send(bytes);
                }
            })
        };
        let to_machine = {
            let (pty, over, mut uart) = (pty.clone(), over.clone(), uart.try_clone()?);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while !over.load(Ordering::Relaxed) {
                    let Ok(ready) = pty.wait(NAP) else { return };
                    let Ok(bytes) = pty.receive(&mut buffer) else { return };
                    // What is sent to nobody is lost, as on a wire.
                    let heard = ready && hears.load(Ordering::SeqCst);
                    if heard && uart.write_all(bytes).is_err() {
                        return;
                    }
                }
            })
        };
        Ok(Self { pty, uart, printed, over, threads: vec![from_machine, to_machine] })
    }

    /// The serial port that clients open.
    pub fn path(&self) -> &Path {
        self.pty.path()
    }

    /// Everything that the machine has printed, binary messages included.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.text().bytes).into_owned()
    }

    /// What the machine has printed behind the first `at` bytes: as soon as that is something, or
    /// nothing once `patience` is over.
    pub fn printed_since(&self, at: usize, patience: Duration) -> Vec<u8> {
        let end = Instant::now() + patience;
        let mut said = self.printed.text();
        loop {
            let new = said.bytes.get(at..).unwrap_or_default();
            let left = end.saturating_duration_since(Instant::now());
            if !new.is_empty() || left.is_zero() {
                return new.to_vec();
            }
            said = self.printed.more.wait_timeout(said, left).expect("no panic holds it").0;
        }
    }

    /// Waits until the machine has printed `text`. Texts are waited for in their order: what was
    /// printed before the last one found does not count.
    ///
    /// # Errors
    /// [`Error::Silent`] if it was not printed in time.
    pub fn wait(&self, text: &str, patience: Duration) -> Result<(), Error> {
        let end = Instant::now() + patience;
        let mut said = self.printed.text();
        loop {
            let unseen = said.bytes.get(said.seen..).unwrap_or_default();
            if let Some(at) = find(unseen, text.as_bytes()) {
                said.seen += at + text.len();
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let printed = String::from_utf8_lossy(unseen).into_owned();
                return Err(Error::Silent { text: text.to_owned(), patience, printed });
            }
            said = self.printed.more.wait_timeout(said, left).expect("no panic holds it").0;
        }
    }

    /// Sends bytes to the machine, as a client would.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        Ok((&self.uart).write_all(bytes)?)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.uart.shutdown(std::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len().max(1)).position(|window| window == text)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn pty() -> Arc<Pty> {
        Arc::new(Pty::open().unwrap())
    }

    #[test]
    fn both_a_client_and_the_test_hear_what_is_printed() {
        let (mut uart, ours) = UnixStream::pair().unwrap();
        let line = Line::new(ours, pty(), None).unwrap();
        let mut client = File::options().read(true).write(true).open(line.path()).unwrap();
        uart.write_all(b"boot\r\nready\r\n").unwrap();
        line.wait("ready", Duration::from_secs(5)).unwrap();
        let again = line.wait("boot", Duration::from_millis(10)).unwrap_err().to_string();
        assert!(again.contains("no `boot` on the line"), "{again}");
        let mut heard = [0; 13];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"boot\r\nready\r\n");

        client.write_all(b"from the client").unwrap();
        let mut typed = [0; 15];
        uart.read_exact(&mut typed).unwrap();
        assert_eq!(&typed, b"from the client");
        line.send(b"!").unwrap();
        uart.read_exact(&mut typed[..1]).unwrap();
        assert_eq!(typed[0], b'!');
    }

    #[test]
    fn what_is_sent_to_a_deaf_machine_is_lost() {
        let (mut uart, ours) = UnixStream::pair().unwrap();
        let ears: Ears = Box::new(|printed| Some(printed != b"reset"));
        let line = Line::new(ours, pty(), Some(ears)).unwrap();
        let mut client = File::options().read(true).write(true).open(line.path()).unwrap();
        let mut heard = [0; 5];
        uart.write_all(b"reset").unwrap();
        client.read_exact(&mut heard).unwrap();
        client.write_all(b"lost").unwrap();
        std::thread::sleep(2 * NAP);
        uart.write_all(b"ready").unwrap();
        client.read_exact(&mut heard).unwrap();
        client.write_all(b"heard").unwrap();
        uart.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"heard");
    }
}
