//! The bootloader that a board file asks for.

use updraft_board::{Board, DowngradePrevention, Role};
use updraft_boot::factory::{Course, Press, Rollback, RollbackError};
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, Downgrade, EqualSlots, Event, FirmwareLoader,
    Hooks, Images, InPlace, InRam, LoadRegion, Overwrite, OverwriteCompressed, Platform,
    SecurityCounters, SingleSlot, Validate,
};
use updraft_flash::{AreaId, Error, SlotPair, StatusFormat, TrailerFormat};
use updraft_image::{Decoder, UpgradeMode, Verifier};

use crate::flash::{SimError, SimFlash};

/// Why a boot failed.
pub type LoaderError = BootError<Error<SimError>>;

/// Why a board cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnplayableBoard {
    /// No strategy for the board's upgrade mode.
    #[error("virtual devices cannot do {0} yet; boards in another mode can be run")]
    Mode(UpgradeMode),
    /// The board lacks a slot.
    #[error("the board has no {0} slot")]
    NoSlot(&'static str),
    /// More images than a bootloader looks after.
    #[error("the board has {0} images, a bootloader looks after {max}", max = updraft_boot::MAX_IMAGES)]
    Images(u8),
}

/// The bootloader of a board, whatever its upgrade mode.
#[derive(Clone, Copy, Debug)]
pub struct Loader {
    config: Config,
    mode: Mode,
    rollback: Option<Rollback>,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Upgrading(AnyStrategy),
    /// Overwriting with what may be compressed.
    Decompressing,
    InPlace(InPlace),
    InRam(Region),
    SingleSlot(SingleSlot),
    FirmwareLoader(FirmwareLoader),
}

/// Where images are loaded to.
#[derive(Clone, Copy, Debug)]
struct Region {
    address: u32,
    size: u32,
    single_slot: bool,
    revert: bool,
}

impl Region {
    /// Boots into memory that nothing else has used.
    fn with_memory<T>(self, run: impl FnOnce(InRam<'_>) -> T) -> T {
        let mut bytes = vec![0; self.size as usize];
        let region = LoadRegion { address: self.address, bytes: &mut bytes };
        run(match self.single_slot {
            true => InRam::single_slot(region),
            false => InRam::new(region, self.revert),
        })
    }
}

impl Loader {
    /// The bootloader that `board` describes.
    pub fn new(board: &Board) -> Result<Self, UnplayableBoard> {
        let config = config(board)?;
        let validate = match config.validate_primary {
            true => Validate::Always,
            false => Validate::Never,
        };
        let mode = match board.mode() {
            UpgradeMode::DirectXip => Mode::InPlace(InPlace { revert: false }),
            UpgradeMode::DirectXipRevert => Mode::InPlace(InPlace { revert: true }),
            mode @ (UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad) => {
                let ram = board.boot().ram_load.as_ref().ok_or(UnplayableBoard::Mode(mode))?;
                let single_slot = mode == UpgradeMode::SingleSlotRamLoad;
                let revert = board.has_trials();
                Mode::InRam(Region { address: ram.base, size: ram.size, single_slot, revert })
            }
            UpgradeMode::SingleSlot => Mode::SingleSlot(SingleSlot::new(config, validate)),
            UpgradeMode::FirmwareLoader => {
                Mode::FirmwareLoader(FirmwareLoader::new(config, validate, true))
            }
            UpgradeMode::OverwriteOnly if board.boot().compression => Mode::Decompressing,
            mode => {
                let scratch = board.area(Role::Scratch).map(|area| area.id);
                let strategy = AnyStrategy::new(mode, scratch);
                let strategy = strategy.ok_or(UnplayableBoard::Mode(mode))?;
                Mode::Upgrading(strategy)
            }
        };
        let factory = board
            .slot(0, Role::Factory)
            .filter(|_| matches!(mode, Mode::Upgrading(_) | Mode::Decompressing));
        let rollback = factory.map(|factory| -> Result<_, UnplayableBoard> {
            let slots = slots(board, 0)?;
            // Virtual images have no vector table.
            let runs_at = None;
            Ok(Rollback { slots, factory: factory.id, config, mode: board.mode(), runs_at })
        });
        Ok(Self { config, mode, rollback: rollback.transpose()? })
    }

