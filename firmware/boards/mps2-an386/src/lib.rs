//! Arm's MPS2 with the AN386 image, as QEMU emulates it (`boards/mps2-an386.toml`).
//!
//! Sources: Arm, "AN386" and "Cortex-M System Design Kit TRM" (UART, dual timer, watchdog).
#![no_std]

mod facts;
mod flash;
mod peripherals;

use core::time::Duration;

use firmware_board::{Board, Facts};

pub use facts::{KEYS, SAMPLE, board};
use flash::Window;
use peripherals::{Clock, Led, Uart, Watchdog};

/// The board.
#[derive(Debug)]
pub struct Mps2 {
    clock: Clock,
    led: Led,
    uart: Uart,
    watchdog: Watchdog,
}

impl Mps2 {
    /// The board after a reset.
    pub fn new() -> Self {
        Self { clock: Clock::start(), led: Led, uart: Uart::open(), watchdog: Watchdog }
    }
}

impl Default for Mps2 {
    fn default() -> Self {
        Self::new()
    }
}

impl Board for Mps2 {
    const FACTS: Facts = facts::FACTS;

    type Device = Window;
    type Devices = [Window; 3];

    fn flash(&mut self) -> [Window; 3] {
        Window::all()
    }

    fn receive(&mut self) -> Option<u8> {
        self.uart.receive()
    }

    fn send(&mut self, byte: u8) {
        self.uart.send(byte);
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

    fn start_watchdog(&mut self, timeout: Duration) {
        self.watchdog.start(timeout);
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
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
