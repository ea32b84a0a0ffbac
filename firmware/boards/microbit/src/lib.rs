//! The first BBC micro:bit, the board or as QEMU emulates it (`boards/microbit.toml`).
//!
//! Its processor has no register that moves the vector table. That is no matter here, where
//! interrupts are never taken; an application that takes them needs a bootloader that forwards them.
#![no_std]

use firmware_board::{Board, Facts, flash};
use firmware_nrf5::{Nordic, Nvmc, Pin, Pull, Uart, chip};
use updraft_flash::Fault;

firmware_board::board_file!();

/// The board.
#[derive(Debug)]
pub struct Microbit {
    chip: Nordic,
    /// The row of the upper left light of the matrix.
    led: Pin,
    /// A, which pulls its pin down.
    button: Pin,
}

impl Board for Microbit {
    const FACTS: Facts = FACTS;

    type Chip = Nordic;
    type Map = Map<Nvmc>;

    fn open() -> Self {
        // The light's row is switched, its column stays low.
        Pin::new(0, 4).output();
        Self {
            chip: chip(Uart::open(24, 25)),
            led: Pin::new(0, 13).output(),
            button: Pin::new(0, 17).input(Pull::Up),
        }
    }

    fn chip(&mut self) -> &mut Nordic {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<Self::Map, Fault> {
        flash(&FACTS, [Nvmc(&DEVICES[0])])
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }

    fn pressed(&mut self) -> bool {
        !self.button.is_high()
    }
}
