//! Clocks, serial port, timer, light. RM0461: "Reset and clock control", "LPUART", "General-purpose
//! timer (TIM2)", "General-purpose I/Os".

use core::time::Duration;

use firmware_cortex_m::{Counted, Line, Register, Wake, sleep, tick_every};

use crate::at;

const HZ: u32 = 48_000_000;

/// The processor's clock: 48 MHz from the multi-speed oscillator, which it starts from at 4 MHz.
pub fn clocks() {
    const FLASH_ACCESS: Register = at(0x5800_4000);
    const CONTROL: Register = at(0x5800_0000);
    const AHB2: Register = at(0x5800_004c);
    const APB1: [Register; 2] = [at(0x5800_0058), at(0x5800_005c)];
    // Wait states first: two of them from 36 MHz on.
    FLASH_ACCESS.write(FLASH_ACCESS.read() & !7 | 2);
    while FLASH_ACCESS.read() & 7 != 2 {}
    // Range 11, as this register has it; ready before it is changed.
    while CONTROL.read() & 2 == 0 {}
    CONTROL.write(CONTROL.read() & !0xf0 | 11 << 4 | 1 << 3);
    while CONTROL.read() & 2 == 0 {}
    // Port A, TIM2, LPUART1.
    AHB2.write(AHB2.read() | 1);
    for register in APB1 {
        register.write(register.read() | 1);
    }
}

/// LPUART1 on PA2 and PA3, 115200 baud.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    const CONTROL: Register = at(0x4000_8000);
    const RATE: Register = at(0x4000_800c);
    const STATUS: Register = at(0x4000_801c);
    const CLEAR: Register = at(0x4000_8020);
    const RECEIVE: Register = at(0x4000_8024);
    const SEND: Register = at(0x4000_8028);
    const MODES: Register = at(0x4800_0000);
    const FUNCTIONS: Register = at(0x4800_0020);
    /// Eight bytes are kept each way; this has to come before the line is enabled.
    const KEEPS: u32 = 1 << 29;
    /// Enabled, both directions.
    const ON: u32 = Self::KEEPS | 1 | 1 << 2 | 1 << 3;
    const RECEIVED: u32 = 1 << 5;
    const SENT: u32 = 1 << 6;
    const ROOM: u32 = 1 << 7;
    const OVERRUN: u32 = 1 << 3;

    /// Both directions on.
    pub fn open() -> Self {
        Self::FUNCTIONS.write(Self::FUNCTIONS.read() & !0xff00 | 0x8800);
        Self::MODES.write(Self::MODES.read() & !0xf0 | 0xa0);
        Self::CONTROL.write(Self::KEEPS);
        Self::RATE.write((u64::from(HZ) * 256 / 115_200) as u32);
        Self::CONTROL.write(Self::ON);
        tick_every(HZ / 4000);
        Self
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        Self::CLEAR.write(Self::OVERRUN);
        (Self::STATUS.read() & Self::RECEIVED != 0).then(|| Self::RECEIVE.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while Self::STATUS.read() & Self::ROOM == 0 {}
        Self::SEND.write(byte.into());
    }

    fn drain(&mut self) {
        while Self::STATUS.read() & Self::SENT == 0 {}
    }

    /// Sleeps for a quarter of a millisecond: the line keeps what comes in three times that.
    fn idle(&mut self) {
        if Self::STATUS.read() & Self::RECEIVED == 0 {
            Wake(0).forget();
            sleep();
        }
    }
}

/// TIM2, in milliseconds.
#[derive(Debug)]
pub struct Clock(Counted<1000>);

impl Clock {
    const CONTROL: Register = at(0x4000_0000);
    const EVENT: Register = at(0x4000_0014);
    const COUNT: Register = at(0x4000_0024);
    const PRESCALER: Register = at(0x4000_0028);

    pub fn start() -> Self {
        Self::PRESCALER.write(HZ / 1000 - 1);
        // The prescaler counts from an update on, which begins at zero.
        Self::EVENT.write(1);
        Self::CONTROL.write(1);
        Self(Counted::from(Self::COUNT.read()))
    }
}

impl firmware_cortex_m::Clock for Clock {
    fn now(&mut self) -> Duration {
        self.0.at(Self::COUNT.read())
    }
}

/// The green light, PA0.
#[derive(Debug)]
pub struct Led;

impl Led {
    const SET: Register = at(0x4800_0018);

    pub fn open() -> Self {
        Uart::MODES.write(Uart::MODES.read() & !3 | 1);
        Self
    }

    pub fn set(&mut self, on: bool) {
        Self::SET.write(if on { 1 } else { 1 << 16 });
    }
}
