//! The slots of one image, and what the next boot does with them.

use updraft_flash::{AreaId, FlashMap, SlotPair, TrailerAccess, TrailerFormat, Which};
use updraft_image::{
    Flag, Magic, MaxSize, Rules, SwapType, TornFlags, TrailerState, UpgradeMode, align_down,
};

use crate::DfuError;

/// The slots of one image, as the board's bootloader sees them.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The slots: the application runs from the primary one, unless
    /// [`Dfu::running_from`] says otherwise.
    pub slots: SlotPair,
    /// How the bootloader lays trailers out.
    pub trailers: TrailerFormat,
    /// What the bootloader asks of an image. [`Rules::max_size`] 0 stands for what the mode leaves
    /// room for, see [`Dfu::max_image_size`].
    pub rules: Rules,
}

/// The update state of one image.
#[derive(Clone, Copy, Debug)]
pub struct Dfu {
    pub(crate) config: Config,
    primary: TrailerAccess,
    secondary: TrailerAccess,
    active: Which,
    trials: bool,
}

impl Dfu {
    /// Checks that both slots exist and hold a trailer.
    pub fn new<M: FlashMap>(map: &M, config: Config) -> Result<Self, DfuError<M::Error>> {
        let Config { slots, trailers, .. } = config;
        let alone = |area| {
            let record = map.info(area).map_or(1, |info| info.write_size.max(1));
            trailers.trailer(map, area, record)
        };
        let found = match copies(trailers.mode) {
            true => trailers.trailers(map, &slots),
            // Where nothing is copied, no slot has to know of the other one's device.
            false => alone(slots.primary).and_then(|one| Ok([one, alone(slots.secondary)?])),
        };
        let [primary, secondary] = found.map_err(|area| DfuError::NoSlot { area })?;
        let trials = trailers.mode == UpgradeMode::DirectXipRevert;
        Ok(Self { config, primary, secondary, active: Which::Primary, trials })
    }

    /// The same for an application that runs from, or was loaded from, the slot `active`. Under
    /// bootloaders that copy images to where they run that is the primary one.
    pub fn running_from(self, active: Which) -> Self {
        Self { active, ..self }
    }

    /// The same under a RAM-load bootloader that gives images up which are not confirmed.
    pub fn with_trials(self) -> Self {
        Self { trials: true, ..self }
    }

    /// How the slots are laid out.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The slot that the application runs from.
    pub fn active_slot(&self) -> Which {
        self.active
    }

    /// The slot that takes uploads.
    pub fn upload_slot(&self) -> Which {
        self.active.other()
    }

    /// The area of a slot.
    pub fn area(&self, slot: Which) -> AreaId {
        self.config.slots.area(slot)
    }

    /// The trailer of a slot.
    pub fn trailer(&self, slot: Which) -> &TrailerAccess {
        match slot {
            Which::Primary => &self.primary,
            Which::Secondary => &self.secondary,
        }
    }

    /// The trailer of the secondary slot.
    pub fn secondary_trailer(&self) -> &TrailerAccess {
        &self.secondary
    }

    /// Whether the bootloader brings updates to the primary slot.
    pub(crate) fn copies(&self) -> bool {
        copies(self.config.trailers.mode)
    }

    /// Whether slots are of equal rank, and an image has to be confirmed after its first start.
    pub fn has_trials(&self) -> bool {
        self.trials
    }

    /// The trailers of the active and of the other slot as the bootloader decides them; of the other
    /// one, what cannot be read counts as erased.
    pub(crate) fn trailers<M: FlashMap>(
        &self,
        map: &mut M,
    ) -> Result<(TrailerState, TrailerState), DfuError<M::Error>> {
        let active = self.trailer(self.active).read(map).map_err(DfuError::Flash)?;
        let other = self.trailer(self.upload_slot()).read(map).unwrap_or(TrailerState::UNSET);
        let (active, other) = match self.config.rules.strictness.is_strict() {
            false => (active, other),
            true => (
                active.decide_torn_flags(TornFlags::CountAsSet),
                other.decide_torn_flags(TornFlags::CountAsUnset),
            ),
        };
        // Was started, and not confirmed: the bootloader has given it up.
        let given_up = self.trials && other.copy_done == Flag::Set && other.image_ok != Flag::Set;
        Ok((active, if given_up { TrailerState::UNSET } else { other }))
    }