    /// The same bootloader, which copies slots as a whole where it overwrites: an option of the
    /// library, as of the original, that no board file asks for.
    #[must_use]
    pub fn copying_whole_slots(mut self) -> Self {
        if let Mode::Upgrading(AnyStrategy::Overwrite(overwrite)) = &mut self.mode {
            *overwrite = Overwrite::Slot;
        }
        self
    }

    /// What the board fixes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Boots; `event` is told what happens to which image.
    pub fn boot(
        &self,
        flash: &mut SimFlash,
        verifier: impl Verifier,
        event: impl FnMut(u8, Event<Error<SimError>>),
    ) -> Result<Boot, LoaderError> {
        flash.settle_status().map_err(BootError::Flash)?;
        self.load(&mut Platform::new(flash, verifier).with_hooks(event), false)
    }

    fn load<V: Verifier, C: SecurityCounters, H: Hooks<Error<SimError>>>(
        &self,
        platform: &mut Platform<&mut SimFlash, V, C, H>,
        pressed: bool,
    ) -> Result<Boot, LoaderError> {
        match self.mode {
            Mode::Upgrading(strategy) => Bootloader::new(self.config, strategy).boot(platform),
            Mode::Decompressing => {
                let (mut decoder, mut ring) = (Box::new(Decoder::new()), vec![0; Decoder::RING]);
                let strategy = OverwriteCompressed::new(&mut decoder, &mut ring);
                Bootloader::new(self.config, strategy).boot(platform)
            }
            Mode::InPlace(place) => EqualSlots::new(self.config, place).boot(platform),
            Mode::InRam(region) => {
                region.with_memory(|ram| EqualSlots::new(self.config, ram).boot(platform))
            }
            Mode::SingleSlot(loader) => loader.boot(platform),
            Mode::FirmwareLoader(loader) => loader.boot(platform, pressed),
        }
    }

    /// The whole boot, with the rollback to the factory image that the board may have. `pressed`
    /// is what the button says once there is an image to start; it asks for the rollback, or for
    /// the loader beside the application.
    pub fn start(
        &self,
        flash: &mut SimFlash,
        verifier: impl Verifier,
        hooks: impl Hooks<Error<SimError>>,
        pressed: bool,
    ) -> Course<Error<SimError>> {
        if let Err(error) = flash.settle_status() {
            return Course::Prompt(BootError::Flash(error));
        }
        let mut platform = Platform::new(flash, verifier).with_hooks(hooks);
        let Some(rollback) = &self.rollback else {
            return match self.load(&mut platform, pressed) {
                Ok(boot) => Course::Start(boot),
                Err(error) => Course::Prompt(error),
            };
        };
        let press = if pressed { Press::Yes } else { Press::No };
        rollback.boot(&mut platform, |platform| self.load(platform, false), || press)
    }

    /// Whether the board has a factory image to go back to.
    pub fn can_roll_back(&self) -> bool {
        self.rollback.is_some()
    }

    /// Rolls back to the factory image, as somebody asked for it on the prompt; `None` if the
    /// board has none.
    pub fn roll_back(
        &self,
        flash: &mut SimFlash,
        verifier: impl Verifier,
        hooks: impl Hooks<Error<SimError>>,
    ) -> Option<Result<Boot, RollbackError<Error<SimError>>>> {
        let mut platform = Platform::new(flash, verifier).with_hooks(hooks);
        Some(self.rollback.as_ref()?.roll_back(&mut platform))
    }

