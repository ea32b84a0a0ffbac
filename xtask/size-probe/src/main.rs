//! A bootloader as a board would put it together, without the board: flash, keys and console are
//! opaque to the compiler, so that it keeps whatever a board needs and no more.

#![no_std]
#![no_main]

#[cfg(any(feature = "measured", feature = "overwrite-compressed", feature = "recovery"))]
mod alone;
mod chip;
mod console;
mod keys;
#[cfg(feature = "measured")]
mod measured;
mod mode;
#[cfg(feature = "recovery")]
mod recovery;

use core::hint::black_box;
use core::panic::PanicInfo;

use firmware_routines as _;
use updraft_boot::Platform;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Where a chip's reset leads to.
#[unsafe(no_mangle)]
pub extern "C" fn entry() -> ! {
    let mut flash = chip::flash();
    let booted = {
        let platform = Platform::new(&mut flash, keys::verifier());
        #[cfg(feature = "counters")]
        let platform = platform.with_counters(updraft_boot::FlashCounters::new(chip::COUNTERS));
        #[cfg(feature = "console")]
        let platform = platform.with_hooks(console::Console);
        #[cfg(feature = "measured")]
        let Ok(mut memory) = measured::MEMORY.0.try_borrow_mut() else { loop {} };
        #[cfg(feature = "measured")]
        let Some(shared) = updraft_boot::SharedData::new(memory.as_mut_slice()) else { loop {} };
        #[cfg(feature = "measured")]
        let platform = platform.with_hooks(measured::Measures(shared));
        let mut platform = platform;
        let booted = mode::boot(&mut platform);
        #[cfg(feature = "measured")]
        booted.iter().for_each(|boot| platform.hooks.tell(boot));
        booted
    };
    match booted {
        Some(boot) => {
            // What a board would jump to.
            black_box((boot.area, boot.entry(), boot.load_address));
        }
        None => {
            #[cfg(feature = "recovery")]
            recovery::run(&mut flash);
        }
    }
    loop {}
}
