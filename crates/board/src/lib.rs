//! Boards: one TOML file that the bootloader, the signer, the simulator and the server all read,
//! so that they cannot disagree.
//!
//! ```text
//! boards/NAME.toml ─ parse ─▶ BoardFile ─ check ─▶ Board ─▶ devices and area table   flash map
//!                                                       ├─▶ trailer, largest image   slots
//!                                                       ├─▶ Signing                  signer
//!                                                       └─▶ Rules                    verifier
//! ```
//! A [`Board`] has passed every check: areas lie within their devices and apart from each other,
//! slots hold their trailers and suit the upgrade mode, and an image of some size fits. What a
//! file may contain is in [`schema`] and in `boards/README.md`.
//!
//! # Modes and kinds of flash
//!
//! A mode writes to trailers while it works, field by field. Whether it can do so safely follows
//! from what the flash does to a cell that is written
//! ([`Kind`](updraft_flash::Kind)) and from what a mode makes of a trailer:
//!
//! | mode | trailers hold | `nor` | `nor-limited` | `ecc-words` | `self-erasing-rows` |
//! |---|---|---|---|---|---|
//! | single-slot, single-slot-ram-load, firmware-loader, direct-xip, ram-load | nothing that is read | safe | safe | safe | safe |
//! | overwrite-only, status-partition | a request | safe | *a* | *a* | safe, *b* |
//! | direct-xip-revert | the course of a trial | safe | *a* | *a*, *c* | *d* |
//! | swap-scratch, swap-move, swap-offset | every step | safe | *a*, *e* | *a*, *e* | *d* |
//!
//! **NOR** takes everything: a write moves the bits of its own cells and no others, and may be
//! repeated.
//!
//! *a*: **safe if no word holds more than it takes writes.** Fields and status records are each
//! written once between two erases, by themselves. So the writes that a word sees are the fields,
//! the records, and the end of an image that lie in it; the loader counts them for every word of
//! every trailer. A torn write that changed nothing is repeated, and one that changed something
//! counts as written, so power cuts add none. A word of `ecc-words` is one write, and fields are at
//! least one write apart: there it always holds. With bytes written one by one, a 4-byte word of a
//! swap's trailer holds four records.
//!
//! *b*: **safe because a request may be lost.** A row holds several fields, and a write replaces
//! the row: a torn one may take the fields with it that were there. In these modes they only ask
//! for an upgrade, and a request that is lost before it is complete was never made; the bootloader
//! clears it once the upgrade is done, which may be done twice. What must not be lost is the image:
//! it ends before the first row that holds a field. How far a swap has come is in the status area,
//! row by row, each with a second copy.
//!
//! *c*: **not with padded images.** Uploading the padding writes the words in which the trial is
//! recorded: the second write is one too many where a word takes one.
//!
//! *d*: **safe only if a row is no wider than fields are apart** (`max_align`). Otherwise writing
//! one field risks those written before, on which the mode relies: with 512-byte rows and fields 8
//! bytes apart, 64 of them are at stake at every write.
//!
//! *e*: **not while imitating the original** (`strict = false`). It writes `copy_done` again at
//! every boot as long as two images are too large for swap-move or swap-offset to exchange; and its
//! swap-scratch copies the trailer area with the slot in a bootstrap, and then writes to it.
//!
//! Two outcomes of a torn write do not make a pair unsafe. A word that cannot be read counts as a
//! torn one: as if it had been written or as if not, the same way at every boot. A cell that reads
//! differently from time to time is beyond any format with one copy of a field and no check;
//! what comes of it is counted and reported by whoever explores power cuts. Formats with copies and
//! checks (a status area) survive both.

mod capacity;
mod check;
mod error;
mod export;
mod ids;
mod import;
mod names;
mod safety;
pub mod schema;
mod signing;
mod slots;
mod status;
pub mod suits;
mod text;

use std::fs;
use std::path::Path;
use std::time::Duration;

use updraft_flash::{AreaEntry, AreaId, SectorRun};
use updraft_image::{BoardIds, TrailerKeys, TrailerLayout, UpgradeMode};

pub use capacity::{Capacity, UpgradeCost};
pub use error::{LoadError, Problem};
pub use export::{ExportError, Program};
pub use ids::{IdError, class_id, vendor_id};
pub use import::{Foreign, ImportError, Imported};
pub use names::built_in;
pub use schema::{
    Active, Boot, Button, Console, ConsoleKind, ContentCipher, Core, DowngradePrevention,
    Encryption, FlashDevice, FlashKind, ImageDefaults, KeyWrap, Led, Programmer, Ram, RamUser,
    Recovery, RecoveryTransport, RecoveryWay, Role, Signature, Watchdog,
};
pub use signing::Signing;

use error::Locator;
use schema::BoardFile;