    /// The largest image number `image` with its TLVs that it boots, in bytes.
    pub fn max_image_size(&self, flash: &SimFlash, image: u8) -> Result<u32, LoaderError> {
        match self.mode {
            Mode::Upgrading(strategy) => {
                Bootloader::new(self.config, strategy).max_image_size(flash, image)
            }
            Mode::Decompressing => {
                Bootloader::new(self.config, Overwrite::Image).max_image_size(flash, image)
            }
            Mode::InPlace(place) => {
                EqualSlots::new(self.config, place).max_image_size(flash, image)
            }
            Mode::InRam(region) => region.with_memory(|ram| {
                let max = EqualSlots::new(self.config, ram).max_image_size(flash, image)?;
                Ok(max.min(region.size))
            }),
            Mode::SingleSlot(loader) => loader.max_image_size(flash, self.area(image)?),
            // Either of its slots may be written by somebody else.
            Mode::FirmwareLoader(_) => Ok(self.config.rules.max_size),
        }
    }

    fn area(&self, image: u8) -> Result<AreaId, LoaderError> {
        let pair = self.config.images.slots().iter().find(|pair| pair.image == image);
        pair.map(|pair| pair.primary).ok_or(BootError::NoSuchImage { image })
    }
}

/// The slots of image number `image`.
pub(crate) fn slots(board: &Board, image: u8) -> Result<SlotPair, UnplayableBoard> {
    let slot = |role, name| board.slot(image, role).ok_or(UnplayableBoard::NoSlot(name));
    let primary = slot(Role::Primary, "primary")?.id;
    let secondary = slot(Role::Secondary, "secondary")?.id;
    Ok(SlotPair { image, primary, secondary })
}

/// The same where there may be no secondary slot; the primary one stands in for it then, and is not
/// looked at twice.
fn one_or_two(board: &Board, image: u8) -> Result<SlotPair, UnplayableBoard> {
    match (board.mode(), board.slot(image, Role::Primary)) {
        (UpgradeMode::SingleSlot | UpgradeMode::SingleSlotRamLoad, Some(primary)) => {
            Ok(SlotPair { image, primary: primary.id, secondary: primary.id })
        }
        _ => slots(board, image),
    }
}

/// How the bootloader of `board` lays trailers out.
pub(crate) fn trailers(board: &Board) -> TrailerFormat {
    let boot = board.boot();
    TrailerFormat {
        mode: board.mode(),
        max_align: boot.max_align,
        max_sectors: boot.max_sectors,
        keys: board.trailer_keys(),
    }
}

/// What the status area of `board` is for; `None` in other modes.
pub(crate) fn status_format(board: &Board) -> Option<StatusFormat> {
    let [status, scratch] = [Role::Status, Role::Scratch].map(|role| board.area(role));
    let pairs: Result<Vec<_>, _> = (0..board.images()).map(|image| slots(board, image)).collect();
    let row = board.sectors(status?).first()?.size;
    let (status, scratch, pairs) = (status?.id, scratch?.id, pairs.ok()?);
    let format = StatusFormat::new(status, scratch, trailers(board), &pairs);
    let format = format.map(|format| format.with_rows(row));
    format.filter(|_| board.mode() == UpgradeMode::StatusPartition)
}

fn config(board: &Board) -> Result<Config, UnplayableBoard> {
    let boot = board.boot();
    let downgrade = match boot.downgrade_prevention {
        DowngradePrevention::Version => Downgrade::Refused,
        DowngradePrevention::SecurityCounter => Downgrade::ByCounter,
        DowngradePrevention::None => Downgrade::Allowed,
    };
    let pairs: Result<Vec<_>, _> =
        (0..board.images()).map(|image| one_or_two(board, image)).collect();
    Ok(Config {
        images: Images::new(&pairs?).ok_or(UnplayableBoard::Images(board.images()))?,
        max_align: boot.max_align,
        max_sectors: boot.max_sectors,
        keys: board.trailer_keys(),
        rules: board.rules(0),
        validate_primary: boot.validate_primary,
        downgrade,
        bootstrap: boot.bootstrap,
    })
}
