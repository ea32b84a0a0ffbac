//! What boards with the larger PSoC 62 (CY8C62xA) and PSoC 64 have in common. The small processor, a
//! Cortex-M0+, runs the bootloader and starts the large one, a Cortex-M4, which runs the application;
//! both run what is here.
//!
//! ```text
//! reset ─▶ Cortex-M0+: bootloader ── vector table, power ──▶ Cortex-M4: application
//!                      sleeps; the ROM takes it to write flash ◀── asks for that by a mailbox
//! ```
//!
//! Compiled; nobody has run it. Sources: Infineon, "PSoC 6 MCU: CY8C6xx8, CY8C6xxA Registers Technical
//! Reference Manual" and "Architecture Technical Reference Manual"; addresses checked against
//! Infineon's register descriptions in the crate `mtb_pac_psoc6_02`.
#![no_std]

mod clock;
mod cores;
mod kit;
mod pin;
mod rows;
mod smif;
mod uart;
mod watchdog;

use firmware_board::{Either, NorCommands, SpiNor};
use firmware_cortex_m::{Parts, Register};
use updraft_flash::Geometry;

pub use clock::Clock;
pub use cores::start_large;
pub use kit::{Kit, Wiring};
pub use pin::Pin;
pub use rows::Rows;
pub use smif::Smif;
pub use uart::Uart;
pub use watchdog::Watchdog;

/// A register of these chips.
const fn at(address: u32) -> Register {
    // SAFETY: every address in this crate is a register of a peripheral, and none of them changes
    // memory that Rust knows of.
    unsafe { Register::at(address) }
}

/// The chip with its console on SCB5.
pub type Chip = Parts<Uart, Clock, Watchdog>;

/// In the chip, or beside it.
pub type Flash = Either<Rows, SpiNor<Smif>>;

/// The chip after a reset, on either processor.
pub fn chip() -> Chip {
    clock::open();
    // It runs from the reset on.
    Watchdog::stop();
    Parts { line: Uart::open(), clock: Clock::start(), watchdog: Watchdog }
}

/// S25FL512S: sectors of 256 KiB, pages of 512 bytes, 64 MiB.
const S25FL512S: NorCommands = NorCommands {
    read: 0x13,
    program: 0x12,
    erase: 0xdc,
    long_addresses: true,
    page: 512,
    // P_ERR and E_ERR; "Clear Status Register-1".
    failed: Some((0x60, 0x30)),
};

/// The flash devices of a kit, in the order of its board file: the chip's own, then the external one
/// if it is in use.
pub fn flash<const N: usize>(devices: &'static [Geometry<'static>; N]) -> [Flash; N] {
    core::array::from_fn(|number| match number {
        0 => Either::A(Rows(&devices[0])),
        _ => Either::B(SpiNor::open(Smif::open(), &devices[number], S25FL512S)),
    })
}

/// What is odd about the external chip, if it is in use.
pub fn remark<const N: usize>(
    devices: &'static [Geometry<'static>; N],
    known: &[&[[u8; 3]]; N],
) -> Option<&'static str> {
    let chip = SpiNor::open(Smif::open(), devices.get(1)?, S25FL512S);
    firmware_board::remark(&chip, known.get(1)?)
}
