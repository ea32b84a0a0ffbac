//! Stories of an application that a loader in the secondary slot writes. The old image plays the
//! loader: as long as one of the two can be started, the device can be updated.

use updraft_board::Role;

use super::{Activity, Author, History, StoryError, Teller};
use crate::device::program;
use crate::explore::Outcome::{New, Old};

pub(super) fn tell(teller: &mut Teller<'_>) -> Result<(), StoryError> {
    for history in History::BOTH {
        let mut device = Author::new(teller.board, teller.keys)?;
        let (primary, secondary) = (device.slot(Role::Primary)?, device.slot(Role::Secondary)?);
        program(&mut device.flash, secondary, &teller.old.running).map_err(StoryError::of_old)?;
        if history == History::Used {
            program(&mut device.flash, primary, &teller.old.running).map_err(StoryError::of_old)?;
        }
        device.boot().map_err(StoryError::of_old)?;
        let ends = (New, &[Old, New][..], &[][..]);
        let upload = (Activity::Upload, primary);
        teller.tell(history.name("upload"), device.flash, upload, ends);
    }
    Ok(())
}
