//! RAK11720 (`boards/rak11720.toml`): Ambiq Apollo3 Blue. Its maker's secure loader has the first 48 KiB
//! of flash and starts what follows, so that the bootloader is linked for 0xc000.
//!
//! Compiled; nobody has run it. Source: Ambiq, "Apollo3 Blue Datasheet" and AmbiqSuite.
#![no_std]

mod flash;
mod peripherals;

use firmware_board::{Board, Facts, flash};
use firmware_cortex_m::{NoWatchdog, Parts, Register, tick_every};
use updraft_flash::Fault;

use flash::Flash;
use peripherals::{Clock, Led, Uart};

firmware_board::board_file!();

/// A register of this chip.
const fn at(address: u32) -> Register {
    // SAFETY: every address in this crate is a register of a peripheral.
    unsafe { Register::at(address) }
}

/// The board.
#[derive(Debug)]
pub struct Rak11720 {
    chip: Parts<Uart, Clock>,
    led: Led,
}

impl Board for Rak11720 {
    const FACTS: Facts = FACTS;

    type Chip = Parts<Uart, Clock>;
    type Map = Map<Flash>;

    fn open() -> Self {
        // So that who waits for the line wakes up for the clock as well.
        tick_every(240_000);
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
