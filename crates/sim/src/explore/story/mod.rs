//! Devices on the verge of something that a power cut may come into.
//!
//! What there is to tell depends on what the mode does: images that are brought to the primary
//! slot, with a factory image behind them or not (`swaps`), images that run where they were put
//! (`equal_slots`), and an application that a loader beside it writes (`loader`).

mod equal_slots;
mod loader;
mod swaps;

use updraft_board::{Board, Role};
use updraft_boot::factory::Course;
use updraft_dfu::{Dfu, DfuError, SlotWriter, Upgrade};
use updraft_flash::{AreaId, Error, StreamError, TrailerAccess, Which};
use updraft_image::{BodyCipher, Header, UpgradeMode, Verifier, WrappedKey};

use super::outcome::Outcome;
use crate::device::{Keys, dfu, flash_in_memory};
use crate::flash::{SimError, SimFlash};
use crate::loader::{Loader, UnplayableBoard, slots, trailers};

/// What the device was through before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// The old image was programmed by a probe.
    Fresh,
    /// The old image came by an upgrade, so that trailers and remains lie about.
    Used,
}

impl History {
    const BOTH: [Self; 2] = [Self::Fresh, Self::Used];

    /// The name of a story with this before it.
    fn name(self, what: &str) -> String {
        let name = match self {
            Self::Fresh => "fresh",
            Self::Used => "used",
        };
        format!("{what}-{name}")
    }
}

/// What the device is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The bootloader runs.
    Boot,
    /// The application, or the loader beside it, writes the new image to where updates go.
    Upload,
    /// The application asks for the new image.
    Request(Upgrade),
    /// The application confirms the new image, which runs on trial.
    Confirm,
    /// The bootloader runs, and somebody holds the button that rolls back to the factory image.
    RollBack,
}

/// A device on the verge of something, and what may come of it.
#[derive(Clone, Debug)]
pub struct Story {
    pub(super) name: String,
    pub(super) board: Board,
    pub(super) keys: Keys,
    pub(super) start: SimFlash,
    pub(super) activity: Activity,
    /// The slot that is uploaded to, or whose image confirms itself.
    pub(super) slot: AreaId,
    /// What it comes to if nothing happens to it.
    pub(super) comes_to: Outcome,
    /// What it may come to wherever the power fails.
    pub(super) allowed: Vec<Outcome>,
    /// What it may also come to if the power fails within the very last operation: whether a torn
    /// mark was made is decided one way or the other.
    pub(super) at_last: Vec<Outcome>,
    pub(super) old: Firmware,
    pub(super) new: Firmware,
}

/// An image as it is uploaded, and as it lies where it runs from: the same unless it is encrypted.
#[derive(Clone, Debug)]
pub(super) struct Firmware {
    pub(super) uploaded: Vec<u8>,
    pub(super) running: Vec<u8>,
}

impl Firmware {
    /// `image`, as a device with these keys runs it on `board`.
    fn new(board: &Board, image: &[u8], keys: &Keys) -> Result<Self, String> {
        let (uploaded, mut running) = (image.to_vec(), image.to_vec());
        let mut keys = keys.clone();
        // What is loaded to RAM is decrypted there.
        let stays = matches!(board.mode(), UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad);
        let key = keys.private_key().filter(|_| !stays);
        let head = image.first_chunk::<{ Header::SIZE }>();
        let head = head.and_then(|head| Header::parse(head).ok());
        if let (Some(key), Some(header)) = (key, head) {
            let mut source = image;
            let wrapped = WrappedKey::find(&mut source, &header, key.format());
            if let Some(wrapped) = wrapped.map_err(|error| error.to_string())? {
                let content = wrapped.unwrap(key).map_err(|error| error.to_string())?;
                let cipher = BodyCipher::new(&content, &header);
                cipher.map_err(|error| error.to_string())?.apply(0, &mut running);
            }
        }
        Ok(Self { uploaded, running })
    }
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

impl StoryError {
    fn of_old(why: impl ToString) -> Self {
        Self::Image { which: "old", why: why.to_string() }
    }

    fn of_new(why: impl ToString) -> Self {
        Self::Image { which: "new", why: why.to_string() }
    }
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

