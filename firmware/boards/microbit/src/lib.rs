//! The first BBC micro:bit, the board or as QEMU emulates it (`boards/microbit.toml`).
//!
//! Its processor has no register that moves the vector table. That is no matter here, where
//! interrupts are never taken; an application that takes them needs a bootloader that forwards them.
//!
//! Source: Nordic Semiconductor, "nRF51 Series Reference Manual" (UART, TIMER, WDT, NVMC, GPIO).
#![no_std]

mod facts;
mod flash;
mod peripherals;

use core::time::Duration;

use firmware_board::{Board, Facts};

pub use facts::{KEYS, SAMPLE, board};
use flash::Nvmc;
use peripherals::{Clock, Led, Uart, Watchdog};

/// The board.
#[derive(Debug)]
pub struct Microbit {
    clock: Clock,
    led: Led,
    uart: Uart,
    watchdog: Watchdog,
}

impl Microbit {
    /// The board after a reset.
    pub fn new() -> Self {
        Self { clock: Clock::start(), led: Led::open(), uart: Uart::open(), watchdog: Watchdog }
    }
}

impl Default for Microbit {
    fn default() -> Self {
        Self::new()
    }
}

impl Board for Microbit {
    const FACTS: Facts = facts::FACTS;

    type Device = Nvmc;
    type Devices = [Nvmc; 1];

    fn flash(&mut self) -> [Nvmc; 1] {
        [Nvmc]
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
