//! Telling flash states apart without keeping them.

use std::hash::{DefaultHasher, Hasher};

use crate::flash::{Op, SimFlash};

/// 128 bits that stand for the contents of every device.
///
/// Kept sector by sector, so that an operation costs no more than the sectors that it touches.
#[derive(Clone, Debug)]
pub(super) struct Fingerprint {
    sectors: Vec<Vec<u128>>,
    sum: u128,
}

/// Bytes that are hashed together.
const PIECE: usize = 1024;

impl Fingerprint {
    pub(super) fn of(flash: &SimFlash) -> Self {
        let device = |(index, device): (usize, &crate::flash::SimDevice)| -> Vec<u128> {
            let pieces = device.bytes().chunks(PIECE).enumerate();
            pieces.map(|(at, bytes)| hash(index, at, bytes)).collect()
        };
        let sectors: Vec<Vec<u128>> = flash.devices().iter().enumerate().map(device).collect();
        let sum = sectors.iter().flatten().fold(0, |sum, piece| sum ^ piece);
        Self { sectors, sum }
    }

    /// Takes notice of an operation that was carried out on `flash`, or torn.
    pub(super) fn update(&mut self, flash: &SimFlash, op: &Op) {
        let Some(device) = flash.devices().get(op.device) else { return };
        let Some(pieces) = self.sectors.get_mut(op.device) else { return };
        let first = op.address as usize / PIECE;
        let end = (op.address as usize + op.len as usize).div_ceil(PIECE);
        for (at, bytes) in device.bytes().chunks(PIECE).enumerate().take(end).skip(first) {
            let Some(piece) = pieces.get_mut(at) else { return };
            self.sum ^= *piece;
            *piece = hash(op.device, at, bytes);
            self.sum ^= *piece;
        }
    }

    pub(super) fn value(&self) -> u128 {
        self.sum
    }
}

fn hash(device: usize, at: usize, bytes: &[u8]) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(salt);
        hasher.write_usize(device);
        hasher.write_usize(at);
        hasher.write(bytes);
        u128::from(hasher.finish())
    };
    half(0x5bd1_e995) << 64 | half(0x1b87_3593)
}
