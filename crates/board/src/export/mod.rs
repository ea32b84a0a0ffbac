//! What others read instead of a board file: linker scripts and sources made from it.

mod memory;
mod rust;

use crate::Board;
use crate::schema::Role;

/// Which of a board's programs a linker script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The bootloader.
    Bootloader,
    /// An application that runs from the primary slot of the image with this number.
    Application(u8),
}

/// Why something cannot be made from a board file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The board has no such area.
    #[error("the board has no {role} area{of}", role = .0.name(), of = of(*.1))]
    NoArea(Role, u8),
    /// The area is on a device that code cannot run from.
    #[error("\"{0}\" is not mapped into memory: its flash has no `base`")]
    NotMapped(String),
    /// The board names no RAM.
    #[error("the board has no [[ram]]")]
    NoRam,
}

fn of(image: u8) -> String {
    if image == 0 { String::new() } else { format!(" for image {image}") }
}

impl Board {
    /// The memory of a program as a linker script (`memory.x` of the crate `cortex-m-rt`): regions
    /// `FLASH` and `RAM`, and the addresses of all areas as symbols.
    pub fn memory_x(&self, program: Program) -> Result<String, ExportError> {
        memory::script(self, program)
    }

    /// The flash map and what else programs need to know of the board, as a Rust source over
    /// `updraft-flash` and `updraft-image`.
    pub fn rust(&self) -> Result<String, ExportError> {
        rust::source(self)
    }
}
