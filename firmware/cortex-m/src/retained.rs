//! What outlives a reset, and the reset itself.
//!
//! ```text
//! end of RAM − 16:  u32 boot mode │ u32 the same, inverted and mixed
//!      from the application on its way to the bootloader
//! end of RAM −  8:  u32 area that the image is from │ u32 the same, inverted and mixed
//!      from the bootloader, where the application cannot know it by its address
//! ```
//! RAM keeps its content over a reset, but not over a power cut, and neither says so: the second
//! word tells a boot mode from what happens to lie there.

use crate::Register;

unsafe extern "C" {
    static mut _retained: [[u32; 2]; 2];
}

const MIX: u32 = 0x5570_6472;
/// Application interrupt and reset control: the key, and the request for a system reset.
const AIRCR: u32 = 0xe000_ed0c;
const RESET_REQUEST: u32 = 0x05fa_0004;

/// What is left of these two words, if somebody has left something there.
fn read(place: *const [u32; 2]) -> Option<u32> {
    // SAFETY: the linker script keeps these words free for this.
    let [value, check] = unsafe { place.read_volatile() };
    (check == !value ^ MIX).then_some(value)
}

fn leave(place: *mut [u32; 2], value: u32) {
    // SAFETY: as above.
    unsafe { place.write_volatile([value, !value ^ MIX]) };
}

fn boot_mode() -> *mut [u32; 2] {
    (&raw mut _retained).cast()
}

fn running() -> *mut [u32; 2] {
    // SAFETY: the second of two.
    unsafe { boot_mode().add(1) }
}

/// The boot mode that [`reset`] left, 0 if it was not that. Once: it is cleared on the way.
pub fn take_boot_mode() -> u32 {
    let mode = read(boot_mode()).unwrap_or(0);
    // SAFETY: as above.
    unsafe { boot_mode().write_volatile([0, 0]) };
    mode
}

/// Resets the chip, and leaves `mode` for the bootloader.
pub fn reset(mode: u32) -> ! {
    leave(boot_mode(), mode);
    // SAFETY: every Cortex-M has this register.
    let aircr = unsafe { Register::at(AIRCR) };
    loop {
        aircr.write(RESET_REQUEST);
    }
}

/// Leaves for the application which area its image was loaded from.
pub fn leave_origin(area: u32) {
    leave(running(), area);
}

/// The area that the bootloader says the running image is from; `None` if it has not said so.
pub fn origin() -> Option<u32> {
    read(running())
}
