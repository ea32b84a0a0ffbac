//! Serial recovery on the console's line.

use core::time::Duration;

use firmware_board::{Board, Keys, say};
use firmware_cortex_m::{Chip, Line as _};
use updraft_boot::factory::Hold;
use updraft_image::{PublicKey, UpgradeMode};
use updraft_recovery::{Config, ImageSlots, Images, NoHooks, Port, Recovery, Ways};
use updraft_smp::framing::Console;

use crate::WHO;

/// Bytes of the largest message, as the original's unless told otherwise.
const BUFFER: usize = 1024;
/// Bytes of the longest answer: the list of two slots.
const ANSWER: usize = 384;
/// What is kept back of an upload to its end.
const HEAD: usize = 32;
/// From the answer to a request for a reset to the reset.
const RESET_DELAY: Duration = Duration::from_millis(250);

/// The line with its buffers.
pub type Line = Port<Console<BUFFER>, ANSWER>;

/// The line, on which nothing has come yet.
pub const fn line() -> Line {
    Port::new(Console::new())
}

/// The ways into recovery that the board has.
pub fn ways<B: Board>() -> Ways {
    let ways = &B::FACTS.recovery;
    Ways {
        button: ways.button.then_some(Hold::Sampled),
        pin_reset: ways.pin_reset,
        boot_mode: ways.boot_mode,
        no_image: ways.no_image,
        wait: ways.wait,
    }
}

/// Serves the line until a client asks for a reset.
// The frames of the boot are off the stack by now.
#[inline(never)]
pub fn run<B: Board>(
    board: &mut B,
    flash: &mut B::Map,
    keys: &[PublicKey<'_>],
    line: &mut Line,
) -> ! {
    say(board, WHO, &"serial recovery: upload an image, then reset");
    serve(board, flash, keys, line, None);
    board.reset(0)
}

/// Serves the line until `until`; for good from the first request on.
#[inline(never)]
pub fn listen<B: Board>(
    board: &mut B,
    flash: &mut B::Map,
    keys: &[PublicKey<'_>],
    line: &mut Line,
    until: Duration,
) {
    if serve(board, flash, keys, line, Some(until)) {
        board.reset(0);
    }
}

/// Whether a reset was asked for, rather than the time over.
fn serve<B: Board>(
    board: &mut B,
    flash: &mut B::Map,
    keys: &[PublicKey<'_>],
    line: &mut Line,
    mut until: Option<Duration>,
) -> bool {
    let facts = &B::FACTS;
    let single = facts.slots.primary.0 == facts.slots.secondary.0;
    let slots = ImageSlots {
        primary: facts.slots.primary,
        secondary: (!single).then_some(facts.slots.secondary),
        max_size: facts.rules.max_size,
    };
    let scratch = facts.scratch.filter(|_| facts.trailers.mode == UpgradeMode::SwapScratch);
    let config = Config {
        images: Images::one(slots),
        trailers: facts.trailers,
        scratch,
        rules: facts.rules,
        buffer: BUFFER as u32,
    };
    let mut recovery = Recovery::<_, _, _, HEAD>::new(config, flash, Keys::<B>::new(keys), NoHooks);
    let mut reset_at = None;
    loop {
        let now = board.now();
        if reset_at.is_some_and(|at| at <= now) {
            return true;
        }
        if until.is_some_and(|until| until <= now) {
            return false;
        }
        let Some(byte) = board.chip().line().receive() else {
            board.idle();
            continue;
        };
        let heard = line.receive(&mut recovery, &[byte], now, |bytes| {
            bytes.iter().for_each(|byte| board.chip().line().send(*byte));
        });
        if heard.requests > 0 {
            until = None;
        }
        if heard.reset.is_some() {
            board.chip().line().drain();
            reset_at = reset_at.or(Some(now.saturating_add(RESET_DELAY)));
        }
    }
}
