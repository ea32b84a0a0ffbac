//! SPI0, as its master.
//!
//! The controller selects the chip by itself: from the first frame on until as many have gone as it
//! was told.

use firmware_board::{Data, Spi};
use firmware_cortex_m::{Register, Watchdog as _};

use crate::peripherals::Watchdog;

const fn at(offset: u32) -> Register {
    // SAFETY: every offset below is a register of the controller.
    unsafe { Register::at(0x4000_1000 + offset) }
}

/// SPI0, mode 3, and the chip on its first select line.
#[derive(Debug)]
pub struct Spi0;

impl Spi0 {
    const CONTROL: Register = at(0x00);
    const FRAME_SIZE: Register = at(0x04);
    const STATUS: Register = at(0x08);
    const RECEIVED: Register = at(0x10);
    const SEND: Register = at(0x14);
    const CLOCK: Register = at(0x18);
    const SELECT: Register = at(0x1c);
    const ON: u32 = 1;
    /// Master, clock high and second edge, selected as long as there are frames, large FIFOs.
    const SETTINGS: u32 = 1 << 1 | 0b11 << 24 | 1 << 26 | 1 << 29;
    /// Where the number of frames goes.
    const FRAMES: u32 = 8;
    /// Looks at the state until a frame has come: far more than one takes.
    const PATIENCE: u32 = 10_000;
    const NOTHING_RECEIVED: u32 = 1 << 6;
    /// 71 MHz / (2 × (1 + 1)): 17.75 MHz.
    const DIVIDER: u32 = 1;

    /// Sets the controller up.
    pub fn open() -> Self {
        Self::CONTROL.write(Self::SETTINGS);
        Self::FRAME_SIZE.write(8);
        Self::CLOCK.write(Self::DIVIDER);
        Self::SELECT.write(1);
        Self
    }

    fn exchange(byte: u8) -> u8 {
        Self::SEND.write(byte.into());
        for _ in 0..Self::PATIENCE {
            if Self::STATUS.read() & Self::NOTHING_RECEIVED == 0 {
                return Self::RECEIVED.read() as u8;
            }
        }
        // A controller that does not move is as good as no chip.
        0xff
    }
}

impl Spi for Spi0 {
    // Frames are counted in 16 bits.
    const LONGEST: usize = 32 << 10;

    fn transfer(&mut self, command: &[u8], data: Data<'_>) {
        let more = match &data {
            Data::None => 0,
            Data::In(bytes) => bytes.len(),
            Data::Out(bytes) => bytes.len(),
        };
        let frames = (command.len() + more) as u32;
        Self::CONTROL.write(Self::SETTINGS);
        Self::CONTROL.write(Self::SETTINGS | frames << Self::FRAMES | Self::ON);
        for byte in command {
            Self::exchange(*byte);
        }
        match data {
            Data::None => {}
            Data::In(bytes) => bytes.fill_with(|| Self::exchange(0)),
            Data::Out(bytes) => bytes.iter().for_each(|byte| _ = Self::exchange(*byte)),
        }
        // Whoever waits for the chip asks it again and again, for seconds where a slot is erased; and
        // gives up in the end.
        Watchdog.feed();
    }
}
