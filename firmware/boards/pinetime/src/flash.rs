//! Flash in the chip, and the chip beside it.

use firmware_board::{SpiNor, Violation};
use firmware_nrf5::{Nvmc, SpiMaster};
use updraft_flash::{Device, Geometry};

use crate::DEVICES;

/// One of the two.
#[derive(Debug)]
pub enum Flash {
    /// In the processor's chip.
    Internal(Nvmc),
    /// On SPI1.
    External(SpiNor<SpiMaster>),
}

/// Erases sectors of 4 KiB.
const ERASE_4K: u8 = 0x20;
/// The chips that watches were sold with: XT25F32B, and from 2024 on BY25Q32ES.
const KNOWN: [[u8; 3]; 2] = [[0x0b, 0x40, 0x16], [0x68, 0x40, 0x16]];

/// The external chip: clock on P0.02, data on P0.03 and P0.04, selected by P0.05. The display hears
/// the same line and is not selected. Boards without updates outside have none.
fn external() -> Option<SpiNor<SpiMaster>> {
    let geometry = DEVICES.get(1)?;
    Some(SpiNor::open(SpiMaster::open([2, 3, 4], 5), geometry, ERASE_4K))
}

/// All there are, in the order of the board file.
pub fn all() -> [Flash; DEVICES.len()] {
    core::array::from_fn(|number| match external().filter(|_| number > 0) {
        Some(flash) => Flash::External(flash),
        None => Flash::Internal(Nvmc(&DEVICES[0])),
    })
}

/// What is odd about the external chip. An unknown one is used all the same: the commands are those
/// of every such chip, and a watch that does not start cannot be mended.
pub fn remark() -> Option<&'static str> {
    let chip = external()?;
    match chip.is_there() {
        false => Some("no answer from the external flash: no updates"),
        true if KNOWN.contains(&chip.id()) => None,
        true => Some("external flash of an unknown kind"),
    }
}

impl Device for Flash {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        match self {
            Self::Internal(flash) => flash.geometry(),
            Self::External(flash) => flash.geometry(),
        }
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        match self {
            Self::Internal(flash) => flash.read(address, buf),
            Self::External(flash) => flash.read(address, buf),
        }
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Violation> {
        match self {
            Self::Internal(flash) => flash.write(address, data),
            Self::External(flash) => flash.write(address, data),
        }
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), Violation> {
        match self {
            Self::Internal(flash) => flash.erase(address, len),
            Self::External(flash) => flash.erase(address, len),
        }
    }
}