    /// What the next boot will do. Where slots are of equal rank and versions decide, that is
    /// [`SwapType::None`] whatever it starts; with trials, a test or a permanent start of the other
    /// image takes place only if its version is higher.
    pub fn swap_type<M: FlashMap>(&self, map: &mut M) -> Result<SwapType, DfuError<M::Error>> {
        if !self.takes_requests() {
            return Ok(SwapType::None);
        }
        let (active, other) = self.trailers(map)?;
        Ok(TrailerState::swap_type(self.config.trailers.mode, &active, &other))
    }

    /// Whether the bootloader looks for requests.
    pub fn takes_requests(&self) -> bool {
        self.copies() || self.trials
    }

    /// Where in the secondary slot updates begin, in bytes.
    pub fn update_start<M: FlashMap>(&self, map: &M) -> u32 {
        self.config.trailers.update_start(map, self.config.slots.secondary)
    }

    /// Where what is uploaded to `slot` begins, in bytes.
    pub fn upload_start<M: FlashMap>(&self, map: &M, slot: Which) -> u32 {
        match slot {
            Which::Primary => 0,
            Which::Secondary => self.update_start(map),
        }
    }

    /// Where the image of `slot` begins, in bytes: the one that a revert brings back may lie
    /// elsewhere than an update.
    pub fn image_start<M: FlashMap>(
        &self,
        map: &mut M,
        slot: Which,
    ) -> Result<u32, DfuError<M::Error>> {
        let start = self.upload_start(map, slot);
        if start == 0 {
            return Ok(0);
        }
        Ok(if self.swap_type(map)? == SwapType::Revert { 0 } else { start })
    }

    /// The largest file that can be installed, in bytes: [`Rules::max_size`], or what the mode
    /// leaves room for. Where the board has a scratch or a status area, only the board knows what
    /// they take besides, and `max_size` should say so.
    pub fn max_image_size<M: FlashMap>(&self, map: &M) -> u32 {
        let mode = self.config.trailers.mode;
        let pair = [&self.primary, &self.secondary];
        let [sizes, trailers] = [
            pair.map(|trailer| trailer.layout().slot_size()),
            pair.map(|trailer| trailer.layout().size()),
        ];
        let by_mode = match mode {
            UpgradeMode::SwapMove | UpgradeMode::SwapOffset => {
                let whole = match mode {
                    UpgradeMode::SwapMove => MaxSize::swap_move,
                    _ => MaxSize::swap_offset,
                };
                let sector = map.sector_at(self.config.slots.primary, 0).map(|first| first.size);
                sector.and_then(|sector| whole(sizes, sector, trailers)).unwrap_or(0)
            }
            UpgradeMode::SwapScratch | UpgradeMode::StatusPartition => {
                pair.map(|trailer| trailer.layout().status()).into_iter().fold(u32::MAX, u32::min)
            }
            _ => {
                let bounds = pair.map(|trailer| {
                    let info = map.info(trailer.area()).filter(|info| info.kind.writes_replace());
                    // A row that is replaced for a field of the trailer holds nothing of an image.
                    let row = info.map_or(1, |info| info.write_size.max(1));
                    align_down(MaxSize::below_trailer(mode, trailer.layout()), row)
                });
                bounds.into_iter().fold(u32::MAX, u32::min)
            }
        };
        match self.config.rules.max_size {
            0 => by_mode,
            max => max.min(by_mode),
        }
    }

    /// Whether the running image stays at the next boot. An image that was programmed without a
    /// trailer counts as confirmed.
    pub fn is_confirmed<M: FlashMap>(&self, map: &mut M) -> Result<bool, DfuError<M::Error>> {
        let (active, _) = self.trailers(map)?;
        Ok(active.magic == Magic::Unset || active.image_ok == Flag::Set)
    }
}

/// Whether bootloaders of `mode` bring updates to the primary slot.
fn copies(mode: UpgradeMode) -> bool {
    mode.swaps() || mode == UpgradeMode::OverwriteOnly
}
