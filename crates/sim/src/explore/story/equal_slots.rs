//! Stories of modes that run the newest image from where it was uploaded, or from RAM.

use updraft_board::{Board, Role};
use updraft_dfu::Upgrade;
use updraft_flash::AreaId;
use updraft_image::UpgradeMode;

use super::{Activity, Author, History, StoryError, Teller};
use crate::device::program;
use crate::explore::Outcome::{New, Old, Trial};

/// Whether the slots of `board` are of equal rank.
pub(super) fn has(board: &Board) -> bool {
    matches!(
        board.mode(),
        UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert | UpgradeMode::RamLoad
    )
}

pub(super) fn tell(teller: &mut Teller<'_>) -> Result<(), StoryError> {
    use Activity::{Boot, Confirm, Request, Upload};
    let (test, permanent) = (Upgrade::Test, Upgrade::Permanent);
    let reverts = teller.board.has_trials();
    for history in History::BOTH {
        let (device, idle) = past(teller, history)?;
        let name = |what| history.name(what);
        let mut uploaded = device.clone();
        uploaded.upload(idle, teller.new).map_err(StoryError::of_new)?;
        let start = device.flash.clone();
        // Without a trailer to ask in, an image is asked for by being there.
        let (comes_to, allowed) = if reverts { (Old, &[Old][..]) } else { (New, &[Old, New][..]) };
        teller.tell(name("upload"), start, (Upload, idle), (comes_to, allowed, &[]));
        let mut damaged = uploaded.clone();
        if reverts {
            damaged.request(idle, permanent).map_err(StoryError::of_new)?;
        }
        damaged.damage(idle, 0, teller.new)?;
        teller.tell(name("refuse"), damaged.flash, (Boot, idle), (Old, &[Old], &[]));
        if !reverts {
            continue;
        }
        let start = uploaded.flash.clone();
        let ends = (Trial, &[Old, Trial][..], &[][..]);
        teller.tell(name("request-test"), start.clone(), (Request(test), idle), ends);
        let ends = (New, &[Old, Trial, New][..], &[][..]);
        teller.tell(name("request-permanent"), start, (Request(permanent), idle), ends);
        let mut asked = uploaded.clone();
        asked.request(idle, test).map_err(StoryError::of_new)?;
        let start = asked.flash.clone();
        teller.tell(name("test"), start, (Boot, idle), (Trial, &[Trial], &[Old]));
        asked.boot().map_err(StoryError::of_new)?;
        let start = asked.flash.clone();
        teller.tell(name("revert"), start.clone(), (Boot, idle), (Old, &[Old], &[]));
        teller.tell(name("confirm"), start, (Confirm, idle), (New, &[Old, New], &[]));
    }
    Ok(())
}

/// A device that runs the old image, and the slot that it does not run from: the secondary one, or
/// after an update the primary one.
fn past<'b>(teller: &Teller<'b>, history: History) -> Result<(Author<'b>, AreaId), StoryError> {
    let mut device = Author::new(teller.board, teller.keys)?;
    let (primary, secondary) = (device.slot(Role::Primary)?, device.slot(Role::Secondary)?);
    let (active, idle) = match history {
        History::Fresh => (primary, secondary),
        History::Used => (secondary, primary),
    };
    if history == History::Used {
        // What is left of an image that did not come to be started.
        let mut half = teller.new.clone();
        half.uploaded.truncate(half.uploaded.len() / 2);
        device.upload(idle, &half).map_err(StoryError::of_new)?;
    }
    program(&mut device.flash, active, &teller.old.running).map_err(StoryError::of_old)?;
    if teller.board.has_trials() {
        device.request(active, Upgrade::Permanent).map_err(StoryError::of_old)?;
    }
    device.boot().map_err(StoryError::of_old)?;
    Ok((device, idle))
}
