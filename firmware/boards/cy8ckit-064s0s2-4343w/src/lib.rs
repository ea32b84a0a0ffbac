//! CY8CKIT-064S0S2-4343W (`boards/cy8ckit-064s0s2-4343w.toml`): a PSoC 64, whose bootloader is its maker's. What runs
//! here is the application, the second of its two images, with trailers in a status area.
//!
//! Compiled; nobody has run it.
#![no_std]

use firmware_board::{Board, Facts, WithStatus, with_status};
use firmware_cortex_m::Chip as _;
use firmware_psoc6::{Chip, Flash, Pin, chip, flash};

firmware_board::board_file!();

/// The board.
#[derive(Debug)]
pub struct Kit064S0S2 {
    chip: Chip,
    /// P1.5, low is on.
    led: Pin,
    /// SW2, which pulls its pin down.
    button: Pin,
}

impl Board for Kit064S0S2 {
    const FACTS: Facts = FACTS;

    type Chip = Chip;
    type Map = WithStatus<Flash, { DEVICES.len() }>;

    fn open() -> Self {
        Self { chip: chip(), led: Pin::new(1, 5).output(), button: Pin::new(0, 4).input() }
    }

    fn chip(&mut self) -> &mut Chip {
        &mut self.chip
    }

    fn flash(&mut self) -> Self::Map {
        match with_status(&FACTS, flash(&DEVICES)) {
            Some(Ok(map)) => map,
            // The status area cannot be read: a reset is all that is left.
            _ => self.chip.reset(0),
        }
    }

    fn led(&mut self, on: bool) {
        self.led.set(!on);
    }

    fn pressed(&mut self) -> bool {
        !self.button.is_high()
    }
}
