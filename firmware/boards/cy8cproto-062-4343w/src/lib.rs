//! CY8CPROTO-062-4343W (`boards/cy8cproto-062-4343w.toml` and its variants): a PSoC 62.
//!
//! Compiled; nobody has run it.
#![no_std]

use firmware_board::{Board, Facts, Plain};
use firmware_psoc6::{Chip, Flash, Pin, chip, flash, start_large};

firmware_board::board_file!();

/// The board.
#[derive(Debug)]
pub struct Proto062 {
    chip: Chip,
    /// P13.7, low is on.
    led: Pin,
    /// SW2, which pulls its pin down.
    button: Pin,
}

impl Board for Proto062 {
    const FACTS: Facts = FACTS;

    type Chip = Chip;
    type Map = Plain<Flash, { DEVICES.len() }>;

    fn open() -> Self {
        Self { chip: chip(), led: Pin::new(13, 7).output(), button: Pin::new(0, 4).input() }
    }

    fn chip(&mut self) -> &mut Chip {
        &mut self.chip
    }

    fn flash(&mut self) -> Self::Map {
        firmware_board::flash(&FACTS, flash(&DEVICES))
    }

    fn led(&mut self, on: bool) {
        self.led.set(!on);
    }

    fn pressed(&mut self) -> bool {
        !self.button.is_high()
    }

    /// On the other processor.
    fn start(&mut self, vectors: u32) -> ! {
        start_large(vectors)
    }
}
