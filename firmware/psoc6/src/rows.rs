//! Flash in the chip: rows of 512 bytes, which the ROM erases and programs at once. A program asks it
//! by a mailbox; it answers on the small processor, as a non-maskable interrupt. TRM, "Nonvolatile
//! Memory Programming".
//!
//! ```text
//! mailbox ◀─ address of: command │ flags │ row │ data        its first word becomes the answer
//! ```

use firmware_board::{Violation, checked};
use firmware_cortex_m::{Register, Watchdog as _};
use updraft_flash::{Device, Geometry};

use crate::{Watchdog, at, cores};

/// The flash, with its first byte at 0x10000000.
#[derive(Debug)]
pub struct Rows(pub &'static Geometry<'static>);

const START: u32 = 0x1000_0000;
/// Bytes and words of a row, and bytes of the eight rows that can be erased at once.
const ROW: usize = 512;
const WORDS: usize = ROW / 4;
const SUBSECTOR: u32 = 8 * ROW as u32;

/// What the ROM is asked for; it is to be done when it answers.
const DONE_FIRST: u32 = 1 << 8;
const WRITE_ROW: u32 = 0x05 << 24 | DONE_FIRST;
const ERASE_ROW: u32 = 0x1c << 24 | DONE_FIRST;
const ERASE_SUBSECTOR: u32 = 0x1d << 24 | DONE_FIRST;
/// The answer's highest digit if all went well.
const WELL: u32 = 0xa;

/// The mailboxes by which the small and the large processor call the ROM: what they are taken by,
/// rung with, and given.
const MAILBOXES: [[Register; 4]; 2] = [
    [at(0x4022_0000), at(0x4022_0008), at(0x4022_000c), at(0x4022_001c)],
    [at(0x4022_0020), at(0x4022_0028), at(0x4022_002c), at(0x4022_003c)],
];
/// The mailbox is ours, or somebody's.
const TAKEN: u32 = 1 << 31;
/// What was read of flash before it was changed is forgotten.
const CACHE: Register = at(0x4024_0008);
const FORGET: u32 = 1;

// The vector of the non-maskable interrupt leads into the ROM, at 0xc.
core::arch::global_asm!(".global _nmi", ".set _nmi, 0xd");

/// Rings, and waits until the ROM has put the mailbox back. It runs in RAM: the large processor must
/// not read flash while that is written.
#[inline(never)]
// SAFETY: the start-up copies what is in such a section to RAM.
#[unsafe(link_section = ".data.call_rom")]
fn ring(bell: Register, lock: Register) {
    bell.write(1);
    while lock.read() & TAKEN != 0 {}
}

fn call(message: &mut [u32; 4]) -> Result<(), Violation> {
    // A slot takes longer than a watchdog may wait, a row does not.
    Watchdog.feed();
    let [take, bell, letter, lock] = MAILBOXES[usize::from(cores::is_large())];
    while take.read() & TAKEN == 0 {}
    let place = message.as_mut_ptr();
    letter.write(place as u32);
    ring(bell, lock);
    // SAFETY: the message is there; the ROM has written its first word.
    let answer = unsafe { place.read_volatile() };
    CACHE.write(FORGET);
    while CACHE.read() & FORGET != 0 {}
    if answer >> 28 == WELL { Ok(()) } else { Err(Violation::NotErased) }
}

impl Device for Rows {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        *self.0
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        checked(self.0, address, buf.len(), 1)?;
        let place = (START + address) as *const u8;
        // SAFETY: inside of flash, which is no part of `buf`.
        unsafe { core::ptr::copy_nonoverlapping(place, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        checked(self.0, address, data.len(), ROW as u32)?;
        for (place, row) in (START + address..).step_by(ROW).zip(data.chunks(ROW)) {
            // What the ROM reads has to lie in RAM, aligned.
            let mut words = [0; WORDS];
            let (pieces, _) = row.as_chunks::<4>();
            words.iter_mut().zip(pieces).for_each(|(word, it)| *word = u32::from_le_bytes(*it));
            call(&mut [WRITE_ROW, 0, place, words.as_ptr() as u32])?;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let end = checked(self.0, address, len as usize, ROW as u32)?;
        let mut next = address;
        while next < end {
            let whole = next.is_multiple_of(SUBSECTOR) && end - next >= SUBSECTOR;
            let (command, step) = match whole {
                true => (ERASE_SUBSECTOR, SUBSECTOR),
                false => (ERASE_ROW, ROW as u32),
            };
            call(&mut [command, START + next, 0, 0])?;
            next += step;
        }
        Ok(())
    }
}
