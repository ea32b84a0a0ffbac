//! Flash in the chip while the radio is on, in gaps that the radio grants.
//!
//! An nRF52840 erases a page in pieces of 10 ms, between which connections go on; an nRF52832 cannot, and
//! the layer grants it 85 ms at once: a connection that waits longer than that for its peer stays.
//! Whoever writes waits until it is done, and the radio is looked after meanwhile: as elsewhere, flash is
//! written in one go, so that formats and their power cuts are the same with a radio and without.

use core::cell::RefCell;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use firmware_board::Violation;
use firmware_cortex_m::Watchdog as _;
use nrf_mpsl::{Flash, FlashError};

use super::process;
use crate::Watchdog;

struct Gaps(RefCell<Option<Flash<'static>>>);

// SAFETY: one thread uses flash, and no handler of an interrupt has to do with this.
unsafe impl Sync for Gaps {}

static GAPS: Gaps = Gaps(RefCell::new(None));

pub(super) fn open(flash: Flash<'static>) {
    *GAPS.0.borrow_mut() = Some(flash);
}

/// Programs words. `None`: the radio is off, and nobody has to be asked.
pub(crate) fn write(address: u32, words: &[u8]) -> Option<Result<(), Violation>> {
    let mut flash = GAPS.0.borrow_mut();
    let flash = flash.as_mut()?;
    Some(finish(flash.write(address, words)))
}

/// Erases pages, and feeds the watchdog before each: with a busy radio they take longer.
pub(crate) fn erase(range: Range<u32>, page: u32) -> Option<Result<(), Violation>> {
    let mut flash = GAPS.0.borrow_mut();
    let flash = flash.as_mut()?;
    Some(range.step_by(page as usize).try_for_each(|at| {
        Watchdog.feed();
        finish(flash.erase(at, at + page))
    }))
}

fn finish(work: impl Future<Output = Result<(), FlashError>>) -> Result<(), Violation> {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done.map_err(|_| Violation::NotDone);
        }
        process();
    }
}
