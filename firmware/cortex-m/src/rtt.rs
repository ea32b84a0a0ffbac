//! A console in RAM that a debug probe reads and writes while the processor runs: SEGGER's "Real Time
//! Transfer", for boards without a serial line. Nobody has to be there: what does not fit is dropped.
//!
//! ```text
//! "SEGGER RTT" · number of rings up, down · per ring: name, buffer, size, write, read, flags
//! ```

use core::cell::UnsafeCell;
use core::ptr::null;

use crate::{Line, Wake, sleep};

const UP: usize = 1024;
const DOWN: usize = 512;

#[repr(C)]
struct Ring {
    name: *const u8,
    buffer: *const u8,
    size: u32,
    write: u32,
    read: u32,
    flags: u32,
}

const NO_RING: Ring = Ring { name: null(), buffer: null(), size: 0, write: 0, read: 0, flags: 0 };

#[repr(C)]
struct Block {
    id: [u8; 16],
    rings: [u32; 2],
    up: Ring,
    down: Ring,
    up_buffer: [u8; UP],
    down_buffer: [u8; DOWN],
}

struct Shared(UnsafeCell<Block>);

// SAFETY: one thread, and a probe, which keeps to its ends of the rings.
unsafe impl Sync for Shared {}

// Zeros at first, so that it takes no room in flash.
static BLOCK: Shared = Shared(UnsafeCell::new(Block {
    id: [0; 16],
    rings: [0; 2],
    up: NO_RING,
    down: NO_RING,
    up_buffer: [0; UP],
    down_buffer: [0; DOWN],
}));

/// The console. There is one.
#[derive(Debug)]
pub struct Rtt(());

impl Rtt {
    /// Lets probes find it.
    pub fn open() -> Self {
        let block = BLOCK.0.get();
        // SAFETY: places in the block, which nobody reads before it has its name.
        unsafe {
            let up = Ring {
                name: c"console".as_ptr().cast(),
                buffer: (&raw const (*block).up_buffer).cast(),
                size: UP as u32,
                ..NO_RING
            };
            (&raw mut (*block).up).write_volatile(up);
            let down = Ring {
                name: c"console".as_ptr().cast(),
                buffer: (&raw const (*block).down_buffer).cast(),
                size: DOWN as u32,
                ..NO_RING
            };
            (&raw mut (*block).down).write_volatile(down);
            (&raw mut (*block).rings).write_volatile([1, 1]);
            // Here and nowhere else, so that a probe does not find it in flash.
            (&raw mut (*block).id).write_volatile(*b"SEGGER RTT\0\0\0\0\0\0");
        }
        Self(())
    }
}

impl Line for Rtt {
    // What there is no room for is dropped.
    fn send(&mut self, byte: u8) {
        let block = BLOCK.0.get();
        // SAFETY: places in the block; the index is below the buffer's size.
        unsafe {
            let write = (&raw const (*block).up.write).read_volatile() as usize % UP;
            let next = (write + 1) % UP;
            if next == (&raw const (*block).up.read).read_volatile() as usize {
                return;
            }
            (&raw mut (*block).up_buffer).cast::<u8>().add(write).write_volatile(byte);
            (&raw mut (*block).up.write).write_volatile(next as u32);
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let block = BLOCK.0.get();
        // SAFETY: as above.
        unsafe {
            let read = (&raw const (*block).down.read).read_volatile() as usize % DOWN;
            if read == (&raw const (*block).down.write).read_volatile() as usize {
                return None;
            }
            let byte = (&raw const (*block).down_buffer).cast::<u8>().add(read).read_volatile();
            (&raw mut (*block).down.read).write_volatile(((read + 1) % DOWN) as u32);
            Some(byte)
        }
    }

    // A probe does not wake the processor; the system timer does.
    fn idle(&mut self) {
        Wake(0).forget();
        sleep();
    }
}
