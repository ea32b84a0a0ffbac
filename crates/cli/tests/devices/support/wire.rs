//! Serial lines that do to bytes what lines do: between a client and a device.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serial2::SerialPort;
use updraft_pty::Pty;

use super::{Chance, Way};

/// A line: clients open its path instead of the device's.
pub struct Wire {
    pub path: PathBuf,
    damaged: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Wire {
    /// A line to the device's at `path`, on which `fate` may change what comes by.
    pub fn to(path: &str, fate: impl FnMut(Way, &mut Vec<u8>) + Send + 'static) -> Self {
        Self::between(Pty::open().unwrap(), path, fate)
    }

    /// The same for clients that open `link`. When it is dropped their port is gone, and the link.
    pub fn linked(
        link: &Path,
        path: &str,
        fate: impl FnMut(Way, &mut Vec<u8>) + Send + 'static,
    ) -> Self {
        Self::between(Pty::open().unwrap().linked(link).unwrap(), path, fate)
    }

    fn between(
        near: Pty,
        path: &str,
        fate: impl FnMut(Way, &mut Vec<u8>) + Send + 'static,
    ) -> Self {
        let near = Arc::new(near);
        let mut far = SerialPort::open(path, 115_200).unwrap();
        far.set_read_timeout(Duration::from_millis(20)).unwrap();
        let far = Arc::new(far);
        let path = near.path().to_owned();
        let over = Arc::new(AtomicBool::new(false));
        let fate = Arc::new(Mutex::new(fate));
        let ends = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&over), Arc::clone(&fate));
        let there = std::thread::spawn(move || {
            let (near, far, over, fate) = ends;
            let mut buffer = [0; 4096];
            while !over.load(Ordering::Relaxed) {
                if !near.wait(Duration::from_millis(20)).unwrap_or(false) {
                    continue;
                }
                let mut bytes = near.receive(&mut buffer).unwrap_or_default().to_vec();
                (fate.lock().unwrap())(Way::ToDevice, &mut bytes);
                let _ = far.write_all(&bytes);
            }
        });
        let ends = (near, far, Arc::clone(&over));
        let back = std::thread::spawn(move || {
            let (near, far, over) = ends;
            let mut buffer = [0; 4096];
            while !over.load(Ordering::Relaxed) {
                let Ok(len) = far.read(&mut buffer) else { continue };
                let mut bytes = buffer[..len].to_vec();
                (fate.lock().unwrap())(Way::ToClient, &mut bytes);
                near.send(&bytes);
            }
        });
        Self { path, damaged: Arc::default(), over, threads: vec![there, back] }
    }

    /// A line on which so many bytes of 100 000 become others, vanish, or are one too many.
    pub fn damaging(path: &str, of_100_000: usize, seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        let damaged = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&damaged);
        let mut wire = Self::to(path, move |_, bytes| {
            let mut after = Vec::with_capacity(bytes.len());
            for byte in bytes.drain(..) {
                if chance.below(100_000) >= of_100_000 {
                    after.push(byte);
                    continue;
                }
                count.fetch_add(1, Ordering::Relaxed);
                match chance.below(3) {
                    0 => after.push(chance.below(256) as u8),
                    1 => {}
                    _ => after.extend([byte, chance.below(256) as u8]),
                }
            }
            *bytes = after;
        });
        wire.damaged = damaged;
        wire
    }

    /// How many bytes were damaged.
    pub fn damaged(&self) -> usize {
        self.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}
