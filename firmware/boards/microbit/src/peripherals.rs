//! Serial port, timers, watchdog, light.

use core::time::Duration;

use firmware_board::milliseconds;
use firmware_cortex_m::{Register, Wake, sleep};

/// A register of this chip.
const fn at(address: u32) -> Register {
    // SAFETY: every address below is a register of a peripheral.
    unsafe { Register::at(address) }
}

/// UART0, the console.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    const START_RECEIVER: Register = at(0x4000_2000);
    const START_SENDER: Register = at(0x4000_2008);
    const RECEIVED: Register = at(0x4000_2108);
    const SENT: Register = at(0x4000_211c);
    const INTERRUPT_ON: Register = at(0x4000_2304);
    const ENABLE: Register = at(0x4000_2500);
    const SEND_PIN: Register = at(0x4000_250c);
    const RECEIVE_PIN: Register = at(0x4000_2514);
    const RECEIVE_DATA: Register = at(0x4000_2518);
    const SEND_DATA: Register = at(0x4000_251c);
    const BAUD: Register = at(0x4000_2524);
    const ON: u32 = 4;
    const BAUD_115200: u32 = 0x01d7_e000;
    const ON_RECEIVED: u32 = 1 << 2;
    /// UART0, and the timer that ticks.
    const WAKE: Wake = Wake(1 << 2 | 1 << 9);

    /// Both directions on.
    pub fn open() -> Self {
        Self::SEND_PIN.write(24);
        Self::RECEIVE_PIN.write(25);
        Self::BAUD.write(Self::BAUD_115200);
        Self::ENABLE.write(Self::ON);
        Self::START_RECEIVER.write(1);
        Self::START_SENDER.write(1);
        Self::INTERRUPT_ON.write(Self::ON_RECEIVED);
        Ticks::start();
        Self::WAKE.enable();
        Self
    }

    pub fn receive(&mut self) -> Option<u8> {
        (Self::RECEIVED.read() != 0).then(|| {
            // First the event, which reading raises again if there is more.
            Self::RECEIVED.write(0);
            Self::RECEIVE_DATA.read() as u8
        })
    }

    pub fn idle(&mut self) {
        Ticks::clear();
        Self::WAKE.forget();
        if Self::RECEIVED.read() == 0 {
            sleep();
        }
    }

    pub fn send(&mut self, byte: u8) {
        Self::SENT.write(0);
        Self::SEND_DATA.write(byte.into());
        while Self::SENT.read() == 0 {}
    }
}

/// TIMER1 wakes the processor every 10 ms.
struct Ticks;

impl Ticks {
    const START: Register = at(0x4000_9000);
    const STOP: Register = at(0x4000_9004);
    const COMPARED: Register = at(0x4000_9140);
    const SHORTS: Register = at(0x4000_9200);
    const INTERRUPT_ON: Register = at(0x4000_9304);
    const PRESCALER: Register = at(0x4000_9510);
    const COMPARE: Register = at(0x4000_9540);

    fn start() {
        // The bootloader may have left it running.
        Self::STOP.write(1);
        Self::PRESCALER.write(Clock::PRESCALED);
        Self::COMPARE.write(Clock::HZ / 100);
        // Begins anew by itself.
        Self::SHORTS.write(1);
        Self::INTERRUPT_ON.write(1 << 16);
        Self::START.write(1);
    }

    fn clear() {
        Self::COMPARED.write(0);
    }
}

/// TIMER0, which counts up.
#[derive(Debug)]
pub struct Clock {
    last: u32,
    /// Since the start: seconds, and ticks that make up no second yet.
    seconds: u32,
    ticks: u32,
}

impl Clock {
    const START: Register = at(0x4000_8000);
    const STOP: Register = at(0x4000_8004);
    const CLEAR: Register = at(0x4000_800c);
    const CAPTURE: Register = at(0x4000_8040);
    const BITS: Register = at(0x4000_8508);
    const PRESCALER: Register = at(0x4000_8510);
    const CAPTURED: Register = at(0x4000_8540);
    const BITS_32: u32 = 3;
    /// 16 MHz divided by 2 so many times.
    const PRESCALED: u32 = 9;
    const HZ: u32 = 16_000_000 >> Self::PRESCALED;
    const NANOSECONDS: u32 = 1_000_000_000 / Self::HZ;

    pub fn start() -> Self {
        // The bootloader may have left it running.
        Self::STOP.write(1);
        Self::CLEAR.write(1);
        Self::BITS.write(Self::BITS_32);
        Self::PRESCALER.write(Self::PRESCALED);
        Self::START.write(1);
        Self { last: 0, seconds: 0, ticks: 0 }
    }

    pub fn now(&mut self) -> Duration {
        Self::CAPTURE.write(1);
        let value = Self::CAPTURED.read();
        self.ticks += value.wrapping_sub(self.last);
        self.last = value;
        while self.ticks >= Self::HZ {
            self.ticks -= Self::HZ;
            self.seconds += 1;
        }
        Duration::new(self.seconds.into(), self.ticks * Self::NANOSECONDS)
    }
}

/// The watchdog. Nothing stops it before a reset.
#[derive(Debug)]
pub struct Watchdog;

impl Watchdog {
    const START: Register = at(0x4001_0000);
    const RELOAD_VALUE: Register = at(0x4001_0504);
    const RELOAD: Register = at(0x4001_0600);
    /// Ticks in a millisecond, rounded up.
    const PER_MS: u32 = 33;
    const FEED: u32 = 0x6e52_4635;

    pub fn start(&mut self, timeout: Duration) {
        Self::RELOAD_VALUE.write(milliseconds(timeout).saturating_mul(Self::PER_MS));
        Self::START.write(1);
    }

    pub fn feed(&mut self) {
        Self::RELOAD.write(Self::FEED);
    }
}

/// The upper left light of the matrix: its row is switched, its column stays low.
#[derive(Debug)]
pub struct Led;

impl Led {
    const SET: Register = at(0x5000_0508);
    const CLEAR: Register = at(0x5000_050c);
    const OUTPUTS: Register = at(0x5000_0518);
    const ROW: u32 = 1 << 13;
    const COLUMN: u32 = 1 << 4;

    pub fn open() -> Self {
        Self::OUTPUTS.write(Self::ROW | Self::COLUMN);
        Self::CLEAR.write(Self::COLUMN);
        Self
    }

    pub fn set(&mut self, on: bool) {
        if on { Self::SET.write(Self::ROW) } else { Self::CLEAR.write(Self::ROW) }
    }
}
