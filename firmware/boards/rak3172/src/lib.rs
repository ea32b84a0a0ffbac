//! RAK3172 (`boards/rak3172.toml`): STM32WLE5, a Cortex-M4 without a floating-point unit.
//!
//! Compiled; nobody has run it. Source: STMicroelectronics, RM0461.
#![no_std]

mod flash;
mod peripherals;

use firmware_board::{Board, Facts, flash};
use firmware_cortex_m::{NoWatchdog, Parts, Register};
use updraft_flash::Fault;

use flash::Flash;
use peripherals::{Clock, Led, Uart};

firmware_board::board_file!();

/// A register of this chip, or a word of its flash that is written.
const fn at(address: u32) -> Register {
    // SAFETY: every address in this crate is a register of a peripheral, or in flash, which no Rust
    // value lies in that changes.
    unsafe { Register::at(address) }
}

/// The board.
#[derive(Debug)]
pub struct Rak3172 {
    chip: Parts<Uart, Clock>,
    led: Led,
}

impl Board for Rak3172 {
    const FACTS: Facts = FACTS;

    type Chip = Parts<Uart, Clock>;
    type Map = Map<Flash>;

    fn open() -> Self {
        peripherals::clocks();
        let (clock, line) = (Clock::start(), Uart::open());
        Self { chip: Parts { line, clock, watchdog: NoWatchdog }, led: Led::open() }
    }

    fn chip(&mut self) -> &mut Self::Chip {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<Self::Map, Fault> {
        flash(&FACTS, [Flash])
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }
}
