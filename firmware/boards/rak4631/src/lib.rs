//! RAK4631 (`boards/rak4631.toml`, `boards/rak4631-rak.toml`). Its console is USB in Zephyr; here it is
//! the line called UART1 on the base board, as a bootloader without USB is half as large.
//!
//! Compiled; nobody has run it.
#![no_std]

mod facts;

use core::time::Duration;

use firmware_board::{Board, Facts};
use firmware_nrf5::{Clock, Nvmc, Pin, Uart, Watchdog};

use facts::DEVICES;
pub use facts::{KEYS, SAMPLE, board};

/// UART1 of the module: P0.16 sends, P0.15 receives.
const SEND: u32 = 16;
const RECEIVE: u32 = 15;

/// The board.
#[derive(Debug)]
pub struct Rak4631 {
    clock: Clock,
    uart: Uart,
    watchdog: Watchdog,
    /// Green.
    led: Pin,
}

impl Rak4631 {
    /// The board after a reset.
    pub fn new() -> Self {
        Self {
            clock: Clock::start(),
            uart: Uart::open(SEND, RECEIVE),
            watchdog: Watchdog,
            led: Pin::new(1, 3).output(),
        }
    }
}

impl Default for Rak4631 {
    fn default() -> Self {
        Self::new()
    }
}

impl Board for Rak4631 {
    const FACTS: Facts = facts::FACTS;

    type Device = Nvmc;
    type Devices = [Nvmc; 1];

    fn flash(&mut self) -> [Nvmc; 1] {
        [Nvmc(&DEVICES[0])]
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
