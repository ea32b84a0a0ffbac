//! The serial port, and the timer that wakes who waits for it.

use firmware_cortex_m::{Line, Register, Wake, sleep};

use crate::at;
use crate::clock::{HZ, PRESCALED};

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

    /// Both directions on, 115200 baud, on these pins: port × 32 + number.
    pub fn open(send: u32, receive: u32) -> Self {
        Self::SEND_PIN.write(send);
        Self::RECEIVE_PIN.write(receive);
        Self::BAUD.write(Self::BAUD_115200);
        Self::ENABLE.write(Self::ON);
        Self::START_RECEIVER.write(1);
        Self::START_SENDER.write(1);
        Self::INTERRUPT_ON.write(Self::ON_RECEIVED);
        Ticks::start();
        Self::WAKE.enable();
        Self
    }

    fn has_received() -> bool {
        Self::RECEIVED.read() != 0
    }

    /// Sleeps until a byte may have come, 10 ms at most; not at all if `other` has something to do.
    pub(crate) fn idle_unless(other: impl FnOnce() -> bool) {
        Ticks::clear();
        Self::WAKE.forget();
        if !other() && !Self::has_received() {
            sleep();
        }
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        Self::has_received().then(|| {
            // First the event, which reading raises again if there is more.
            Self::RECEIVED.write(0);
            Self::RECEIVE_DATA.read() as u8
        })
    }

    fn send(&mut self, byte: u8) {
        Self::SENT.write(0);
        Self::SEND_DATA.write(byte.into());
        while Self::SENT.read() == 0 {}
    }

    fn idle(&mut self) {
        Self::idle_unless(|| false);
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
        Self::PRESCALER.write(PRESCALED);
        Self::COMPARE.write(HZ / 100);
        // Begins anew by itself.
        Self::SHORTS.write(1);
        Self::INTERRUPT_ON.write(1 << 16);
        Self::START.write(1);
    }

    fn clear() {
        Self::COMPARED.write(0);
    }
}
