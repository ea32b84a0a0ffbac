//! Flash behind its controller (NVMC). It begins at address 0.
//!
//! Programming and erasing stop the processor, for 85 ms a page: while the radio is on, they wait for
//! the gaps between what it does.

use firmware_board::{Violation, checked};
use firmware_cortex_m::{Register, Watchdog as _};
use updraft_flash::{Device, Geometry};

#[cfg(feature = "radio")]
use crate::radio::gaps;
use crate::{Watchdog, at};

/// The flash controller.
#[derive(Debug)]
pub struct Nvmc(pub &'static Geometry<'static>);

/// What is allowed.
const READ: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;

impl Nvmc {
    const READY: Register = at(0x4001_e400);
    const CONFIG: Register = at(0x4001_e504);
    const ERASE_PAGE: Register = at(0x4001_e508);

    fn wait() {
        while Self::READY.read() == 0 {}
    }

    /// What may be done from here on. A slot takes longer than a watchdog may wait, a page does not.
    #[inline(never)]
    fn allow(what: u32) {
        Watchdog.feed();
        Self::CONFIG.write(what);
        Self::wait();
    }
}

impl Device for Nvmc {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        *self.0
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        checked(self.0, address, buf.len(), 1)?;
        // SAFETY: inside of flash, which is no part of `buf`. The bootloader has no reason to read
        // itself, so that this is never address 0, which would be a null pointer.
        unsafe {
            core::ptr::copy_nonoverlapping(address as *const u8, buf.as_mut_ptr(), buf.len());
        }
        // An image is read from end to end, in parts.
        #[cfg(feature = "radio")]
        crate::radio::process();
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        checked(self.0, address, data.len(), 4)?;
        let (words, _) = data.as_chunks::<4>();
        #[cfg(feature = "radio")]
        if let Some(done) = gaps::write(address, data) {
            done?;
            let is = |(place, word): (u32, &[u8; 4])| at(place).read() == u32::from_le_bytes(*word);
            let whole = (address..).step_by(4).zip(words).all(is);
            return if whole { Ok(()) } else { Err(Violation::NotErased) };
        }
        let (mut place, mut whole) = (address, true);
        Self::allow(WRITE);
        for word in words {
            // A word of flash, where the controller turns a store into programming.
            let cell = at(place);
            let word = u32::from_le_bytes(*word);
            cell.write(word);
            Self::wait();
            whole &= cell.read() == word;
            place += 4;
        }
        Self::allow(READ);
        if whole { Ok(()) } else { Err(Violation::NotErased) }
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let page = self.0.sectors.first().map_or(u32::MAX, |run| run.size);
        let end = checked(self.0, address, len as usize, page)?;
        #[cfg(feature = "radio")]
        if let Some(done) = gaps::erase(address..end, page) {
            return done;
        }
        let mut at = address;
        while at < end {
            Self::allow(ERASE);
            Self::ERASE_PAGE.write(at);
            Self::wait();
            at += page;
        }
        Self::allow(READ);
        Ok(())
    }
}
