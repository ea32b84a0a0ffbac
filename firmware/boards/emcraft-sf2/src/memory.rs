//! The memory that images are loaded to, and what the processor may do there.
//!
//! ```text
//! DDR      data, and never instructions: what every Cortex-M has it for by default, but cached
//! its part for images:
//!          the same while the bootloader copies and verifies; instructions, and no stores, from the
//!          moment that it starts one
//! ```
//! The unit is off after a reset, and an application leaves it as it finds it. Code that is read-only
//! also ends a stack that grows into it.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use firmware_cortex_m::Register;

use crate::board;

const fn at(address: u32) -> Register {
    // SAFETY: the registers of the memory protection unit.
    unsafe { Register::at(address) }
}

const CONTROL: Register = at(0xe000_ed94);
const NUMBER: Register = at(0xe000_ed98);
const BASE: Register = at(0xe000_ed9c);
const ATTRIBUTES: Register = at(0xe000_eda0);

/// Enabled; where no region is, everything is as without the unit.
const ON: u32 = 1 << 2 | 1;
const NO_INSTRUCTIONS: u32 = 1 << 28;
const READ_WRITE: u32 = 0b011 << 24;
const READ_ONLY: u32 = 0b110 << 24;
/// Normal memory, not cached.
const NORMAL: u32 = 1 << 19;
const ENABLED: u32 = 1;

/// All of DDR.
const DDR: (u32, u32) = (0xa000_0000, 64 << 20);
/// The part for images.
const IMAGES: (u32, u32) = match board::RAM_LOAD {
    Some(region) => region,
    None => panic!("the board file says where images are loaded to"),
};
const _: () = assert!(IMAGES.1.is_power_of_two() && IMAGES.0.is_multiple_of(IMAGES.1));
const _: () = assert!(IMAGES.0 >= DDR.0 && IMAGES.1 <= DDR.1);

fn region(number: u32, (base, size): (u32, u32), attributes: u32) {
    NUMBER.write(number);
    BASE.write(base);
    // A region has 2^(n + 1) bytes.
    let size = (size.trailing_zeros() - 1) << 1;
    ATTRIBUTES.write(attributes | NORMAL | size | ENABLED);
}

fn settle() {
    CONTROL.write(ON);
    // SAFETY: the processor goes on behind them.
    unsafe { asm!("dsb", "isb", options(nostack, preserves_flags)) }
}

/// The memory for images, for the first who asks.
pub fn take() -> Option<&'static mut [u8]> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.load(Ordering::Relaxed) {
        return None;
    }
    TAKEN.store(true, Ordering::Relaxed);
    region(0, DDR, READ_WRITE | NO_INSTRUCTIONS);
    settle();
    let (base, size) = IMAGES;
    // SAFETY: memory that the linker gives to nobody, and the flag to one.
    Some(unsafe { core::slice::from_raw_parts_mut(base as *mut u8, size as usize) })
}

/// Lets the processor run what is in the memory for images, and not change it.
pub fn make_executable() {
    // The higher number counts.
    region(1, IMAGES, READ_ONLY);
    settle();
}
