//! Serial recovery where nothing boots.

use core::cell::RefCell;
use core::hint::black_box;
use core::time::Duration;

use updraft_flash::TrailerFormat;
use updraft_image::{Rules, UpgradeMode};
use updraft_recovery::{Config, ImageSlots, Images, NoHooks, Port, Recovery};
use updraft_smp::framing::Console;

use crate::alone::Alone;
use crate::chip::{Flash, SLOTS};

/// Bytes of the largest message.
const BUFFER: usize = 1024;

/// The buffers of the line, which a board has in its memory rather than on the stack.
static PORT: Alone<Port<Console<BUFFER>, 512>> = Alone(RefCell::new(Port::new(Console::new())));

// The stack of the boot is free again.
#[inline(never)]
pub fn run(flash: &mut Flash) {
    let secondary = Some(SLOTS.secondary);
    let slots = ImageSlots { primary: SLOTS.primary, secondary, max_size: 0x3f000 };
    let config = Config {
        images: Images::one(slots),
        trailers: TrailerFormat {
            mode: UpgradeMode::SwapMove,
            max_align: 8,
            max_sectors: 128,
            keys: None,
        },
        scratch: None,
        rules: Rules::default(),
        buffer: BUFFER as u32,
    };
    let mut recovery =
        Recovery::<_, _, _, 32>::new(config, flash, crate::keys::verifier(), NoHooks);
    let Ok(mut port) = PORT.0.try_borrow_mut() else { return };
    loop {
        let heard = port.receive(&mut recovery, &[black_box(0)], Duration::ZERO, |bytes| {
            black_box(bytes);
        });
        if heard.reset.is_some() {
            return;
        }
    }
}
