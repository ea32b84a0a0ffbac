//! The Ethernet chip, a LAN9118 behind the memory bus.
//!
//! Sources: SMSC, "LAN9118 data sheet" (direct registers, MAC registers, command words of frames).

use firmware_application::network::{Ethernet, LONGEST_FRAME};
use firmware_cortex_m::{Register, Wake};

/// A register of the chip.
const fn at(offset: u32) -> Register {
    // SAFETY: every offset below is a register of the chip.
    unsafe { Register::at(0x4020_0000 + offset) }
}

const RX_DATA: Register = at(0x00);
const TX_DATA: Register = at(0x20);
const RX_STATUS: Register = at(0x40);
const TX_STATUS: Register = at(0x48);
const INTERRUPTS: Register = at(0x54);
const INTERRUPT_STATUS: Register = at(0x58);
const INTERRUPT_ENABLE: Register = at(0x5c);
const FIFO_LEVELS: Register = at(0x68);
const RX_CONFIG: Register = at(0x6c);
const TX_CONFIG: Register = at(0x70);
const HARDWARE: Register = at(0x74);
const RX_FIFO: Register = at(0x7c);
const TX_FIFO: Register = at(0x80);
const MAC_COMMAND: Register = at(0xa4);
const MAC_DATA: Register = at(0xa8);

/// Registers of the MAC: control, and the two halves of the address.
const MAC_CONTROL: u32 = 1;
const MAC_ADDRESS: [u32; 2] = [3, 2];

const SOFT_RESET: u32 = 1;
/// The transmit FIFO gets 5 KiB, and a bit that the data sheet wants set.
const FIFO_SIZES: u32 = 5 << 16 | 1 << 20;
const TX_ON: u32 = 1 << 1;
/// Full duplex, sender and receiver on.
const MAC_ON: u32 = 1 << 20 | 1 << 3 | 1 << 2;
const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;
/// Enabled, active high, driven both ways.
const INTERRUPT_LINE: u32 = 1 << 8 | 1 << 4 | 1;
/// A frame is there.
const RECEIVED: u32 = 1 << 3;
/// First and last piece of a frame.
const WHOLE: u32 = 1 << 13 | 1 << 12;
const RX_ERROR: u32 = 1 << 15;
const CHECKSUM: usize = 4;

/// What wakes the processor when a frame has come.
const WAKE: Wake = Wake(1 << 13);

/// The chip.
#[derive(Debug)]
pub struct Lan9118 {
    address: [u8; 6],
}

impl Lan9118 {
    /// Resets the chip, and turns both directions on.
    pub fn open() -> Self {
        HARDWARE.write(SOFT_RESET);
        while HARDWARE.read() & SOFT_RESET != 0 {}
        HARDWARE.write(FIFO_SIZES);
        RX_CONFIG.write(0);
        TX_CONFIG.write(TX_ON);
        // Each frame counts.
        FIFO_LEVELS.write(0);
        let [low, high] = MAC_ADDRESS.map(read_mac);
        let (low, high) = (low.to_le_bytes(), high.to_le_bytes());
        write_mac(MAC_CONTROL, MAC_ON);
        INTERRUPT_STATUS.write(u32::MAX);
        INTERRUPT_ENABLE.write(RECEIVED);
        INTERRUPTS.write(INTERRUPT_LINE);
        WAKE.enable();
        Self { address: [low[0], low[1], low[2], low[3], high[0], high[1]] }
    }

    /// Forgets that frames have come.
    pub fn forget() {
        INTERRUPT_STATUS.write(RECEIVED);
        WAKE.forget();
    }

    /// Whether a frame waits.
    pub fn has_frame() -> bool {
        RX_FIFO.read() >> 16 & 0xff != 0
    }
}

impl Ethernet for Lan9118 {
    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn receive(&mut self, frame: &mut [u8; LONGEST_FRAME]) -> Option<usize> {
        while Self::has_frame() {
            let status = RX_STATUS.read();
            let len = (status >> 16 & 0x3fff) as usize;
            let mut words = len.div_ceil(4);
            for place in frame.chunks_mut(4).take(words) {
                let word = RX_DATA.read().to_le_bytes();
                place.iter_mut().zip(word).for_each(|(to, from)| *to = from);
                words -= 1;
            }
            // What is too long is taken away all the same.
            for _ in 0..words {
                RX_DATA.read();
            }
            let len = len.saturating_sub(CHECKSUM);
            if status & RX_ERROR == 0 && len <= frame.len() {
                return Some(len);
            }
        }
        None
    }

    fn has_room(&mut self) -> bool {
        while TX_FIFO.read() >> 16 & 0xff != 0 {
            TX_STATUS.read();
        }
        // The frame, and its two words of commands.
        TX_FIFO.read() & 0xffff >= LONGEST_FRAME as u32 + 8
    }

    fn send(&mut self, frame: &[u8]) {
        let len = frame.len() as u32;
        TX_DATA.write(WHOLE | len);
        TX_DATA.write(len);
        for piece in frame.chunks(4) {
            let mut word = [0; 4];
            word.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            TX_DATA.write(u32::from_le_bytes(word));
        }
    }
}

fn wait_for_mac() {
    while MAC_COMMAND.read() & MAC_BUSY != 0 {}
}

fn read_mac(register: u32) -> u32 {
    wait_for_mac();
    MAC_COMMAND.write(MAC_BUSY | MAC_READ | register);
    wait_for_mac();
    MAC_DATA.read()
}

fn write_mac(register: u32, value: u32) {
    wait_for_mac();
    MAC_DATA.write(value);
    MAC_COMMAND.write(MAC_BUSY | register);
    wait_for_mac();
}
