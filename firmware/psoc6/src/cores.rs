//! The two processors. TRM, "CPU Subsystem".

use firmware_cortex_m::{Register, sleep};

use crate::at;

const VECTORS: Register = at(0x4020_0200);
const POWER: Register = at(0x4020_1200);
const STATUS: Register = at(0x4020_0004);
/// What a write has to carry.
const KEY: u32 = 0x05fa << 16;
const OFF: u32 = 0;
const ON: u32 = 3;
const POWER_DONE: u32 = 1 << 4;
/// What kind of processor runs this.
const KIND: Register = at(0xe000_ed00);
const CORTEX_M4: u32 = 0xc24;

/// Whether this is the large one.
pub(crate) fn is_large() -> bool {
    KIND.read() >> 4 & 0xfff == CORTEX_M4
}

fn power(state: u32) {
    POWER.write(KEY | state);
    while STATUS.read() & POWER_DONE == 0 {}
}

/// Starts the program with its vector table at `vectors`, which whoever asks has verified, on the large
/// processor. The small one sleeps from then on, but for the ROM, which writes flash on it: its stack
/// has to stay as it is.
pub fn start_large(vectors: u32) -> ! {
    power(OFF);
    VECTORS.write(vectors);
    power(ON);
    loop {
        sleep();
    }
}