    /// The image that the device runs, as it was uploaded.
    pub fn old(&self) -> &[u8] {
        &self.old.uploaded
    }

    /// The image that it is to be updated to.
    pub fn new_image(&self) -> &[u8] {
        &self.new.uploaded
    }

    /// The old and the new image as they lie where they run from: in plain, if the device decrypts
    /// them on the way.
    pub fn running(&self) -> [&[u8]; 2] {
        [&self.old.running, &self.new.running]
    }

    /// Whether the device may come to that after power cuts. `at_last`: each came within the last
    /// operation of what was going on.
    pub(super) fn check(&self, outcome: Outcome, at_last: bool) -> Result<(), String> {
        if self.allowed.contains(&outcome) || at_last && self.at_last.contains(&outcome) {
            return Ok(());
        }
        let wanted: Vec<_> = self.allowed.iter().map(ToString::to_string).collect();
        Err(format!("{outcome} runs, and not {}", wanted.join(" or ")))
    }

    /// The number of the image that is updated. On a board with several, the others' slots are empty.
    pub fn image(&self) -> u8 {
        0
    }

    /// The device before that.
    pub fn start(&self) -> &SimFlash {
        &self.start
    }

    /// Writes the new image to where this story has updates go.
    pub(super) fn upload(&self, flash: &mut SimFlash) -> Result<(), String> {
        upload(&self.board, flash, self.slot, &self.new.uploaded).map_err(|error| error.to_string())
    }

    /// Asks the bootloader for the new image, as the application does.
    pub(super) fn request(
        &self,
        flash: &mut SimFlash,
        keys: &mut Keys,
        upgrade: Upgrade,
    ) -> Result<(), String> {
        request(&self.board, flash, keys, self.slot, upgrade)
    }

    /// Lets the image that runs from `slot` confirm itself.
    pub(super) fn confirm(&self, flash: &mut SimFlash, slot: AreaId) -> Result<(), String> {
        let dfu = updates(&self.board, flash).map_err(|error| error.to_string())?;
        let dfu = place(&self.board, dfu, slot, Runs::Here);
        dfu.confirm(flash).map_err(|error| error.to_string())
    }
}

fn updates(board: &Board, flash: &SimFlash) -> Result<Dfu, DfuError<Error<SimError>>> {
    dfu(board, flash)
}

/// Where the application runs, seen from a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    Here,
    Beside,
}

/// `dfu` as the application has it that runs from `slot`, or from the one beside it. Where images
/// are copied, that is always the primary slot.
fn place(board: &Board, dfu: Dfu, slot: AreaId, runs: Runs) -> Dfu {
    if !equal_slots::has(board) {
        return dfu;
    }
    let primary = dfu.area(Which::Primary) == slot;
    let which = if primary { Which::Primary } else { Which::Secondary };
    dfu.running_from(if runs == Runs::Here { which } else { which.other() })
}

/// The trailer of either slot.
fn trailer(board: &Board, flash: &SimFlash, slot: AreaId) -> Result<TrailerAccess, String> {
    let pair = slots(board, 0).map_err(|error| error.to_string())?;
    let found = trailers(board).trailers(flash, &pair);
    let found = found.map_err(|area| format!("area {area} holds no trailer"))?;
    let found = found.into_iter().find(|trailer| trailer.area() == slot);
    found.ok_or_else(|| format!("area {slot} is no slot"))
}

fn upload(
    board: &Board,
    flash: &mut SimFlash,
    slot: AreaId,
    image: &[u8],
) -> Result<(), StreamError<Error<SimError>>> {
    let trailer = trailer(board, flash, slot).map_err(|_| StreamError::NoArea)?;
    let secondary = board.slot(0, Role::Secondary).is_some_and(|area| area.id == slot);
    let start = if secondary { trailers(board).update_start(flash, slot) } else { 0 };
    let mut writer = SlotWriter::<512>::new(flash, &trailer, start)?;
    writer.write(flash, image)?;
    writer.finish(flash).map(drop)
}

fn request(
    board: &Board,
    flash: &mut SimFlash,
    keys: &mut Keys,
    slot: AreaId,
    upgrade: Upgrade,
) -> Result<(), String> {
    let dfu = updates(board, flash).map_err(|error| error.to_string())?;
    let dfu = place(board, dfu, slot, Runs::Beside);
    dfu.request_upgrade(flash, keys, upgrade).map(drop).map_err(|error| error.to_string())
}

