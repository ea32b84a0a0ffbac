//! What others read instead of a board file: linker scripts, sources, partition tables made from it;
//! and flash maps taken from theirs.

mod devicetree;
mod make;
mod memory;
mod rust;
mod svg;

use crate::schema::{AreaRow, Role};
use crate::{Board, LoadError};

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

/// Why a flash map cannot be taken from somebody else's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ImportError {
    /// The line, the first is 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Whose flash maps are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Zephyr's devicetree: fixed partitions, on nodes that are called like the board's devices.
    Devicetree,
    /// Make variables of Infineon's bootloader examples, on devices that are mapped into memory.
    Make,
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

    /// Its partitions as an overlay of Zephyr's devicetree. The nodes of the devices are called like
    /// the devices in the board file.
    pub fn devicetree(&self) -> Result<String, ExportError> {
        devicetree::overlay(self)
    }

    /// Its slots as the make variables that Infineon's bootloader examples take.
    pub fn make_variables(&self) -> Result<String, ExportError> {
        make::variables(self)
    }

    /// Its flash map as a picture, in SVG.
    pub fn picture(&self) -> String {
        svg::picture(self)
    }

    /// The areas of somebody else's flash map, to be put onto a board with these devices by
    /// [`Board::with_areas`].
    pub fn import(&self, from: Foreign, text: &str) -> Result<Vec<AreaRow>, ImportError> {
        match from {
            Foreign::Devicetree => devicetree::areas(text),
            Foreign::Make => make::areas(self, text),
        }
    }

    /// The same board with other areas, if they suit it.
    pub fn with_areas(&self, areas: Vec<AreaRow>) -> Result<Self, LoadError> {
        let mut file = self.file().clone();
        file.area = areas;
        Self::parse(&toml::to_string(&file).unwrap_or_default(), self.name())
    }
}
