//! Serial port, timer, watchdog, light.

use core::time::Duration;

use firmware_cortex_m::{Counted, Line, Register, Wake, sleep, tick_every};

/// Clocks of the processor in 10 ms, and ticks of the peripherals' clock in a second.
const TICK: u32 = 1_420_000;
const HZ: u32 = 71_000_000;

const fn at(address: u32) -> Register {
    // SAFETY: every address below is a register of a peripheral.
    unsafe { Register::at(address) }
}

/// Takes what is used out of its reset.
pub fn enable() {
    const RESETS: Register = at(0x4003_8048);
    /// Ethernet, timers, UART0, SPI0, pins.
    const USED: u32 = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 14;
    RESETS.write(RESETS.read() & !USED);
}

/// UART0, the console: a 16550.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    const DATA: Register = at(0x4000_0000);
    const INTERRUPTS: Register = at(0x4000_0004);
    const FIFO: Register = at(0x4000_0008);
    const FORMAT: Register = at(0x4000_000c);
    const STATE: Register = at(0x4000_0014);
    /// Eight bits, one stop bit; and with them, that the first registers are the divider's.
    const BITS: u32 = 0b11;
    const DIVIDER: u32 = 1 << 7;
    /// Both on and empty, an interrupt at fourteen bytes, or when no more come. At one byte, the emulator
    /// hands them over one by one.
    const FIFOS: u32 = 0b11 << 6 | 0b111;
    const RECEIVED: u32 = 1;
    const SEND_EMPTY: u32 = 1 << 5;
    const ALL_SENT: u32 = 1 << 6;
    const WAKE: Wake = Wake(1 << 10);

    /// 115200 baud.
    pub fn open() -> Self {
        // To the nearest.
        let divider = (HZ / 8 / 115_200).div_ceil(2);
        Self::FORMAT.write(Self::BITS | Self::DIVIDER);
        Self::DATA.write(divider & 0xff);
        Self::INTERRUPTS.write(divider >> 8);
        Self::FORMAT.write(Self::BITS);
        Self::FIFO.write(Self::FIFOS);
        Self::INTERRUPTS.write(1);
        Self::WAKE.enable();
        tick_every(TICK);
        Self
    }

    /// Waits as [`Line::idle`] does, unless there is something else to do.
    pub fn idle_unless(&mut self, busy: impl FnOnce() -> bool) {
        Self::WAKE.forget();
        if Self::STATE.read() & Self::RECEIVED == 0 && !busy() {
            sleep();
        }
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        (Self::STATE.read() & Self::RECEIVED != 0).then(|| Self::DATA.read() as u8)
    }

    fn idle(&mut self) {
        self.idle_unless(|| false);
    }

    fn send(&mut self, byte: u8) {
        while Self::STATE.read() & Self::SEND_EMPTY == 0 {}
        Self::DATA.write(byte.into());
    }

    fn drain(&mut self) {
        while Self::STATE.read() & Self::ALL_SENT == 0 {}
    }
}

/// The first of the two timers, which counts down.
#[derive(Debug)]
pub struct Clock(Counted<HZ>);

impl Clock {
    const VALUE: Register = at(0x4000_4000);
    const LOAD: Register = at(0x4000_4004);
    const CONTROL: Register = at(0x4000_400c);
    /// Enabled, begins anew at its end.
    const FREE_RUNNING: u32 = 1;

    pub fn start() -> Self {
        Self::CONTROL.write(0);
        Self::LOAD.write(u32::MAX);
        Self::CONTROL.write(Self::FREE_RUNNING);
        Self(Counted::from(!Self::VALUE.read()))
    }
}

impl firmware_cortex_m::Clock for Clock {
    fn now(&mut self) -> Duration {
        self.0.at(!Self::VALUE.read())
    }
}

/// The watchdog. How long it waits is fixed in the design of the chip's logic.
#[derive(Debug)]
pub struct Watchdog;

impl Watchdog {
    const ENABLE: Register = at(0x4003_806c);
    const REFRESH: Register = at(0x4000_500c);
    const KEY: u32 = 0xac15_de42;
    /// Enabled, resets.
    const ON: u32 = 1;
}

impl firmware_cortex_m::Watchdog for Watchdog {
    fn start(&mut self, _: Duration) {
        Self::ENABLE.write(Self::ON);
        self.feed();
    }

    fn feed(&mut self) {
        Self::REFRESH.write(Self::KEY);
    }
}

/// A light on the first pin.
#[derive(Debug)]
pub struct Led;

impl Led {
    const SETTINGS: Register = at(0x4001_3000);
    const PINS: Register = at(0x4001_3088);
    /// Driven.
    const OUTPUT: u32 = 0b101;

    pub fn open() -> Self {
        Self::SETTINGS.write(Self::OUTPUT);
        Self
    }

    pub fn set(&mut self, on: bool) {
        Self::PINS.write(on.into());
    }
}
