//! Devices on the verge of something that a power cut may come into.

use updraft_board::Board;
use updraft_dfu::{Dfu, DfuError, SlotWriter, Upgrade};
use updraft_flash::{Error, StreamError};
use updraft_image::UpgradeMode;

use super::outcome::Outcome;
use crate::device::{Keys, dfu, flash_in_memory, program};
use crate::flash::{SimError, SimFlash};
use crate::loader::{Loader, LoaderError, UnplayableBoard, slots};

/// What the device was through before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// The old image was programmed by a probe.
    Fresh,
    /// The old image came by an upgrade, so that trailers and remains lie about.
    Used,
}

impl History {
    fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Used => "used",
        }
    }
}

/// What the device is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The bootloader runs.
    Boot,
    /// The application asks for the new image.
    Request(Upgrade),
    /// The application confirms the new image, which runs on trial.
    Confirm,
}

/// A device on the verge of something, and what may come of it.
#[derive(Clone, Debug)]
pub struct Story {
    pub(super) name: String,
    pub(super) board: Board,
    pub(super) keys: Keys,
    pub(super) start: SimFlash,
    pub(super) activity: Activity,
    /// What it may come to wherever the power fails.
    pub(super) allowed: Vec<Outcome>,
    /// What it may also come to if the power fails within the very last operation: whether a torn
    /// mark was made is decided one way or the other.
    pub(super) at_last: Vec<Outcome>,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

/// Why a story cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoryError {
    /// The board cannot be played.
    #[error(transparent)]
    Board(#[from] UnplayableBoard),
    /// No power cut in this mode is of interest.
    #[error("in {0} mode a boot writes nothing that a power cut could come into")]
    NothingToCut(UpgradeMode),
    /// Both images are the same.
    #[error("the two images are the same file: an update to the running image is none")]
    SameImage,
    /// An image does not get as far as running.
    #[error("the {which} image: {why}")]
    Image {
        /// Old or new.
        which: &'static str,
        /// Why.
        why: String,
    },
}

impl Story {
    /// Its name, such as `revert-used`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the device is about to do.
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// The image that the device runs.
    pub fn old(&self) -> &[u8] {
        &self.old
    }

    /// The image that it is to be updated to.
    pub fn new_image(&self) -> &[u8] {
        &self.new
    }

    /// The device before that.
    pub fn start(&self) -> &SimFlash {
        &self.start
    }

    pub(super) fn dfu(&self, flash: &SimFlash) -> Result<Dfu, DfuError<Error<SimError>>> {
        dfu(&self.board, flash)
    }
}

/// A device while its past is made up.
struct Author<'b> {
    board: &'b Board,
    loader: Loader,
    keys: Keys,
    flash: SimFlash,
}

