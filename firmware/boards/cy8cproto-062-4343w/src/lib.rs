//! CY8CPROTO-062-4343W (`boards/cy8cproto-062-4343w.toml` and its variants): a PSoC 62.
//!
//! Compiled; nobody has run it.
#![no_std]

use firmware_board::Facts;
use firmware_psoc6::{Flash, Kit, Wiring, flash, remark};
use updraft_flash::Fault;

firmware_board::board_file!();

/// The board.
pub type Proto062 = Kit<Wires>;

/// Its wires.
#[derive(Debug)]
pub struct Wires;

impl Wiring for Wires {
    const FACTS: Facts = FACTS;
    /// LED4.
    const LED: [u32; 2] = [13, 7];
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
