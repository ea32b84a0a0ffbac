//! Serial port, timer, watchdog, light, button: registers of the Cortex-M System Design Kit.

use core::time::Duration;

use firmware_board::milliseconds;
use firmware_cortex_m::{Counted, Line, Register, Wake, sleep, tick_every};

/// Ticks of the peripherals' clock in a millisecond: 25 MHz.
const PER_MS: u32 = 25_000;

/// A register of this board.
pub const fn at(address: u32) -> Register {
    // SAFETY: every address below is a register of a peripheral, or a word of the block RAM, which
    // the linker gives to nobody.
    unsafe { Register::at(address) }
}

/// UART0, the console.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    const DATA: Register = at(0x4000_4000);
    const STATE: Register = at(0x4000_4004);
    const CONTROL: Register = at(0x4000_4008);
    const CLEAR: Register = at(0x4000_400c);
    const DIVIDER: Register = at(0x4000_4010);
    /// Both directions, and an interrupt for what comes in.
    const ON: u32 = 0b1011;
    const RECEIVED: u32 = 2;
    const WAKE: Wake = Wake(1 << 0);
    const SEND_FULL: u32 = 1;
    const RECEIVE_FULL: u32 = 2;

    /// Both directions on, 115200 baud.
    pub fn open() -> Self {
        Self::DIVIDER.write(PER_MS * 1000 / 115_200);
        Self::CONTROL.write(Self::ON);
        Self::WAKE.enable();
        tick_every(10 * PER_MS);
        Self
    }

    /// Waits as [`Line::idle`] does, unless there is something else to do.
    pub fn idle_unless(&mut self, busy: impl FnOnce() -> bool) {
        Self::CLEAR.write(Self::RECEIVED);
        Self::WAKE.forget();
        if Self::STATE.read() & Self::RECEIVE_FULL == 0 && !busy() {
            sleep();
        }
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        (Self::STATE.read() & Self::RECEIVE_FULL != 0).then(|| Self::DATA.read() as u8)
    }

    fn idle(&mut self) {
        self.idle_unless(|| false);
    }

    fn send(&mut self, byte: u8) {
        while Self::STATE.read() & Self::SEND_FULL != 0 {}
        Self::DATA.write(byte.into());
    }
}

/// The first of the two timers, which counts down in steps of 16 ticks.
#[derive(Debug)]
pub struct Clock(Counted<{ PER_MS * 1000 / 16 }>);

impl Clock {
    const LOAD: Register = at(0x4000_2000);
    const VALUE: Register = at(0x4000_2004);
    const CONTROL: Register = at(0x4000_2008);
    /// Enabled, 32 bits, divided by 16, wraps around.
    const FREE_RUNNING: u32 = 0x86;

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

/// The watchdog: warns when the time is over, resets when it is over a second time.
#[derive(Debug)]
pub struct Watchdog;

impl Watchdog {
    const LOAD: Register = at(0x4000_8000);
    const CONTROL: Register = at(0x4000_8008);
    const CLEAR: Register = at(0x4000_800c);
    const LOCK: Register = at(0x4000_8c00);
    const KEY: u32 = 0x1acc_e551;
    /// Counts, and resets.
    const ON: u32 = 3;
}

impl firmware_cortex_m::Watchdog for Watchdog {
    fn start(&mut self, timeout: Duration) {
        Self::LOCK.write(Self::KEY);
        Self::LOAD.write((milliseconds(timeout) / 2).saturating_mul(PER_MS));
        Self::CONTROL.write(Self::ON);
        Self::LOCK.write(0);
    }

    fn feed(&mut self) {
        Self::LOCK.write(Self::KEY);
        Self::CLEAR.write(1);
        Self::LOCK.write(0);
    }
}

/// The first of the eight lights.
#[derive(Debug)]
pub struct Led;

impl Led {
    const LIGHTS: Register = at(0x4002_f004);

    pub fn set(&mut self, on: bool) {
        Self::LIGHTS.write(on.into());
    }
}

/// What stands for the button that the emulator does not have: a word of the block RAM, which
/// nobody but a debugger writes.
#[derive(Debug)]
pub struct Button;

impl Button {
    const WORD: Register = at(0x0100_0000);

    pub fn is_pressed(&self) -> bool {
        Self::WORD.read() == 1
    }
}
