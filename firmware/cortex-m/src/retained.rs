//! What outlives a reset, and the reset itself.
//!
//! ```text
//! end of RAM − 16:  u32 boot mode │ u32 the same, inverted and mixed │ 8 bytes free
//! ```
//! RAM keeps its content over a reset, but not over a power cut, and neither says so: the second
//! word tells a boot mode from what happens to lie there.

use crate::Register;

unsafe extern "C" {
    static mut _retained: [u32; 2];
}

const MIX: u32 = 0x5570_6472;
/// Application interrupt and reset control: the key, and the request for a system reset.
const AIRCR: u32 = 0xe000_ed0c;
const RESET_REQUEST: u32 = 0x05fa_0004;

fn retained() -> *mut [u32; 2] {
    &raw mut _retained
}

/// The boot mode that [`reset`] left, 0 if it was not that. Once: it is cleared on the way.
pub fn take_boot_mode() -> u32 {
    // SAFETY: the linker script keeps these two words free for this.
    let [mode, check] = unsafe { retained().read_volatile() };
    // SAFETY: as above.
    unsafe { retained().write_volatile([0, 0]) };
    if check == !mode ^ MIX { mode } else { 0 }
}

/// Resets the chip, and leaves `boot_mode` for the bootloader.
pub fn reset(boot_mode: u32) -> ! {
    // SAFETY: as above.
    unsafe { retained().write_volatile([boot_mode, !boot_mode ^ MIX]) };
    // SAFETY: every Cortex-M has this register.
    let aircr = unsafe { Register::at(AIRCR) };
    loop {
        aircr.write(RESET_REQUEST);
    }
}
