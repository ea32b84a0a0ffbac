//! What stands for flash: windows of the memory that the emulator keeps in a file. It takes every
//! store; the rules of NOR flash are this driver's.

use firmware_board::Violation;
use firmware_cortex_m::{Register, Watchdog as _};
use updraft_flash::{Device, Geometry};

use crate::DEVICES;
use crate::peripherals::{Watchdog, at};

/// What stands for trouble that the emulator's memory never has: words of the block RAM behind the
/// button's, which nobody but a debugger writes.
#[derive(Debug)]
struct Trouble;

impl Trouble {
    /// Bit n: device n of the board file does not answer.
    const SILENT: Register = at(0x0100_0004);
    /// Bit n: it takes no change.
    const PROTECTED: Register = at(0x0100_0008);
    /// From the number n down to one: n - 1 more changes succeed, and those behind them fail.
    const LAST: Register = at(0x0100_000c);

    fn has(mask: Register, device: usize) -> bool {
        mask.read() >> device & 1 != 0
    }

    /// Whether a device takes the next change.
    fn spares(device: usize) -> bool {
        match Self::LAST.read() {
            1 => return false,
            0 => {}
            left => Self::LAST.write(left - 1),
        }
        !Self::has(Self::PROTECTED, device)
    }
}

/// Whether a device of the board file answers.
pub fn answers(device: usize) -> bool {
    !Trouble::has(Trouble::SILENT, device)
}

/// A flash device.
#[derive(Debug)]
pub struct Window {
    number: usize,
    geometry: &'static Geometry<'static>,
    start: u32,
    size: u32,
}

/// Where the devices of the board file are.
const STARTS: [u32; 3] = [0, 0x2100_0000, 0x2180_0000];

impl Window {
    /// All of them, in the order of the board file.
    pub fn all() -> [Self; 3] {
        [0, 1, 2].map(|index: usize| {
            let geometry = &DEVICES[index];
            Self {
                number: index,
                geometry,
                start: STARTS[index],
                size: geometry.size().unwrap_or(0),
            }
        })
    }

    /// The place of `len` bytes from `address` on.
    fn place(&self, address: u32, len: usize) -> Result<u32, Violation> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let end = address.checked_add(len).filter(|end| *end <= self.size);
        let place = end.map(|_| self.start + address).ok_or(Violation::Outside)?;
        if answers(self.number) { Ok(place) } else { Err(Violation::Silent) }
    }

    /// The same, of what is to be changed. That feeds the watchdog, as on chips where it takes time.
    fn changed(&self, address: u32, len: usize) -> Result<u32, Violation> {
        Watchdog.feed();
        let place = self.place(address, len)?;
        if Trouble::spares(self.number) { Ok(place) } else { Err(Violation::NotDone) }
    }

    /// Programs a byte or a word; no bit of it may go back to one.
    fn program<T: Copy + Cell>(place: u32, value: T) -> Result<(), Violation> {
        let place = place as *mut T;
        // SAFETY: `place` was found to lie in the window, which no Rust value lies in.
        let old = unsafe { place.read_volatile() };
        if !old.takes(value) {
            return Err(Violation::NotErased);
        }
        // SAFETY: as above.
        unsafe { place.write_volatile(value) };
        Ok(())
    }
}

trait Cell {
    fn takes(self, new: Self) -> bool;
}

impl Cell for u8 {
    fn takes(self, new: Self) -> bool {
        new & !self == 0
    }
}

impl Cell for u32 {
    fn takes(self, new: Self) -> bool {
        new & !self == 0
    }
}

impl Device for Window {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        *self.geometry
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        let place = self.place(address, buf.len())? as *const u8;
        // SAFETY: in the window, and flash is no part of `buf`.
        unsafe { core::ptr::copy_nonoverlapping(place, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        let place = self.changed(address, data.len())?;
        match self.geometry.write_size {
            1 => {
                for (place, byte) in (place..).zip(data) {
                    Self::program(place, *byte)?;
                }
            }
            _ => {
                let (words, rest) = data.as_chunks::<4>();
                if !rest.is_empty() || !place.is_multiple_of(4) {
                    return Err(Violation::Misaligned);
                }
                for (place, word) in (place..).step_by(4).zip(words) {
                    Self::program(place, u32::from_le_bytes(*word))?;
                }
            }
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let place = self.changed(address, len as usize)?;
        let begins = |at: u32| self.geometry.sector_at(at).is_some_and(|it| it.offset == at);
        if !begins(address) || !(begins(address + len) || address + len == self.size) {
            return Err(Violation::Misaligned);
        }
        for place in (place..place + len).step_by(4) {
            // SAFETY: in the window, and sectors are whole words.
            unsafe { (place as *mut u32).write_volatile(u32::MAX) };
        }
        Ok(())
    }
}
