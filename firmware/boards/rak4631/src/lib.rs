//! RAK4631 (`boards/rak4631.toml`, `boards/rak4631-rak.toml`). Its console is the line called UART1 on
//! the base board.
//!
//! Compiled; nobody has run it.
#![no_std]

use firmware_board::{Board, Facts};
use firmware_nrf5::{Nordic, Nvmc, Pin, Uart, chip};

firmware_board::board_file!();

/// UART1 of the module: P0.16 sends, P0.15 receives.
const SEND: u32 = 16;
const RECEIVE: u32 = 15;

/// The board.
#[derive(Debug)]
pub struct Rak4631 {
    chip: Nordic,
    /// Green.
    led: Pin,
}

impl Board for Rak4631 {
    const FACTS: Facts = FACTS;

    type Chip = Nordic;
    type Device = Nvmc;
    type Devices = [Nvmc; 1];

    fn open() -> Self {
        Self { chip: chip(Uart::open(SEND, RECEIVE)), led: Pin::new(1, 3).output() }
    }

    fn chip(&mut self) -> &mut Nordic {
        &mut self.chip
    }

    fn flash(&mut self) -> [Nvmc; 1] {
        [Nvmc(&DEVICES[0])]
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }
}
