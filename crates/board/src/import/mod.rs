//! Flash maps taken from other people's files: a devicetree's fixed partitions, make variables.

mod devicetree;
mod expression;
mod make;
mod tree;

pub(crate) use devicetree::OWN_FLASH;

use crate::schema::AreaRow;
use crate::{Board, LoadError};

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
pub enum Foreign<'a> {
    /// Zephyr's devicetree: fixed partitions. Each pair is a node, by its label or name, and the
    /// board's device that it stands for, where that cannot be told by name, address or JEDEC id.
    Devicetree(&'a [(String, String)]),
    /// Make variables of Infineon's bootloader examples.
    Make,
}

/// What somebody else's file says of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The parts of its flash.
    pub areas: Vec<AreaRow>,
    /// Bytes in front of an image's body, if the file has them.
    pub header_size: Option<u32>,
    /// Sectors that the swap status has records for, if the file has them.
    pub max_sectors: Option<u32>,
}

impl Board {
    /// What somebody else's file says of a board with these devices, to be put onto it by
    /// [`Board::with_imported`].
    pub fn import(&self, from: Foreign<'_>, text: &str) -> Result<Imported, ImportError> {
        match from {
            Foreign::Devicetree(nodes) => devicetree::read(self, nodes, text),
            Foreign::Make => make::read(self, text),
        }
    }

    /// The same board with what was imported, if that suits it.
    pub fn with_imported(&self, imported: Imported) -> Result<Self, LoadError> {
        let Imported { areas, header_size, max_sectors } = imported;
        let mut file = self.file().clone();
        file.area = areas;
        file.image.header_size = header_size.unwrap_or(file.image.header_size);
        file.boot.max_sectors = max_sectors.unwrap_or(file.boot.max_sectors);
        Self::parse(&toml::to_string(&file).unwrap_or_default(), self.name())
    }
}
