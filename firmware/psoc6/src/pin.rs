//! Pins. TRM, "I/O System".

use firmware_cortex_m::Register;

use crate::at;

/// A pin.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    port: u32,
    number: u32,
}

/// How a pin is driven; it can be read in every way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Drive {
    /// Not at all.
    None = 8,
    /// Pulled up by a resistor.
    PullUp = 8 | 2,
    /// Both ways.
    Strong = 8 | 6,
}

impl Pin {
    const PORTS: u32 = 0x4031_0000;
    const FUNCTIONS: u32 = 0x4030_0000;

    /// Pin `number` of `port`: 13, 7 for P13.7.
    pub const fn new(port: u32, number: u32) -> Self {
        Self { port, number }
    }

    fn register(self, offset: u32) -> Register {
        at(Self::PORTS + self.port * 0x80 + offset)
    }

    fn drive(self, drive: Drive) {
        let (register, shift) = (self.register(0x44), 4 * self.number);
        register.write(register.read() & !(0xf << shift) | (drive as u32) << shift);
    }

    /// For the peripheral that has this number at the pin; 0 is the program itself.
    pub(crate) fn function(self, function: u32, drive: Drive) {
        let (register, shift) = (self.number / 4 * 4, self.number % 4 * 8);
        let register = at(Self::FUNCTIONS + self.port * 0x10 + register);
        register.write(register.read() & !(0x1f << shift) | function << shift);
        self.drive(drive);
    }

    /// As an output that is high first.
    pub fn output(self) -> Self {
        self.set(true);
        self.function(0, Drive::Strong);
        self
    }

    /// As an input that is pulled high.
    pub fn input(self) -> Self {
        self.set(true);
        self.function(0, Drive::PullUp);
        self
    }

    /// Drives an output, or pulls an input.
    pub fn set(self, high: bool) {
        self.register(if high { 8 } else { 4 }).write(1 << self.number);
    }

    /// Whether an input is high.
    pub fn is_high(self) -> bool {
        self.register(0x10).read() & (1 << self.number) != 0
    }
}
