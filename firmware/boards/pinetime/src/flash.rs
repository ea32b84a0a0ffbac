//! Flash in the chip, and the chip beside it.

use firmware_board::{Either, NorCommands, SpiNor};
use firmware_nrf5::{Nvmc, SpiMaster};

use crate::DEVICES;
use crate::board::JEDEC;

/// In the processor's chip, or on SPI1.
pub type Flash = Either<Nvmc, SpiNor<SpiMaster>>;

/// Sectors of 4 KiB, pages of 256 bytes.
const COMMANDS: NorCommands = NorCommands {
    read: 0x03,
    program: 0x02,
    erase: 0x20,
    long_addresses: false,
    page: 256,
    failed: None,
};

/// The external chip: clock on P0.02, data on P0.03 and P0.04, selected by P0.05. The display hears
/// the same line and is not selected. Boards without updates outside have none.
fn external() -> Option<SpiNor<SpiMaster>> {
    let geometry = DEVICES.get(1)?;
    Some(SpiNor::open(SpiMaster::open([2, 3, 4], 5), geometry, COMMANDS))
}

/// All there are, in the order of the board file.
pub fn all() -> [Flash; DEVICES.len()] {
    core::array::from_fn(|number| match external().filter(|_| number > 0) {
        Some(flash) => Either::B(flash),
        None => Either::A(Nvmc(&DEVICES[0])),
    })
}

/// What is odd about the external chip.
pub fn remark() -> Option<&'static str> {
    firmware_board::remark(&external()?, JEDEC.get(1)?)
}
