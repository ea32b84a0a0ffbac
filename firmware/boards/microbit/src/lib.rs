//! The first BBC micro:bit, the board or as QEMU emulates it (`boards/microbit.toml`).
//!
//! Its processor has no register that moves the vector table. That is no matter here, where
//! interrupts are never taken; an application that takes them needs a bootloader that forwards them.
#![no_std]

mod facts;

use core::time::Duration;

use firmware_board::{Board, Facts};
use firmware_nrf5::{Clock, Nvmc, Pin, Pull, Uart, Watchdog};

use facts::DEVICES;
pub use facts::{KEYS, SAMPLE, board};

/// The board.
#[derive(Debug)]
pub struct Microbit {
    clock: Clock,
    uart: Uart,
    watchdog: Watchdog,
    /// The row of the upper left light of the matrix.
    led: Pin,
    /// A, which pulls its pin down.
    button: Pin,
}

impl Microbit {
    /// The board after a reset.
    pub fn new() -> Self {
        // The light's row is switched, its column stays low.
        Pin::new(0, 4).output();
        Self {
            clock: Clock::start(),
            uart: Uart::open(24, 25),
            watchdog: Watchdog,
            led: Pin::new(0, 13).output(),
            button: Pin::new(0, 17).input(Pull::Up),
        }
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

    fn pressed(&mut self) -> bool {
        !self.button.is_high()
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
