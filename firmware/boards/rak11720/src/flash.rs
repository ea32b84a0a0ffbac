//! Flash by the functions that the chip has in ROM, as its maker demands: AmbiqSuite, `am_hal_flash`.

use firmware_board::{Violation, checked};
use updraft_flash::{Device, Geometry};

use crate::DEVICES;

/// The flash, from address 0 on.
#[derive(Debug)]
pub struct Flash;

/// Key, bank, page.
type ErasePage = unsafe extern "C" fn(u32, u32, u32) -> u32;
/// Key, source in RAM, destination in flash, words.
type Program = unsafe extern "C" fn(u32, *const u32, u32, u32) -> u32;

const ERASE_PAGE: usize = 0x0800_0051;
const PROGRAM: usize = 0x0800_0055;
/// What both want to hear first.
const KEY: u32 = 0x1234_4321;
/// Bytes of a bank, of which there are two.
const BANK: u32 = 512 * 1024;
/// Words that are programmed at once.
const WORDS: usize = 64;

fn done(result: u32) -> Result<(), Violation> {
    if result == 0 { Ok(()) } else { Err(Violation::NotErased) }
}

impl Device for Flash {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        DEVICES[0]
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        checked(&DEVICES[0], address, buf.len(), 1)?;
        for (place, byte) in (address..).zip(buf) {
            // SAFETY: inside of flash, which is no part of `buf`; the loader before us lies at 0.
            *byte = unsafe { (place as *const u8).read_volatile() };
        }
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        checked(&DEVICES[0], address, data.len(), 4)?;
        // SAFETY: the chip's ROM has this function there.
        let program: Program = unsafe { core::mem::transmute(PROGRAM) };
        for (place, piece) in (address..).step_by(4 * WORDS).zip(data.chunks(4 * WORDS)) {
            // What it reads has to lie in RAM, aligned.
            let mut words = [0; WORDS];
            let (pieces, _) = piece.as_chunks::<4>();
            words.iter_mut().zip(pieces).for_each(|(word, it)| *word = u32::from_le_bytes(*it));
            // SAFETY: inside of flash, where no Rust value lies that changes; interrupts are masked.
            let result = unsafe { program(KEY, words.as_ptr(), place, pieces.len() as u32) };
            done(result)?;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let page = DEVICES[0].sectors[0].size;
        let end = checked(&DEVICES[0], address, len as usize, page)?;
        // SAFETY: the chip's ROM has this function there.
        let erase: ErasePage = unsafe { core::mem::transmute(ERASE_PAGE) };
        for at in (address..end).step_by(page as usize) {
            // SAFETY: as above.
            done(unsafe { erase(KEY, at / BANK, at % BANK / page) })?;
        }
        Ok(())
    }
}
