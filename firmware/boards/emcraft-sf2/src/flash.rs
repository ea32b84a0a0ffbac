//! Flash in the chip, which is only read, and the chip beside it.

use firmware_board::{Either, NorCommands, SpiNor, Violation};
use updraft_flash::{Device, Geometry};

use crate::spi::Spi0;
use crate::{DEVICES, board};

/// In the chip, or on SPI0.
pub type Flash = Either<Envm, SpiNor<Spi0>>;

/// Sectors of 64 KiB, pages of 256 bytes.
const COMMANDS: NorCommands = NorCommands {
    read: 0x03,
    program: 0x02,
    erase: 0xd8,
    long_addresses: false,
    page: 256,
    failed: None,
};

/// Flash in the chip. It holds the bootloader, which nobody replaces.
#[derive(Debug)]
pub struct Envm;

impl Device for Envm {
    type Error = Violation;

    fn geometry(&self) -> Geometry<'_> {
        DEVICES[0]
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Violation> {
        let end = firmware_board::checked(&DEVICES[0], address, buf.len(), 1)?;
        let base = board::BASES[0].ok_or(Violation::Outside)?;
        for (place, byte) in (base + address..base + end).zip(buf) {
            // SAFETY: in flash, by the check above.
            *byte = unsafe { (place as *const u8).read_volatile() };
        }
        Ok(())
    }

    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Violation> {
        Err(Violation::ReadOnly)
    }

    fn erase(&mut self, _: u32, _: u32) -> Result<(), Violation> {
        Err(Violation::ReadOnly)
    }
}

fn external() -> SpiNor<Spi0> {
    SpiNor::open(Spi0::open(), &DEVICES[1], COMMANDS)
}

/// All there are, in the order of the board file.
pub fn all() -> [Flash; DEVICES.len()] {
    [Either::A(Envm), Either::B(external())]
}

/// What is odd about the external chip.
pub fn remark() -> Option<&'static str> {
    // From memory, so that tests find the ids in the program.
    firmware_board::remark(&external(), core::hint::black_box(board::JEDEC[1]))
}
