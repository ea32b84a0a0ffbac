//! Pins: lights and buttons.

use firmware_cortex_m::Register;

use crate::at;

/// What an input is pulled to.
#[derive(Clone, Copy, Debug)]
pub enum Pull {
    /// Nothing.
    None = 0,
    /// Low.
    Down = 1,
    /// High.
    Up = 3,
}

/// A pin.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    port: u32,
    number: u32,
}

impl Pin {
    /// Where the registers of a port are. The second port of an nRF52840 is 0x300 further on.
    const PORTS: u32 = 0x5000_0000;

    /// Pin `number` of `port`.
    pub const fn new(port: u32, number: u32) -> Self {
        Self { port, number }
    }

    fn register(self, offset: u32) -> Register {
        at(Self::PORTS + self.port * 0x300 + offset)
    }

    /// As an output, which is low first.
    pub fn output(self) -> Self {
        self.set(false);
        self.register(0x518).write(1 << self.number);
        self
    }

    /// As an input.
    pub fn input(self, pull: Pull) -> Self {
        self.register(0x700 + 4 * self.number).write((pull as u32) << 2);
        self
    }

    /// Drives an output.
    pub fn set(self, high: bool) {
        self.register(if high { 0x508 } else { 0x50c }).write(1 << self.number);
    }

    /// Whether an input is high.
    pub fn is_high(self) -> bool {
        self.register(0x510).read() & (1 << self.number) != 0
    }
}
