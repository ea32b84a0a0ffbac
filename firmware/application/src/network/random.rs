//! Random numbers for a board that has no source of them.
//!
//! ```text
//! state = SHA-256(private key │ MAC address │ starts so far │ entropy of the board)
//! numbers = SHA-256(state │ 0), SHA-256(state │ 1), …
//! ```
//! No two starts have the same count, so that no two have the same numbers; nobody who lacks the
//! private key or the board's entropy can tell them. A board without either says so on its console:
//! whoever has its image can read what it says over TLS.

use rand_core::{CryptoRng, Error, RngCore};
use updraft_image::{HashKind, Hasher};

#[derive(Debug)]
pub(super) struct Random {
    state: [u8; 32],
    count: u64,
    left: [u8; 32],
    used: usize,
}

impl Random {
    pub fn new(key: &[u8], mac: &[u8; 6], starts: u32, entropy: &[u8]) -> Self {
        let starts = starts.to_le_bytes();
        let state = hash(&[b"updraft random numbers", key, mac, &starts, entropy]);
        Self { state, count: 0, left: [0; 32], used: 32 }
    }

    fn byte(&mut self) -> u8 {
        if let Some(byte) = self.left.get(self.used) {
            self.used += 1;
            return *byte;
        }
        self.left = hash(&[&self.state, &self.count.to_le_bytes()]);
        self.count += 1;
        self.used = 1;
        let [first, ..] = self.left;
        first
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::new(HashKind::Sha256);
    for part in parts {
        hasher.update(&(part.len() as u32).to_le_bytes());
        hasher.update(part);
    }
    hasher.finish().as_bytes().first_chunk().copied().unwrap_or_default()
}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes([0; 4].map(|_: u8| self.byte()))
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes([0; 8].map(|_: u8| self.byte()))
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.byte());
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Random {}
