//! NOR flash behind SPI, by the commands that all such chips share: pages that are programmed, sectors
//! that are erased, addresses of three or four bytes.
//!
//! What was programmed or erased is read back: a chip that is protected, worn out or no longer there takes
//! every command, and says that it is done.

use crate::{Device, Geometry, Violation, checked};

/// What follows a command.
#[derive(Debug)]
pub enum Data<'d> {
    /// Nothing.
    None,
    /// Bytes from the chip.
    In(&'d mut [u8]),
    /// Bytes to the chip.
    Out(&'d [u8]),
}

/// A line to the chip.
pub trait Spi {
    /// Bytes of data that go into one transfer.
    const LONGEST: usize = usize::MAX;

    /// Selects the chip, sends a command, exchanges data, and lets go of the chip.
    fn transfer(&mut self, command: &[u8], data: Data<'_>);
}

/// The commands of a kind of chip.
#[derive(Clone, Copy, Debug)]
pub struct NorCommands {
    /// Reads from an address on.
    pub read: u8,
    /// Programs a page.
    pub program: u8,
    /// Erases a sector of the size that the chip is described with.
    pub erase: u8,
    /// Whether addresses have four bytes instead of three.
    pub long_addresses: bool,
    /// Bytes of a page.
    pub page: usize,
    /// What tells in the status that the last operation has failed, where the chip says so, and the
    /// command that clears it: until then it takes no other.
    pub failed: Option<(u8, u8)>,
}

/// Looks at the status of a chip that is at work before it is given up: more than a second of them
/// at 8 MHz, and several at the pace that chips with slow sectors are asked at.
const PATIENCE: u32 = 1_000_000;

/// How often a chip is asked who it is until it is taken for missing. It may have slept, and hears
/// nothing for up to 30 µs when it is woken; a question takes 32 clocks, so that these are enough at up to
/// 100 MHz.
const QUESTIONS: u32 = 100;
/// Bytes that are read back at once.
const PIECE: usize = 32;

const WRITE_ENABLE: u8 = 0x06;
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
    commands: NorCommands,
    id: [u8; 3],
}

impl<S: Spi> SpiNor<S> {
    /// The chip on `line`, which may be asleep.
    pub fn open(line: S, geometry: &'static Geometry<'static>, commands: NorCommands) -> Self {
        let mut chip = Self { line, geometry, commands, id: [0; 3] };
        chip.line.transfer(&[WAKE], Data::None);
        for _ in 0..QUESTIONS {
            chip.line.transfer(&[IDENTIFY], Data::In(&mut chip.id));
            if chip.is_there() {
                break;
            }
        }
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

    fn send(&mut self, command: u8, address: u32, data: Data<'_>) {
        let [highest, high, middle, low] = address.to_be_bytes();
        match self.commands.long_addresses {
            true => self.line.transfer(&[command, highest, high, middle, low], data),
            false => self.line.transfer(&[command, high, middle, low], data),
        }
    }

    /// Changes something, and waits until it is done. What never is has gone, or never was there.
    fn change(&mut self, command: u8, address: u32, data: Data<'_>) -> Result<(), Violation> {
        self.line.transfer(&[WRITE_ENABLE], Data::None);
        self.send(command, address, data);
        for _ in 0..PATIENCE {
            let mut status = [0];
            self.line.transfer(&[STATUS], Data::In(&mut status));
            let [status] = status;
            if let Some((_, clear)) = self.commands.failed.filter(|(bits, _)| status & bits != 0) {
                // All ones are no status, but a line that nobody drives.
                if status == u8::MAX {
                    return Err(Violation::Silent);
                }
                self.line.transfer(&[clear], Data::None);
                return Err(Violation::NotDone);
            }
            if status & BUSY == 0 {
                return Ok(());
            }
        }
        Err(Violation::Silent)
    }

    /// Whether the chip holds what `is_right` says of each byte, by its place behind `address`.
    fn holds(&mut self, address: u32, len: usize, is_right: impl Fn(usize, u8) -> bool) -> bool {
        let mut buffer = [0; PIECE];
        (0..len).step_by(PIECE).all(|start| {
            let piece = buffer.get_mut(..PIECE.min(len - start)).unwrap_or_default();
            self.send(self.commands.read, address.wrapping_add(start as u32), Data::In(piece));
            piece.iter().zip(start..).all(|(byte, place)| is_right(place, *byte))
        })
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
        let mut at = address;
        for piece in buf.chunks_mut(S::LONGEST) {
            self.send(self.commands.read, at, Data::In(piece));
            at = at.wrapping_add(piece.len() as u32);
        }
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        self.check(address, data.len(), 1)?;
        let (mut at, mut left) = (address, data);
        while !left.is_empty() {
            // A page that is passed begins anew with what comes then.
            let room = self.commands.page - at as usize % self.commands.page;
            let (piece, rest) = left.split_at_checked(room).unwrap_or((left, &[]));
            self.change(self.commands.program, at, Data::Out(piece))?;
            if !self.holds(at, piece.len(), |place, byte| piece.get(place) == Some(&byte)) {
                return Err(Violation::NotDone);
            }
            at = at.wrapping_add(piece.len() as u32);
            left = rest;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let sector = self.geometry.sectors.first().map_or(u32::MAX, |run| run.size);
        let erased = self.geometry.erased;
        self.check(address, len as usize, sector)?;
        for at in (address..address + len).step_by(sector as usize) {
            self.change(self.commands.erase, at, Data::None)?;
            if !self.holds(at, sector as usize, |_, byte| byte == erased) {
                return Err(Violation::NotDone);
            }
        }
        Ok(())
    }
}
