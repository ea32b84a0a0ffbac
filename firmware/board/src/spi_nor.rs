//! NOR flash behind SPI, by the commands that all such chips share: 24-bit addresses, pages of 256
//! bytes, erased by the sector.

use updraft_flash::{Device, Geometry};

use crate::{Violation, checked};

/// A line to the chip.
pub trait Spi {
    /// Selects the chip, or lets go of it.
    fn select(&mut self, selected: bool);

    /// Sends a byte while one comes in.
    fn exchange(&mut self, byte: u8) -> u8;
}

/// Bytes of a page.
const PAGE: usize = 256;
/// Looks at the status of a chip that is at work before it is given up: more than a second of them
/// at 8 MHz, and the slowest erase takes half of one.
const PATIENCE: u32 = 1_000_000;

const READ: u8 = 0x03;
const WRITE_ENABLE: u8 = 0x06;
const PROGRAM: u8 = 0x02;
const STATUS: u8 = 0x05;
const IDENTIFY: u8 = 0x9f;
const WAKE: u8 = 0xab;
/// In the status: the chip is at work.
const BUSY: u8 = 1;

/// A chip.
#[derive(Debug)]
pub struct SpiNor<S> {
    line: S,
    geometry: &'static Geometry<'static>,
    erase: u8,
    id: [u8; 3],
}

impl<S: Spi> SpiNor<S> {
    /// The chip on `line`; `erase` is the command for sectors of the size that it is described with.
    pub fn open(line: S, geometry: &'static Geometry<'static>, erase: u8) -> Self {
        let mut chip = Self { line, geometry, erase, id: [0; 3] };
        chip.command(&[WAKE], |_| {});
        let mut id = [0; 3];
        chip.command(&[IDENTIFY], |line| id.fill_with(|| line.exchange(0)));
        chip.id = id;
        chip
    }

    /// Who made it, and what it is: as JEDEC has it.
    pub fn id(&self) -> [u8; 3] {
        self.id
    }

    /// Whether there is one at all: an open line reads as all ones, or all zeros.
    pub fn is_there(&self) -> bool {
        self.id != [0xff; 3] && self.id != [0; 3]
    }

    fn command<R>(&mut self, bytes: &[u8], then: impl FnOnce(&mut S) -> R) -> R {
        self.line.select(true);
        for byte in bytes {
            self.line.exchange(*byte);
        }
        let result = then(&mut self.line);
        self.line.select(false);
        result
    }

    fn at(&mut self, command: u8, address: u32, then: impl FnOnce(&mut S)) {
        let [_, high, middle, low] = address.to_be_bytes();
        self.command(&[command, high, middle, low], then);
    }

    /// Waits until it is done. One that never is has gone, or never was.
    fn done(&mut self) -> Result<(), Violation> {
        for _ in 0..PATIENCE {
            if self.command(&[STATUS], |line| line.exchange(0)) & BUSY == 0 {
                return Ok(());
            }
        }
        Err(Violation::Silent)
    }

    fn check(&self, address: u32, len: usize, unit: u32) -> Result<(), Violation> {
        if !self.is_there() {
            return Err(Violation::Silent);
        }
        checked(self.geometry, address, len, unit).map(|_| ())
    }
}

impl<S: Spi> Device for SpiNor<S> {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        *self.geometry
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        self.check(address, buf.len(), 1)?;
        self.at(READ, address, |line| buf.fill_with(|| line.exchange(0)));
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        self.check(address, data.len(), 1)?;
        let (mut at, mut left) = (address, data);
        while !left.is_empty() {
            // A page that is passed begins anew with what comes then.
            let room = PAGE - at as usize % PAGE;
            let (piece, rest) = left.split_at_checked(room).unwrap_or((left, &[]));
            self.command(&[WRITE_ENABLE], |_| {});
            self.at(PROGRAM, at, |line| {
                for byte in piece {
                    line.exchange(*byte);
                }
            });
            self.done()?;
            at = at.wrapping_add(piece.len() as u32);
            left = rest;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let sector = self.geometry.sectors.first().map_or(u32::MAX, |run| run.size);
        self.check(address, len as usize, sector)?;
        for at in (address..address + len).step_by(sector as usize) {
            self.command(&[WRITE_ENABLE], |_| {});
            self.at(self.erase, at, |_| {});
            self.done()?;
        }
        Ok(())
    }
}