/// An area of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its number: bootloader 0, image 0 primary 1 and secondary 2, scratch 3, image n ≥ 1
    /// primary 2n + 2 and secondary 2n + 3, all others from 16 on in the order of the file.
    pub id: AreaId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Which image it belongs to; 0 for areas that belong to none.
    pub image: u8,
    /// Index of its device in [`Board::flash`].
    pub device: usize,
    /// Where it begins on the device, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Where it is mapped into memory, if its device is.
    pub address: Option<u32>,
    /// Its index in the file.
    row: usize,
}

impl Area {
    /// First offset behind it on its device.
    pub fn end(&self) -> u32 {
        self.offset + self.size
    }
}

/// A board that has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    file: BoardFile,
    areas: Vec<Area>,
    ids: Option<BoardIds>,
}

impl Board {
    /// The board of that name, or in the file of that name: anything with a path separator or the
    /// ending `.toml` is a file.
    pub fn load(name_or_path: &str) -> Result<Self, LoadError> {
        if !name_or_path.ends_with(".toml") && !name_or_path.contains(['/', '\\']) {
            let (file, text) = names::find(name_or_path)?;
            return Self::parse(text, &file);
        }
        let path = Path::new(name_or_path);
        let text = fs::read_to_string(path)
            .map_err(|source| LoadError::Read { path: path.into(), source })?;
        Self::parse(&text, name_or_path)
    }

