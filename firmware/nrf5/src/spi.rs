//! SPI, as its master.

use firmware_board::{Data, Spi};
use firmware_cortex_m::{Register, Watchdog as _};

use crate::{Pin, Pull, Watchdog, at};

/// SPI1, mode 0, 8 MHz, and the pin that selects what it speaks to.
#[derive(Debug)]
pub struct SpiMaster {
    select: Pin,
}

impl SpiMaster {
    const READY: Register = at(0x4000_4108);
    const ENABLE: Register = at(0x4000_4500);
    const CLOCK_PIN: Register = at(0x4000_4508);
    const SEND_PIN: Register = at(0x4000_450c);
    const RECEIVE_PIN: Register = at(0x4000_4510);
    const RECEIVE_DATA: Register = at(0x4000_4518);
    const SEND_DATA: Register = at(0x4000_451c);
    const FREQUENCY: Register = at(0x4000_4524);
    const SETTINGS: Register = at(0x4000_4554);
    const ON: u32 = 1;
    const HZ_8M: u32 = 0x8000_0000;

    /// On these pins of port 0: clock, sent, received; and the one that selects.
    pub fn open([clock, send, receive]: [u32; 3], select: u32) -> Self {
        let select = Pin::new(0, select).output();
        select.set(true);
        for pin in [clock, send] {
            Pin::new(0, pin).output();
        }
        Pin::new(0, receive).input(Pull::None);
        Self::CLOCK_PIN.write(clock);
        Self::SEND_PIN.write(send);
        Self::RECEIVE_PIN.write(receive);
        Self::FREQUENCY.write(Self::HZ_8M);
        Self::SETTINGS.write(0);
        Self::ENABLE.write(Self::ON);
        Self { select }
    }

    fn exchange(byte: u8) -> u8 {
        Self::READY.write(0);
        Self::SEND_DATA.write(byte.into());
        while Self::READY.read() == 0 {}
        Self::RECEIVE_DATA.read() as u8
    }
}

impl Spi for SpiMaster {
    fn transfer(&mut self, command: &[u8], data: Data<'_>) {
        self.select.set(false);
        for byte in command {
            Self::exchange(*byte);
        }
        match data {
            Data::None => {}
            Data::In(bytes) => bytes.fill_with(|| Self::exchange(0)),
            Data::Out(bytes) => bytes.iter().for_each(|byte| _ = Self::exchange(*byte)),
        }
        self.select.set(true);
        // Whoever waits for the chip asks it again and again, for seconds where a slot is erased; and
        // gives up in the end.
        Watchdog.feed();
        #[cfg(feature = "radio")]
        crate::radio::process();
    }
}
