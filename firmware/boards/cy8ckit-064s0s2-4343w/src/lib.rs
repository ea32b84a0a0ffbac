//! CY8CKIT-064S0S2-4343W (`boards/cy8ckit-064s0s2-4343w.toml`): a PSoC 64, whose bootloader is its maker's. What runs
//! here is the application, the second of its two images, with trailers in a status area.
//!
//! Compiled; nobody has run it.
#![no_std]

use firmware_board::Facts;
use firmware_psoc6::{Flash, Kit, Wiring, flash, remark};
use updraft_flash::Fault;

firmware_board::board_file!();

/// The board.
pub type Kit064S0S2 = Kit<Wires>;

/// Its wires.
#[derive(Debug)]
pub struct Wires;

impl Wiring for Wires {
    const FACTS: Facts = FACTS;
    /// LED8.
    const LED: [u32; 2] = [1, 5];
    /// SW2.
    const BUTTON: [u32; 2] = [0, 4];

    type Map = Map<Flash>;

    fn flash() -> Result<Self::Map, Fault> {
        firmware_board::flash(&FACTS, flash(&DEVICES))
    }

    fn remark() -> Option<&'static str> {
        remark(&DEVICES, &board::JEDEC)
    }
}
