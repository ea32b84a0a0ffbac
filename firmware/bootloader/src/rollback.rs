//! The way back to the image that the device left the factory with, where the board has one.

use core::cell::Cell;
use core::time::Duration;

use firmware_board::{Board, say};
use firmware_cortex_m::Chip as _;
use updraft_boot::Boot;
use updraft_boot::factory::{Button, Course, Hold, Line, Press, Rollback};
use updraft_flash::AreaId;
use updraft_image::PublicKey;

use crate::WHO;
use crate::load::{self, Outcome};

/// How the board's button has to be pressed.
const fn hold<B: Board>() -> Hold {
    match B::FACTS.rollback_hold {
        Duration::ZERO => Hold::Sampled,
        held => Hold::For(held),
    }
}

/// The board's button, as it is at the reset.
pub fn button<B: Board>(board: &mut B) -> Button {
    Button::at_reset(const { hold::<B>() }, board.pressed())
}

/// Waits a moment for the button. A watchdog that ran before the reset may run on, and nobody presses in
/// its time; while flash is changed, drivers feed it.
fn wait<B: Board>(board: &mut B) {
    board.chip().feed_watchdog();
    board.idle();
}

fn rollback<B: Board>(factory: AreaId) -> Rollback {
    let facts = &B::FACTS;
    let size = facts.areas.iter().find(|area| area.id == facts.slots.primary);
    let first = facts.address(facts.slots.primary, 0);
    Rollback {
        slots: facts.slots,
        factory,
        config: load::config(facts),
        mode: facts.trailers.mode,
        runs_at: first.zip(size).map(|(first, area)| (first, first + (area.size - 1))),
    }
}

/// A boot with a factory image behind it: goes on with a rollback, or boots, and rolls back if the
/// button has been held for long enough.
#[inline(never)]
pub fn boot<B: Board>(
    board: &mut B,
    flash: &mut B::Map,
    keys: &[PublicKey<'_>],
    factory: AreaId,
    mut button: Button,
) -> Outcome {
    let press = Cell::new(Press::No);
    let load = |parts: &mut load::Parts<'_, B>| {
        let booted = load::by_mode(parts);
        let board = &mut *parts.hooks.0;
        while booted.is_ok() {
            let pressed = board.pressed();
            press.set(button.sample(pressed, board.now()));
            match press.get() {
                Press::Holding { .. } => wait(board),
                _ => break,
            }
        }
        booted
    };
    let mut parts = load::parts(board, flash, keys);
    match rollback::<B>(factory).boot(&mut parts, load, || press.get()) {
        Course::Start(boot) | Course::StartFactory(boot) => Ok(boot),
        Course::Prompt(error) => Err(error),
    }
}

/// There is nothing to start: waits for the button to be pressed and released, and rolls back, as
/// often as it takes.
#[inline(never)]
pub fn prompt<B: Board>(
    board: &mut B,
    flash: &mut B::Map,
    keys: &[PublicKey<'_>],
    factory: AreaId,
    mut button: Button,
) -> Boot {
    loop {
        while !button.released(board.pressed()) {
            wait(board);
        }
        for line in [Line::ButtonDetected, Line::Initiating] {
            say(board, WHO, &line);
        }
        let rolled_back = rollback::<B>(factory).roll_back(&mut load::parts(board, flash, keys));
        match rolled_back {
            Ok(boot) => return boot,
            Err(error) => say(board, WHO, &error),
        }
        for line in [Line::CannotRollBack, Line::Prompt] {
            say(board, WHO, &line);
        }
    }
}
