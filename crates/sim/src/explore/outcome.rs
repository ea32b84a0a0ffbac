//! What a device comes to that is left alone after a power cut.

use std::fmt;

use updraft_boot::Boot;
use updraft_boot::factory::Course;

use super::story::Story;
use crate::flash::SimFlash;
use crate::loader::{Loader, LoaderError};
use crate::{Remembering, device::Keys};

/// What a device comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The old image runs and will go on to.
    Old,
    /// The new image runs on trial: it is reverted at the next boot unless it is confirmed.
    Trial,
    /// The new image runs and will go on to.
    New,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "the old image for good",
            Self::Trial => "the new image on trial",
            Self::New => "the new image for good",
        })
    }
}

/// Which of a story's two images runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Old,
    New,
}

/// Boots devices and tells what they come to.
#[derive(Debug)]
pub(super) struct Judge<'s> {
    pub(super) story: &'s Story,
    pub(super) loader: Loader,
    pub(super) keys: Remembering<Keys>,
}

/// How many boots may write before a device has settled.
const SETTLES_WITHIN: u32 = 2;

impl Judge<'_> {
    /// Boots. `pressed` says whether somebody asks for the factory image.
    pub(super) fn boot(
        &mut self,
        flash: &mut SimFlash,
        pressed: bool,
    ) -> Result<Boot, LoaderError> {
        match self.loader.start(flash, &mut self.keys, |_, _| (), pressed) {
            Course::Start(boot) | Course::StartFactory(boot) => Ok(boot),
            Course::Prompt(error) => Err(error),
        }
    }

    /// What a device comes to that has booted already.
    pub(super) fn outcome(&mut self, booted: &SimFlash, boot: &Boot) -> Result<Outcome, String> {
        match self.runs(booted, boot)? {
            Runs::Old => self.settles(booted, Runs::Old).map(|()| Outcome::Old),
            Runs::New => {
                let mut flash = booted.clone();
                let next = self.again(&mut flash)?;
                if self.runs(&flash, &next)? == Runs::New {
                    return self.settles(&flash, Runs::New).map(|()| Outcome::New);
                }
                self.settles(&flash, Runs::Old).map_err(|why| format!("reverted, then {why}"))?;
                let mut confirmed = booted.clone();
                let confirmation = self.story.confirm(&mut confirmed, boot.area);
                confirmation
                    .map_err(|error| format!("the new image cannot be confirmed: {error}"))?;
                self.settles(&confirmed, Runs::New)
                    .map_err(|why| format!("confirmed, then {why}"))?;
                Ok(Outcome::Trial)
            }
        }
    }

    /// Boots until nothing is written any more: the same image all the time, and soon.
    fn settles(&mut self, flash: &SimFlash, runs: Runs) -> Result<(), String> {
        let mut flash = flash.clone();
        for _ in 0..SETTLES_WITHIN {
            let before = flash.supply().operations();
            let boot = self.again(&mut flash)?;
            if self.runs(&flash, &boot)? != runs {
                return Err("another image runs at a later boot".into());
            }
            if flash.supply().operations() == before {
                return Ok(());
            }
        }
        Err("every boot writes to the flash".into())
    }

    fn again(&mut self, flash: &mut SimFlash) -> Result<Boot, String> {
        self.boot(flash, false).map_err(|error| format!("the next boot fails: {error}"))
    }

    fn runs(&self, flash: &SimFlash, boot: &Boot) -> Result<Runs, String> {
        let holds = |image: &[u8]| flash.holds(boot.area, boot.offset, image);
        if holds(&self.story.new.running) {
            Ok(Runs::New)
        } else if holds(&self.story.old.running) {
            Ok(Runs::Old)
        } else {
            Err(format!("version {} runs, which is neither image as it was", boot.header.version))
        }
    }
}
