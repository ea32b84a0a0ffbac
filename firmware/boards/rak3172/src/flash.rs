//! Flash behind its controller: double words with an error-correcting code, written once. RM0461,
//! "Embedded flash memory".

use core::sync::atomic::{AtomicBool, Ordering};

use firmware_board::{Violation, checked};
use firmware_cortex_m::Register;
use updraft_flash::{Device, Geometry};

use crate::DEVICES;
use crate::at;

/// The flash controller.
#[derive(Debug)]
pub struct Flash;

const KEY: Register = at(0x5800_4008);
const STATUS: Register = at(0x5800_4010);
const CONTROL: Register = at(0x5800_4014);
const ECC: Register = at(0x5800_4018);
/// Where the first byte is in memory.
const START: u32 = 0x0800_0000;
const KEYS: [u32; 2] = [0x4567_0123, 0xcdef_89ab];
const BUSY: u32 = 1 << 16 | 1 << 18;
/// All that can be wrong, and that all is well: cleared by writing them.
const RESULTS: u32 = 0xc3fb;
const ERRORS: u32 = 0xc3fa;
const PROGRAM: u32 = 1;
const ERASE_PAGE: u32 = 1 << 1;
const PAGE_SHIFT: u32 = 3;
const START_ERASE: u32 = 1 << 16;
const LOCK: u32 = 1 << 31;
/// Two bits of a double word were wrong.
const ECC_DETECTED: u32 = 1 << 31;
/// One bit was, and has been corrected.
const ECC_CORRECTED: u32 = 1 << 30;

/// A double word was read that its code does not fit.
static UNREADABLE: AtomicBool = AtomicBool::new(false);

/// Reading such a double word is a non-maskable interrupt, after which the read goes on with
/// whatever there was.
// SAFETY: the linker script leaves this name to boards; there is one.
#[unsafe(no_mangle)]
extern "C" fn _nmi() {
    ECC.write(ECC_DETECTED | ECC_CORRECTED);
    UNREADABLE.store(true, Ordering::Relaxed);
}

fn wait() {
    while STATUS.read() & BUSY != 0 {}
}

/// Lets `work` change flash; says whether the controller was content with it.
fn unlocked(control: u32, work: impl FnOnce()) -> Result<(), Violation> {
    wait();
    if CONTROL.read() & LOCK != 0 {
        for key in KEYS {
            KEY.write(key);
        }
    }
    STATUS.write(RESULTS);
    CONTROL.write(control);
    work();
    wait();
    let wrong = STATUS.read() & ERRORS != 0;
    CONTROL.write(LOCK);
    if wrong { Err(Violation::NotErased) } else { Ok(()) }
}

impl Device for Flash {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        DEVICES[0]
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        checked(&DEVICES[0], address, buf.len(), 1)?;
        UNREADABLE.store(false, Ordering::Relaxed);
        for (place, byte) in (START + address..).zip(buf) {
            // SAFETY: inside of flash, which is no part of `buf`.
            *byte = unsafe { (place as *const u8).read_volatile() };
        }
        match UNREADABLE.load(Ordering::Relaxed) {
            true => Err(Violation::Unreadable),
            false => Ok(()),
        }
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        checked(&DEVICES[0], address, data.len(), 8)?;
        let (pairs, _) = data.as_chunks::<8>();
        for (place, pair) in (START + address..).step_by(8).zip(pairs) {
            let [a, b, c, d, e, f, g, h] = *pair;
            // Both halves, one right behind the other, are one write.
            unlocked(PROGRAM, || {
                at(place).write(u32::from_le_bytes([a, b, c, d]));
                at(place + 4).write(u32::from_le_bytes([e, f, g, h]));
            })?;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        let page = DEVICES[0].sectors[0].size;
        let end = checked(&DEVICES[0], address, len as usize, page)?;
        for number in address / page..end / page {
            let control = ERASE_PAGE | number << PAGE_SHIFT;
            unlocked(control, || CONTROL.write(control | START_ERASE))?;
        }
        Ok(())
    }
}
