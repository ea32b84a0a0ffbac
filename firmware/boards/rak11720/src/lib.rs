//! RAK11720 (`boards/rak11720.toml`): Ambiq Apollo3 Blue. Its maker's secure loader has the first 48 KiB
//! of flash and starts what follows, so that the bootloader is linked for 0xc000.
//!
//! Compiled; nobody has run it. Source: Ambiq, "Apollo3 Blue Datasheet" and AmbiqSuite.
#![no_std]

mod facts;
mod flash;
mod peripherals;

use core::time::Duration;

use firmware_board::{Board, Facts};
use firmware_cortex_m::{Register, tick_every};

pub use facts::{KEYS, SAMPLE, board};
use flash::Flash;
use peripherals::{Clock, Led, Uart};

/// A register of this chip.
const fn at(address: u32) -> Register {
    // SAFETY: every address in this crate is a register of a peripheral.
    unsafe { Register::at(address) }
}

/// The board.
#[derive(Debug)]
pub struct Rak11720 {
    clock: Clock,
    uart: Uart,
    led: Led,
}

impl Rak11720 {
    /// The board after a reset.
    pub fn new() -> Self {
        // So that who waits for the line wakes up for the clock as well.
        tick_every(240_000);
        Self { clock: Clock::start(), uart: Uart::open(), led: Led::open() }
    }
}

impl Default for Rak11720 {
    fn default() -> Self {
        Self::new()
    }
}

impl Board for Rak11720 {
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