    /// The board that `text` describes. `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, LoadError> {
        let locator = Locator::new(text);
        let refused = |problems| LoadError::Refused { file: file.into(), problems };
        let parsed = toml::from_str(text).map_err(|error| refused(vec![locator.parser(&error)]))?;
        check::check(parsed).map_err(|found| {
            let problems = found.0.into_iter().map(|(key, message)| locator.at_key(&key, message));
            refused(problems.collect())
        })
    }

    /// The same board with a bootloader of another upgrade mode, if its areas allow that.
    pub fn with_mode(&self, mode: UpgradeMode) -> Result<Self, LoadError> {
        self.with_boot(|boot| boot.mode = mode)
    }

    /// The same board with a bootloader that imitates the original, weaknesses included.
    pub fn imitating(&self) -> Result<Self, LoadError> {
        self.with_boot(|boot| boot.strict = false)
    }

    fn with_boot(&self, change: impl FnOnce(&mut Boot)) -> Result<Self, LoadError> {
        let mut changed = self.clone();
        change(&mut changed.file.boot);
        Self::parse(&changed.to_toml(), self.name())
    }

    /// The board as a file, with every default written out.
    pub fn to_toml(&self) -> String {
        // The schema has neither maps with keys other than strings nor values out of TOML's range.
        toml::to_string(&self.file).unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// One line about it.
    pub fn description(&self) -> &str {
        &self.file.description
    }

    /// What its file says, unresolved.
    pub fn file(&self) -> &BoardFile {
        &self.file
    }

    /// The ids that images for it carry and that it accepts; `None` without vendor and class.
    pub fn ids(&self) -> Option<BoardIds> {
        self.ids
    }

    /// Its processors; the first runs the bootloader.
    pub fn cores(&self) -> &[Core] {
        &self.file.core
    }

    /// Its RAM regions.
    pub fn ram(&self) -> &[Ram] {
        &self.file.ram
    }

    /// Its flash devices.
    pub fn flash(&self) -> &[FlashDevice] {
        &self.file.flash
    }

    /// Its areas, in the order of the file.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// What its bootloader is built for.
    pub fn boot(&self) -> &Boot {
        &self.file.boot
    }

    /// How its bootloader brings a new image to where it runs.
    pub fn mode(&self) -> UpgradeMode {
        self.file.boot.mode
    }

    /// How its images are made.
    pub fn image_defaults(&self) -> &ImageDefaults {
        &self.file.image
    }

    /// Its console.
    pub fn console(&self) -> Option<&Console> {
        self.file.console.as_ref()
    }

    /// How its bootloader takes images over a serial line, if it does.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.file.recovery.as_ref()
    }

    /// How a programmer calls its chip, if the board file says so.
    pub fn programmer(&self) -> Option<&Programmer> {
        self.file.programmer.as_ref()
    }

    /// Its lights.
    pub fn leds(&self) -> &[Led] {
        &self.file.led
    }

    /// Its buttons.
    pub fn buttons(&self) -> &[Button] {
        &self.file.button
    }

    /// How long its first button is held from the reset on until it brings the factory image back, if
    /// there is one; zero: the button is looked at once, when the image has been checked.
    pub fn rollback_hold(&self) -> Option<Duration> {
        let held = self.boot().rollback_hold_ms.unwrap_or(Boot::USUAL_ROLLBACK_HOLD_MS);
        self.area(Role::Factory).map(|_| Duration::from_millis(held.into()))
    }

    /// Its watchdog.
    pub fn watchdog(&self) -> Option<&Watchdog> {
        self.file.watchdog.as_ref()
    }

    /// The rows of its flash map; device indexes are those of [`Self::flash`].
    pub fn area_table(&self) -> Vec<AreaEntry> {
        let entry = |area: &Area| AreaEntry {
            id: area.id,
            device: area.device,
            offset: area.offset,
            size: area.size,
        };
        self.areas.iter().map(entry).collect()
    }

    /// The first area with `role`; of slots, that of image 0.
    pub fn area(&self, role: Role) -> Option<&Area> {
        let mut areas = self.areas.iter().filter(|area| area.role == role);
        if role.is_per_image() { areas.find(|area| area.image == 0) } else { areas.next() }
    }

    /// The area that is called `name`.
    pub fn area_named(&self, name: &str) -> Option<&Area> {
        self.areas.iter().find(|area| area.name == name)
    }

    /// The area of image number `image` with `role`: a slot or its factory image.
    pub fn slot(&self, image: u8, role: Role) -> Option<&Area> {
        self.areas.iter().find(|area| area.role == role && area.image == image)
    }

    /// How many images are updated independently.
    pub fn images(&self) -> u8 {
        let slots = self.areas.iter().filter(|area| area.role.is_slot());
        slots.map(|area| area.image + 1).max().unwrap_or(0)
    }

    /// The device that `area` lies on.
    pub fn device(&self, area: &Area) -> &FlashDevice {
        &self.file.flash[area.device]
    }

    /// The sectors of `area` in address order.
    pub fn sectors(&self, area: &Area) -> Vec<SectorRun> {
        slots::runs(&self.device(area).sectors, area.offset, area.size)
    }

    /// What swaps exchange of `area` at once, in address order: its sectors, or the board's
    /// logical sectors.
    pub fn swap_units(&self, area: &Area) -> Vec<SectorRun> {
        match self.file.boot.logical_sector {
            Some(size) if size > 0 => vec![SectorRun { count: area.size / size, size }],
            _ => self.sectors(area),
        }
    }

    /// The trailer of a slot or of the scratch area; `None` for all others.
    ///
    /// The records of a pair have the write size of the primary's device, as that is where they
    /// are written; the secondary slot's trailer takes at least that room.
    pub fn trailer(&self, area: &Area) -> Option<TrailerLayout> {
        let Boot { mode, max_sectors, max_align, .. } = self.file.boot;
        let sectors = match area.role {
            Role::Primary | Role::Secondary => max_sectors,
            // The scratch area holds the records of one round.
            Role::Scratch if mode == UpgradeMode::SwapScratch => 1,
            _ => return None,
        };
        let write = self.record_size(area);
        TrailerLayout::new(area.size, mode, sectors, write, max_align)?
            .with_keys(self.trailer_keys())
    }

    /// What trailers keep of content keys; `None` if images are not encrypted.
    pub fn trailer_keys(&self) -> Option<TrailerKeys> {
        self.file.boot.encryption.as_ref().map(Encryption::trailer_keys)
    }

    /// Bytes of one status record in the trailer of `area`: one write, but no more than a field.
    /// Rows that are wider hold several, and only modes that write no records may lie on them.
    fn record_size(&self, area: &Area) -> u32 {
        self.status_write_size(area).min(self.file.boot.max_align)
    }

    /// Bytes that are written at once where the status records of the trailer of `area` go.
    fn status_write_size(&self, area: &Area) -> u32 {
        let image = if area.role.is_slot() { area.image } else { 0 };
        let record = self.device(self.slot(image, Role::Primary).unwrap_or(area)).write_size;
        match area.role {
            Role::Secondary => record.max(self.device(area).write_size),
            _ => record,
        }
    }

    /// Whether slots are of equal rank, and an image has to be confirmed after its first start.
    pub fn has_trials(&self) -> bool {
        match self.mode() {
            UpgradeMode::DirectXipRevert => true,
            UpgradeMode::RamLoad => self.file.boot.revert,
            _ => false,
        }
    }

    /// Whether the mode works with a secondary slot.
    fn has_secondary(&self) -> bool {
        !matches!(self.mode(), UpgradeMode::SingleSlot | UpgradeMode::SingleSlotRamLoad)
    }

    /// Whether images are copied to RAM and run there.
    pub fn loads_to_ram(&self) -> bool {
        matches!(self.mode(), UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad)
    }

    /// Whether images run where they lie in flash.
    fn runs_from_flash(&self) -> bool {
        !self.loads_to_ram()
    }

    /// Whether the secondary slot's image is run in place too.
    fn runs_secondary(&self) -> bool {
        matches!(
            self.mode(),
            UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert | UpgradeMode::FirmwareLoader
        )
    }
}