impl Author<'_> {
    fn upload(&mut self, image: &[u8]) -> Result<(), StreamError<Error<SimError>>> {
        let dfu = dfu(self.board, &self.flash).map_err(|_| StreamError::NoArea)?;
        let (trailer, start) = (dfu.secondary_trailer(), dfu.update_start(&self.flash));
        let mut writer = SlotWriter::<512>::new(&mut self.flash, trailer, start)?;
        writer.write(&mut self.flash, image)?;
        writer.finish(&mut self.flash).map(drop)
    }

    fn request(&mut self, upgrade: Upgrade) -> Result<(), DfuError<Error<SimError>>> {
        let dfu = dfu(self.board, &self.flash)?;
        dfu.request_upgrade(&mut self.flash, &mut self.keys, upgrade).map(drop)
    }

    fn boot(&mut self) -> Result<(), LoaderError> {
        self.loader.boot(&mut self.flash, &mut self.keys, |_, _| ()).map(drop)
    }

    /// Uploads `image`, asks for it, and boots if `boot`.
    fn update(&mut self, image: &[u8], upgrade: Upgrade, boot: bool) -> Result<(), String> {
        self.upload(image).map_err(|error| error.to_string())?;
        self.request(upgrade).map_err(|error| error.to_string())?;
        if boot {
            self.boot().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Every story of an update from `old` to `new` on `board`, whose device trusts `keys`.
///
/// Both images are checked on the way: one that the device would refuse is an error.
pub fn stories(
    board: &Board,
    old: &[u8],
    new: &[u8],
    keys: &Keys,
) -> Result<Vec<Story>, StoryError> {
    let loader = Loader::new(board)?;
    let mode = board.mode();
    if !mode.swaps() && mode != UpgradeMode::OverwriteOnly {
        return Err(StoryError::NothingToCut(mode));
    }
    if old == new {
        return Err(StoryError::SameImage);
    }
    let bad_old = |why: String| StoryError::Image { which: "old", why };
    let bad_new = |why: String| StoryError::Image { which: "new", why };
    let author = |history| -> Result<Author<'_>, StoryError> {
        let mut author =
            Author { board, loader, keys: keys.clone(), flash: flash_in_memory(board) };
        let first = if history == History::Fresh { old } else { new };
        let primary = slots(board, 0)?.primary;
        program(&mut author.flash, primary, first).map_err(|why| bad_old(why.to_string()))?;
        if history == History::Used {
            // Not a downgrade, if those are refused: the new image runs and the old one is in
            // its fallback slot, so it is reverted to.
            author.boot().map_err(|why| bad_new(why.to_string()))?;
            program(&mut author.flash, primary, old).map_err(|why| bad_old(why.to_string()))?;
            author.update(new, Upgrade::Test, true).map_err(bad_new)?;
            if mode.swaps() {
                author.boot().map_err(|why| bad_old(why.to_string()))?;
            } else {
                program(&mut author.flash, primary, old).map_err(|why| bad_old(why.to_string()))?;
            }
        }
        author.boot().map_err(|why| bad_old(why.to_string()))?;
        Ok(author)
    };
    let mut stories = Vec::new();
    let mut tell = |name: String, flash: SimFlash, activity, allowed: &[_], at_last: &[_]| {
        stories.push(Story {
            name,
            board: board.clone(),
            keys: keys.clone(),
            start: flash,
            activity,
            allowed: allowed.to_vec(),
            at_last: at_last.to_vec(),
            old: old.to_vec(),
            new: new.to_vec(),
        });
    };
    use Activity::{Boot, Confirm, Request};
    use Outcome::{New, Old, Trial};
    for history in [History::Fresh, History::Used] {
        let name = |what: &str| format!("{what}-{}", history.name());
        let mut uploaded = author(history)?;
        uploaded.upload(new).map_err(|error| bad_new(error.to_string()))?;
        let with = |upgrade, boot| -> Result<SimFlash, StoryError> {
            let mut author = author(history)?;
            author.update(new, upgrade, boot).map_err(bad_new)?;
            Ok(author.flash)
        };
        if mode.swaps() {
            tell(name("test"), with(Upgrade::Test, false)?, Boot, &[Trial], &[Old]);
            tell(name("permanent"), with(Upgrade::Permanent, false)?, Boot, &[New], &[]);
            tell(name("revert"), with(Upgrade::Test, true)?, Boot, &[Old], &[]);
            tell(name("confirm"), with(Upgrade::Test, true)?, Confirm, &[Old, New], &[]);
            let ask = Request(Upgrade::Test);
            tell(name("request-test"), uploaded.flash.clone(), ask, &[Old, Trial], &[]);
            let ask = Request(Upgrade::Permanent);
            tell(name("request-permanent"), uploaded.flash, ask, &[Old, Trial, New], &[]);
        } else {
            tell(name("upgrade"), with(Upgrade::Permanent, false)?, Boot, &[New], &[]);
            let ask = Request(Upgrade::Permanent);
            tell(name("request"), uploaded.flash, ask, &[Old, New], &[]);
        }
    }
    if board.boot().bootstrap {
        let mut author =
            Author { board, loader, keys: keys.clone(), flash: flash_in_memory(board) };
        author.upload(new).map_err(|error| bad_new(error.to_string()))?;
        tell("bootstrap".into(), author.flash, Boot, &[New], &[]);
    }
    Ok(stories)
}
