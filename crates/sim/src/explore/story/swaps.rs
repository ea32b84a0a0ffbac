//! Stories of modes that bring the new image to the primary slot.

use updraft_board::Role;
use updraft_boot::factory::Course;
use updraft_dfu::Upgrade;
use updraft_image::UpgradeMode;

use super::{Activity, Author, History, StoryError, Teller};
use crate::device::program;
use crate::explore::Outcome::{New, Old, Trial};
use crate::flash::SimFlash;
use crate::loader::trailers;

pub(super) fn tell(teller: &mut Teller<'_>) -> Result<(), StoryError> {
    use Activity::{Boot, Confirm, Request, Upload};
    let swaps = teller.board.mode().swaps();
    for history in History::BOTH {
        let device = past(teller, history)?;
        let (primary, secondary) = (device.slot(Role::Primary)?, device.slot(Role::Secondary)?);
        let with = |teller: &Teller<'_>, upgrade, boot| -> Result<SimFlash, StoryError> {
            let mut device = device.clone();
            device.update(secondary, teller.new, upgrade, boot).map_err(StoryError::of_new)?;
            Ok(device.flash)
        };
        let mut uploaded = device.clone();
        uploaded.upload(secondary, teller.new).map_err(StoryError::of_new)?;
        let name = |what| history.name(what);
        let (boot, upload) = ((Boot, primary), (Upload, secondary));
        if swaps {
            let (test, permanent) = (Upgrade::Test, Upgrade::Permanent);
            let start = with(teller, test, false)?;
            teller.tell(name("test"), start, boot, (Trial, &[Trial], &[Old]));
            let start = with(teller, permanent, false)?;
            teller.tell(name("permanent"), start, boot, (New, &[New], &[]));
            let start = with(teller, test, true)?;
            teller.tell(name("revert"), start.clone(), boot, (Old, &[Old], &[]));
            teller.tell(name("confirm"), start, (Confirm, primary), (New, &[Old, New], &[]));
            let ends = (Trial, &[Old, Trial][..], &[][..]);
            let start = uploaded.flash.clone();
            teller.tell(name("request-test"), start, (Request(test), secondary), ends);
            let ends = (New, &[Old, Trial, New][..], &[][..]);
            let start = uploaded.flash.clone();
            teller.tell(name("request-permanent"), start, (Request(permanent), secondary), ends);
        } else {
            let start = with(teller, Upgrade::Permanent, false)?;
            teller.tell(name("upgrade"), start, boot, (New, &[New], &[]));
            let ask = (Request(Upgrade::Permanent), secondary);
            let start = uploaded.flash.clone();
            teller.tell(name("request"), start, ask, (New, &[Old, New], &[]));
        }
        let start = device.flash.clone();
        teller.tell(name("upload"), start, upload, (Old, &[Old], &[]));
        let mut damaged =
            Author { flash: with(teller, Upgrade::Permanent, false)?, ..device.clone() };
        let start = trailers(teller.board).update_start(&damaged.flash, secondary);
        damaged.damage(secondary, start, teller.new)?;
        teller.tell(name("refuse"), damaged.flash, boot, (Old, &[Old], &[]));
        roll_back(teller, history, &device, &with)?;
    }
    if teller.board.boot().bootstrap {
        let mut device = Author::new(teller.board, teller.keys)?;
        let (primary, secondary) = (device.slot(Role::Primary)?, device.slot(Role::Secondary)?);
        device.upload(secondary, teller.new).map_err(StoryError::of_new)?;
        teller.tell("bootstrap".into(), device.flash, (Boot, primary), (New, &[New], &[]));
    }
    Ok(())
}

/// A device that runs the old image.
fn past<'b>(teller: &Teller<'b>, history: History) -> Result<Author<'b>, StoryError> {
    let Teller { board, old, new, .. } = *teller;
    let mut device = Author::new(board, teller.keys)?;
    let (primary, secondary) = (device.slot(Role::Primary)?, device.slot(Role::Secondary)?);
    let first = if history == History::Fresh { old } else { new };
    program(&mut device.flash, primary, &first.running).map_err(StoryError::of_old)?;
    if history == History::Used {
        // Not a downgrade, if those are refused: the new image runs and the old one is in its
        // fallback slot, so it is reverted to.
        device.boot().map_err(StoryError::of_new)?;
        program(&mut device.flash, primary, &old.running).map_err(StoryError::of_old)?;
        device.update(secondary, new, Upgrade::Test, true).map_err(StoryError::of_new)?;
        if board.mode().swaps() {
            device.boot().map_err(StoryError::of_old)?;
        } else {
            program(&mut device.flash, primary, &old.running).map_err(StoryError::of_old)?;
        }
    }
    device.boot().map_err(StoryError::of_old)?;
    Ok(device)
}

/// Stories of a board with a factory image: the old one, to which somebody wants to go back.
fn roll_back(
    teller: &mut Teller<'_>,
    history: History,
    device: &Author<'_>,
    with: &dyn Fn(&Teller<'_>, Upgrade, bool) -> Result<SimFlash, StoryError>,
) -> Result<(), StoryError> {
    let Some(factory) = teller.board.slot(0, Role::Factory) else { return Ok(()) };
    let primary = device.slot(Role::Primary)?;
    for (name, booted) in [("roll-back", true), ("roll-back-instead", false)] {
        let mut flash = with(teller, Upgrade::Permanent, booted)?;
        if booted && teller.board.mode() == UpgradeMode::OverwriteOnly {
            // Whatever an upload that was given up has left there.
            let mut device = Author { flash, ..device.clone() };
            let secondary = device.slot(Role::Secondary)?;
            device.upload(secondary, teller.new).map_err(StoryError::of_new)?;
            flash = device.flash;
        }
        program(&mut flash, factory.id, &teller.old.uploaded).map_err(StoryError::of_old)?;
        let mut tried = flash.clone();
        let mut keys = teller.keys.clone();
        match device.loader.start(&mut tried, &mut keys, |_, _| (), true) {
            Course::StartFactory(_) => {}
            // The board may have no room to roll back to an image of this size.
            Course::Start(_) | Course::Prompt(_) => continue,
        }
        let ends = (Old, &[Old, New][..], &[][..]);
        teller.tell(history.name(name), flash, (Activity::RollBack, primary), ends);
    }
    Ok(())
}
