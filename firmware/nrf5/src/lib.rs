//! What boards with Nordic's nRF51 and nRF52 have in common. The registers used here are the same on
//! the nRF51822, which QEMU emulates, the nRF52832 and the nRF52840.
//!
//! Source: Nordic Semiconductor, "nRF51 Series Reference Manual", "nRF52832 Product Specification" and
//! "nRF52840 Product Specification" (chapters UART, SPI, TIMER, WDT, NVMC, GPIO).
#![no_std]

mod clock;
#[cfg(all(feature = "usb", not(feature = "radio")))]
mod critical;
mod nvmc;
mod pin;
#[cfg(feature = "radio")]
pub mod radio;
mod spi;
mod uart;
#[cfg(feature = "usb")]
mod usb;
mod watchdog;

use firmware_cortex_m::{Parts, Register};

pub use clock::Clock;
pub use nvmc::Nvmc;
pub use pin::{Pin, Pull};
pub use spi::SpiMaster;
pub use uart::Uart;
#[cfg(feature = "usb")]
pub use usb::{Identity, WithUsb};
pub use watchdog::Watchdog;

/// A chip with its console on this line.
pub type Nordic<L = Uart> = Parts<L, Clock, Watchdog>;

/// The chip after a reset.
pub fn chip<L>(line: L) -> Nordic<L> {
    Parts { line, clock: Clock::start(), watchdog: Watchdog }
}

/// A register of these chips.
const fn at(address: u32) -> Register {
    // SAFETY: every address in this crate is a register of a peripheral, and none of them changes
    // memory that Rust knows of: flash, which some do change, is no place for values.
    unsafe { Register::at(address) }
}
