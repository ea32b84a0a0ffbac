//! RAK3172 (`boards/rak3172.toml`): STM32WLE5, a Cortex-M4 without a floating-point unit.
//!
//! Compiled; nobody has run it. Source: STMicroelectronics, RM0461.
#![no_std]

mod facts;
mod flash;
mod peripherals;

use core::time::Duration;

use firmware_board::{Board, Facts};
use firmware_cortex_m::Register;

pub use facts::{KEYS, SAMPLE, board};
use flash::Flash;
use peripherals::{Clock, Led, Uart};

/// A register of this chip, or a word of its flash that is written.
const fn at(address: u32) -> Register {
    // SAFETY: every address in this crate is a register of a peripheral, or in flash, which no Rust
    // value lies in that changes.
    unsafe { Register::at(address) }
}

/// The board.
#[derive(Debug)]
pub struct Rak3172 {
    clock: Clock,
    uart: Uart,
    led: Led,
}

impl Rak3172 {
    /// The board after a reset.
    pub fn new() -> Self {
        peripherals::clocks();
        Self { clock: Clock::start(), uart: Uart::open(), led: Led::open() }
    }
}

impl Default for Rak3172 {
    fn default() -> Self {
        Self::new()
    }
}

impl Board for Rak3172 {
    const FACTS: Facts = facts::FACTS;

    type Device = Flash;
    type Devices = [Flash; 1];

    fn flash(&mut self) -> [Flash; 1] {
        [Flash]
    }

    fn receive(&mut self) -> Option<u8> {
        self.uart.receive()
    }

    fn send(&mut self, byte: u8) {
        self.uart.send(byte);
    }

    fn drain(&mut self) {
        self.uart.drain();
    }

    fn now(&mut self) -> Duration {
        self.clock.now()
    }

    fn idle(&mut self) {
        self.uart.idle();
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }

    fn take_boot_mode(&mut self) -> u32 {
        firmware_cortex_m::take_boot_mode()
    }

    fn reset(&mut self, boot_mode: u32) -> ! {
        firmware_cortex_m::reset(boot_mode)
    }

    fn start(&mut self, vectors: u32) -> ! {
        // SAFETY: the bootloader has verified what is there.
        unsafe { firmware_cortex_m::jump(vectors) }
    }
}
