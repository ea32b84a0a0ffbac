//! Serial port, timer, light. Ambiq, "Apollo3 Blue Datasheet": UART, System Timer, GPIO and Pad
//! Configuration, Power Control.

use core::time::Duration;

use firmware_cortex_m::{Counted, Line, Register, Wake, sleep};

use crate::at;

/// Pads are locked unless this holds the key.
const PAD_KEY: Register = at(0x4001_0060);
const KEY: u32 = 0x73;

/// Gives pad `number` these settings: a pull-up, an input, strength, and what it is for.
fn pad(number: u32, settings: u32) {
    let register = at(0x4001_0000 + number / 4 * 4);
    let shift = number % 4 * 8;
    PAD_KEY.write(KEY);
    register.write(register.read() & !(0xff << shift) | settings << shift);
    PAD_KEY.write(0);
}

/// UART0 on pads 39 and 40, 115200 baud.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    const POWER: Register = at(0x4002_1008);
    const POWER_UART0: u32 = 1 << 7;
    const DATA: Register = at(0x4001_c000);
    const STATE: Register = at(0x4001_c018);
    const DIVIDER: [Register; 2] = [at(0x4001_c024), at(0x4001_c028)];
    const FORMAT: Register = at(0x4001_c02c);
    const CONTROL: Register = at(0x4001_c030);
    const INTERRUPTS: Register = at(0x4001_c038);
    const CLEAR: Register = at(0x4001_c044);
    const BUSY: u32 = 1 << 3;
    const NOTHING_RECEIVED: u32 = 1 << 4;
    const SEND_FULL: u32 = 1 << 5;
    /// 24 MHz / 16 / 115200 = 13 + 1 / 64.
    const RATE: [u32; 2] = [13, 1];
    /// Eight bits, what comes in is kept.
    const EIGHT_BITS: u32 = 3 << 5 | 1 << 4;
    /// A clock of 24 MHz; then both directions.
    const CLOCK: u32 = 1 << 3 | 1 << 4;
    const ON: u32 = Self::CLOCK | 1 | 1 << 8 | 1 << 9;
    /// Enough has come in, or it has been there for a while.
    const RECEIVED: u32 = 1 << 4 | 1 << 6;
    const WAKE: Wake = Wake(1 << 15);

    pub fn open() -> Self {
        Self::POWER.write(Self::POWER.read() | Self::POWER_UART0);
        // The line is there some microseconds later.
        for _ in 0..1000 {
            Self::POWER.read();
        }
        pad(39, 0);
        pad(40, 1 << 1);
        Self::CONTROL.write(Self::CLOCK);
        Self::DIVIDER[0].write(Self::RATE[0]);
        Self::DIVIDER[1].write(Self::RATE[1]);
        Self::FORMAT.write(Self::EIGHT_BITS);
        Self::INTERRUPTS.write(Self::RECEIVED);
        Self::CONTROL.write(Self::ON);
        Self::WAKE.enable();
        Self
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        (Self::STATE.read() & Self::NOTHING_RECEIVED == 0).then(|| Self::DATA.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while Self::STATE.read() & Self::SEND_FULL != 0 {}
        Self::DATA.write(byte.into());
    }

    fn drain(&mut self) {
        while Self::STATE.read() & Self::BUSY != 0 {}
    }

    fn idle(&mut self) {
        Self::CLEAR.write(Self::RECEIVED);
        Self::WAKE.forget();
        if Self::STATE.read() & Self::NOTHING_RECEIVED != 0 {
            sleep();
        }
    }
}

/// The system timer: 48 MHz / 256.
#[derive(Debug)]
pub struct Clock(Counted<187_500>);

impl Clock {
    const SETTINGS: Register = at(0x4000_8140);
    const VALUE: Register = at(0x4000_8144);
    const DIVIDED_BY_256: u32 = 2;

    pub fn start() -> Self {
        Self::SETTINGS.write(Self::DIVIDED_BY_256);
        Self(Counted::from(Self::VALUE.read()))
    }
}

impl firmware_cortex_m::Clock for Clock {
    fn now(&mut self) -> Duration {
        self.0.at(Self::VALUE.read())
    }
}

/// The green light, pad 44.
#[derive(Debug)]
pub struct Led;

impl Led {
    const SETTINGS: Register = at(0x4001_0054);
    const ENABLE: u32 = 2 << 16;
    const SET: Register = at(0x4001_0094);
    const CLEAR: Register = at(0x4001_009c);
    const PIN: u32 = 1 << (44 - 32);
    const GPIO: u32 = 3 << 3;

    pub fn open() -> Self {
        pad(44, Self::GPIO);
        PAD_KEY.write(KEY);
        Self::SETTINGS.write(Self::SETTINGS.read() & !(0xf << 16) | Self::ENABLE);
        PAD_KEY.write(0);
        Self
    }

    pub fn set(&mut self, on: bool) {
        if on { Self::SET.write(Self::PIN) } else { Self::CLEAR.write(Self::PIN) }
    }
}
