//! The serial memory interface, commanded byte by byte: one data line, 12.5 MHz. TRM, "Serial Memory
//! Interface (SMIF)".

use firmware_board::{Data, Spi};
use firmware_cortex_m::{Register, Watchdog as _};

use crate::pin::{Drive, Pin};
use crate::{Watchdog, at};

/// The interface, with the kit's external flash as its first device.
#[derive(Debug)]
pub struct Smif(());

impl Smif {
    const CONTROL: Register = at(0x4042_0000);
    const STATUS: Register = at(0x4042_0004);
    const COMMANDS_USED: Register = at(0x4042_0044);
    const COMMAND: Register = at(0x4042_0050);
    const SENT_USED: Register = at(0x4042_0084);
    const SEND: Register = at(0x4042_0090);
    const RECEIVED_USED: Register = at(0x4042_00c4);
    const RECEIVE: Register = at(0x4042_00d0);
    /// On; what comes in is looked at half a clock later.
    const ON: u32 = 1 << 31 | 1 << 12;
    const BUSY: u32 = 1 << 31;
    /// How many commands, and how many bytes to be sent, wait at most.
    const COMMANDS: u32 = 4;
    const BYTES: u32 = 8;
    /// A command selects device 0, and may be the last one for which it is selected.
    const DEVICE: u32 = 1 << 8;
    const LAST: u32 = 1 << 15;
    const SEND_COUNT: u32 = 1 << 18;
    const RECEIVE_COUNT: u32 = 2 << 18;
    /// Bytes of one count at most.
    const MOST: usize = 1 << 16;
    /// The interface, at all of its pins.
    const FUNCTION: u32 = 17;

    /// The interface on port 11.
    pub fn open() -> Self {
        for number in 2..=7 {
            Pin::new(11, number).function(Self::FUNCTION, Drive::Strong);
        }
        Self::CONTROL.write(Self::ON);
        Self(())
    }

    fn command(command: u32) {
        while Self::COMMANDS_USED.read() & 7 >= Self::COMMANDS {}
        Self::COMMAND.write(command);
    }

    /// Commands have a count of at most 64 KiB: what is longer is several reads to whoever asks.
    fn count(len: usize) -> u32 {
        len.min(Self::MOST).saturating_sub(1) as u32
    }
}

impl Spi for Smif {
    fn transfer(&mut self, command: &[u8], data: Data<'_>) {
        let bare = match &data {
            Data::None => true,
            Data::In(bytes) => bytes.is_empty(),
            Data::Out(bytes) => bytes.is_empty(),
        };
        for (at, byte) in command.iter().enumerate() {
            let last = if bare && at + 1 == command.len() { Self::LAST } else { 0 };
            Self::command(Self::DEVICE | last | u32::from(*byte));
        }
        match data {
            Data::In(bytes) if !bare => {
                Self::command(Self::RECEIVE_COUNT | Self::count(bytes.len()));
                for byte in bytes.iter_mut().take(Self::MOST) {
                    while Self::RECEIVED_USED.read() & 0xf == 0 {}
                    *byte = Self::RECEIVE.read() as u8;
                }
            }
            Data::Out(bytes) if !bare => {
                Self::command(Self::SEND_COUNT | Self::count(bytes.len()));
                for byte in bytes.iter().take(Self::MOST) {
                    while Self::SENT_USED.read() & 0xf >= Self::BYTES {}
                    Self::SEND.write((*byte).into());
                }
            }
            _ => {}
        }
        while Self::STATUS.read() & Self::BUSY != 0 {}
        // Whoever waits for the chip asks it again and again, for seconds where a slot is erased; and
        // gives up in the end.
        Watchdog.feed();
    }
}
