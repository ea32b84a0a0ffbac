//! The boot itself, in the mode of the board.

use core::marker::PhantomData;

use firmware_board::{Board, Facts, Keys, say};
use updraft_boot::factory::Line;
use updraft_boot::{
    Boot, BootError, Bootloader, Config, Configured, Downgrade, EqualSlots, Event, Hooks, InPlace,
    InRam, LoadRegion, Overwrite, Platform, SingleSlot, Strategy, SwapMove, SwapOffset,
    SwapScratch, SwapStatus, Validate,
};
use updraft_flash::Fault;
use updraft_image::{Flags, PublicKey, UpgradeMode};

use crate::WHO;

/// Tells on the console what happens.
pub struct Console<'b, B>(pub &'b mut B);

impl<B: Board> Hooks<Fault> for Console<'_, B> {
    #[inline(always)]
    fn event(&mut self, _: u8, event: Event<Fault>) {
        say(self.0, WHO, &event);
    }

    // In line, as only a board with a factory image gets here.
    #[inline(always)]
    fn line(&mut self, line: Line) {
        say(self.0, WHO, &line);
    }
}

/// What a boot works with.
pub type Parts<'p, B> =
    Platform<&'p mut <B as Board>::Map, Keys<'p, B>, updraft_boot::NoCounters, Console<'p, B>>;
pub type Outcome = Result<Boot, BootError<Fault>>;

/// What the board's bootloader is configured to.
pub const fn config(facts: &Facts) -> Config {
    Config {
        images: updraft_boot::Images::one(facts.slots),
        max_align: facts.trailers.max_align,
        max_sectors: facts.trailers.max_sectors,
        keys: facts.trailers.keys,
        rules: facts.rules,
        validate_primary: facts.validate_primary,
        downgrade: match (facts.refuse_lower_versions, facts.refuse_lower_counters) {
            (_, true) => Downgrade::ByCounter,
            (true, false) => Downgrade::Refused,
            (false, false) => Downgrade::Allowed,
        },
        bootstrap: facts.bootstrap,
    }
}

/// What a boot works with.
#[inline(always)]
pub fn parts<'p, B: Board>(
    board: &'p mut B,
    flash: &'p mut B::Map,
    keys: &'p [PublicKey<'p>],
) -> Parts<'p, B> {
    Platform::new(flash, Keys::new(keys)).with_hooks(Console(board))
}

/// Finishes what was begun, upgrades, and verifies what is to be started.
#[inline(never)]
pub fn boot<B: Board>(board: &mut B, flash: &mut B::Map, keys: &[PublicKey<'_>]) -> Outcome {
    by_mode(&mut parts(board, flash, keys))
}

/// The same with what it works with at hand.
#[inline(always)]
pub fn by_mode<B: Board>(parts: &mut Parts<'_, B>) -> Outcome {
    const {
        assert!(
            matches!(
                B::FACTS.trailers.mode,
                UpgradeMode::SwapMove
                    | UpgradeMode::SwapOffset
                    | UpgradeMode::SwapScratch
                    | UpgradeMode::StatusPartition
                    | UpgradeMode::OverwriteOnly
                    | UpgradeMode::DirectXip
                    | UpgradeMode::DirectXipRevert
                    | UpgradeMode::SingleSlot
                    | UpgradeMode::RamLoad
                    | UpgradeMode::SingleSlotRamLoad
            ),
            "this bootloader does not know the board's mode"
        );
        assert!(
            !B::FACTS.rules.supported.intersects(Flags::COMPRESSED),
            "this bootloader unpacks nothing: leave boot.compression out of the board's file"
        );
    }
    // The mode is a constant: only one of these is there in the end.
    match B::FACTS.trailers.mode {
        UpgradeMode::SwapOffset => upgrade(SwapOffset, parts),
        mode @ (UpgradeMode::SwapScratch | UpgradeMode::StatusPartition) => {
            match B::FACTS.scratch {
                None => Err(BootError::NoSlot { area: B::FACTS.slots.secondary }),
                Some(scratch) if matches!(mode, UpgradeMode::SwapScratch) => {
                    upgrade(SwapScratch { scratch }, parts)
                }
                Some(scratch) => upgrade(SwapStatus { scratch }, parts),
            }
        }
        UpgradeMode::OverwriteOnly => upgrade(Overwrite::Image, parts),
        mode @ (UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert) => {
            let revert = matches!(mode, UpgradeMode::DirectXipRevert);
            EqualSlots::fixed(OfBoard::<B>(PhantomData), InPlace { revert }).boot(parts)
        }
        mode @ (UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad) => {
            let Some(((address, _), bytes)) = B::FACTS.ram_load.zip(parts.hooks.0.load_region())
            else {
                return Err(BootError::NoImage);
            };
            let region = LoadRegion { address, bytes };
            let in_ram = match mode {
                UpgradeMode::RamLoad => InRam::new(region, B::FACTS.trials),
                _ => InRam::single_slot(region),
            };
            EqualSlots::fixed(OfBoard::<B>(PhantomData), in_ram).boot(parts)
        }
        UpgradeMode::SingleSlot => SingleSlot::new(config(&B::FACTS), Validate::Always).boot(parts),
        _ => upgrade(SwapMove, parts),
    }
}

#[inline(always)]
fn upgrade<B: Board>(strategy: impl Strategy, parts: &mut Parts<'_, B>) -> Outcome {
    Bootloader::fixed(OfBoard::<B>(PhantomData), strategy).boot_image(parts, B::FACTS.slots.image)
}

/// The configuration, as a constant.
struct OfBoard<B>(PhantomData<B>);

impl<B: Board> Configured for OfBoard<B> {
    const ONE_IMAGE: bool = true;

    #[inline(always)]
    fn config(&self) -> &Config {
        const { &config(&B::FACTS) }
    }
}