/// A device while its past is made up.
#[derive(Clone)]
struct Author<'b> {
    board: &'b Board,
    loader: Loader,
    keys: Keys,
    flash: SimFlash,
}

impl<'b> Author<'b> {
    /// A device that nothing was put into yet.
    fn new(board: &'b Board, keys: &Keys) -> Result<Self, UnplayableBoard> {
        let loader = Loader::new(board)?;
        Ok(Self { board, loader, keys: keys.clone(), flash: flash_in_memory(board) })
    }

    fn slot(&self, role: Role) -> Result<AreaId, UnplayableBoard> {
        let area = self.board.slot(0, role);
        area.map(|area| area.id).ok_or(UnplayableBoard::NoSlot(role.name()))
    }

    fn upload(&mut self, slot: AreaId, image: &Firmware) -> Result<(), String> {
        upload(self.board, &mut self.flash, slot, &image.uploaded)
            .map_err(|error| error.to_string())
    }

    fn request(&mut self, slot: AreaId, upgrade: Upgrade) -> Result<(), String> {
        request(self.board, &mut self.flash, &mut self.keys, slot, upgrade)
    }

    /// Boots, and tells whether something can be started.
    fn boot(&mut self) -> Result<(), String> {
        match self.loader.start(&mut self.flash, &mut self.keys, |_, _| (), false) {
            Course::Start(_) | Course::StartFactory(_) => Ok(()),
            Course::Prompt(error) => Err(error.to_string()),
        }
    }

    /// Uploads `image` to `slot`, asks for it, and boots if `boot`.
    fn update(
        &mut self,
        slot: AreaId,
        image: &Firmware,
        upgrade: Upgrade,
        boot: bool,
    ) -> Result<(), String> {
        self.upload(slot, image)?;
        self.request(slot, upgrade)?;
        if boot {
            self.boot()?;
        }
        Ok(())
    }

    /// Changes one byte of the image that begins at `start` of `slot`, behind its header.
    fn damage(&mut self, slot: AreaId, start: u32, image: &Firmware) -> Result<(), StoryError> {
        let at = image.uploaded.len() / 2;
        let byte = image.uploaded.get(at).map_or(0, |byte| !byte);
        self.flash.load(slot, start + at as u32, &[byte]).map_err(StoryError::of_new)
    }
}

/// Collects stories of one update.
struct Teller<'b> {
    board: &'b Board,
    keys: &'b Keys,
    old: &'b Firmware,
    new: &'b Firmware,
    stories: Vec<Story>,
}

/// What may come of an activity: left alone, wherever the power fails, and in addition if that
/// happens within the last operation.
type Ends<'e> = (Outcome, &'e [Outcome], &'e [Outcome]);

impl Teller<'_> {
    fn tell(
        &mut self,
        name: String,
        start: SimFlash,
        (activity, slot): (Activity, AreaId),
        (comes_to, allowed, at_last): Ends<'_>,
    ) {
        self.stories.push(Story {
            name,
            board: self.board.clone(),
            keys: self.keys.clone(),
            start,
            activity,
            slot,
            comes_to,
            allowed: allowed.to_vec(),
            at_last: at_last.to_vec(),
            old: self.old.clone(),
            new: self.new.clone(),
        });
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
    Loader::new(board)?;
    if old == new {
        return Err(StoryError::SameImage);
    }
    let old = &Firmware::new(board, old, keys).map_err(StoryError::of_old)?;
    let new = &Firmware::new(board, new, keys).map_err(StoryError::of_new)?;
    let mut teller = Teller { board, keys, old, new, stories: Vec::new() };
    match board.mode() {
        mode @ (UpgradeMode::SingleSlot | UpgradeMode::SingleSlotRamLoad) => {
            return Err(StoryError::NothingToCut(mode));
        }
        UpgradeMode::FirmwareLoader => loader::tell(&mut teller)?,
        _ if equal_slots::has(board) => equal_slots::tell(&mut teller)?,
        _ => swaps::tell(&mut teller)?,
    }
    Ok(teller.stories)
}
