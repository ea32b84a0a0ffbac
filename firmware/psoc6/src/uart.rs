//! The serial port: SCB5 on P5.0 and P5.1, 115200 baud. TRM, "Serial Communications Block (SCB)".

use firmware_cortex_m::{Line, Register, Wake, sleep};

use crate::at;
use crate::clock::HZ;
use crate::pin::{Drive, Pin};

/// SCB5, the console: the line of the kit's programmer.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    const CONTROL: Register = at(0x4065_0000);
    const MODE: Register = at(0x4065_0040);
    const SEND_FORMAT: Register = at(0x4065_0044);
    const RECEIVE_FORMAT: Register = at(0x4065_0048);
    const SEND_BITS: Register = at(0x4065_0200);
    const SEND_STATUS: Register = at(0x4065_0208);
    const SEND: Register = at(0x4065_0240);
    const RECEIVE_BITS: Register = at(0x4065_0300);
    const RECEIVE_STATUS: Register = at(0x4065_0308);
    const RECEIVE: Register = at(0x4065_0340);
    /// Divider 0 of eight bits, for SCB5.
    const DIVIDE: Register = at(0x4000_1000);
    const DIVIDER: Register = at(0x4000_0400);
    const CLOCK: Register = at(0x4000_0c14);
    const START_DIVIDER: u32 = 1 << 31 | 0xff << 16 | 3 << 24;
    /// Samples of a bit: 50 MHz / 31 / 14 = 115207.
    const SAMPLES: u32 = 14;
    const DIVISOR: u32 = HZ / 115_200 / Self::SAMPLES;
    /// A serial port; bytes rather than half words are kept, 128 each way.
    const UART: u32 = 2 << 24 | 1 << 11;
    const ON: u32 = 1 << 31;
    const EIGHT_BITS: u32 = 7;
    const ONE_STOP_BIT: u32 = 1;
    const USED: u32 = 0x1ff;
    const LEAVING: u32 = 1 << 15;
    const ROOM: u32 = 64;
    /// The line, at both pins.
    const FUNCTION: u32 = 18;

    /// Both directions on.
    pub fn open() -> Self {
        Pin::new(5, 0).function(Self::FUNCTION, Drive::None);
        Pin::new(5, 1).function(Self::FUNCTION, Drive::Strong);
        Self::CLOCK.write(0);
        Self::DIVIDE.write((Self::DIVISOR - 1) << 8);
        Self::DIVIDER.write(Self::START_DIVIDER);
        Self::CONTROL.write(0);
        Self::MODE.write(0);
        Self::SEND_FORMAT.write(Self::ONE_STOP_BIT);
        Self::RECEIVE_FORMAT.write(Self::ONE_STOP_BIT);
        Self::SEND_BITS.write(Self::EIGHT_BITS);
        Self::RECEIVE_BITS.write(Self::EIGHT_BITS);
        Self::CONTROL.write(Self::UART | (Self::SAMPLES - 1));
        Self::CONTROL.write(Self::ON | Self::UART | (Self::SAMPLES - 1));
        Self
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        (Self::RECEIVE_STATUS.read() & Self::USED != 0).then(|| Self::RECEIVE.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while Self::SEND_STATUS.read() & Self::USED >= Self::ROOM {}
        Self::SEND.write(byte.into());
    }

    fn drain(&mut self) {
        while Self::SEND_STATUS.read() & (Self::USED | Self::LEAVING) != 0 {}
    }

    /// Sleeps for 2 ms at most: the line keeps what comes in several times that.
    fn idle(&mut self) {
        Wake(0).forget();
        if Self::RECEIVE_STATUS.read() & Self::USED == 0 {
            sleep();
        }
    }
}
