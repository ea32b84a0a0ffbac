//! The boot itself, in the mode of the board.

use core::marker::PhantomData;

use firmware_board::{Board, Facts, Flash, say};
use updraft_boot::{
    Boot, BootError, Bootloader, Config, Configured, Downgrade, EqualSlots, Event, Hooks, InPlace,
    Overwrite, Platform, SingleSlot, Strategy, SwapMove, SwapOffset, SwapScratch, Validate,
};
use updraft_flash::Fault;
use updraft_image::{PublicKey, Software, UpgradeMode};

use crate::WHO;

/// Tells on the console what happens.
struct Console<'b, B>(&'b mut B);

impl<B: Board> Hooks<Fault> for Console<'_, B> {
    #[inline(always)]
    fn event(&mut self, _: u8, event: Event<Fault>) {
        say(self.0, WHO, &event);
    }
}

type Parts<'p, B> =
    Platform<&'p mut Flash<B>, Software<'p>, updraft_boot::NoCounters, Console<'p, B>>;
type Outcome = Result<Boot, BootError<Fault>>;

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

/// Finishes what was begun, upgrades, and verifies what is to be started.
#[inline(never)]
pub fn boot<B: Board>(board: &mut B, flash: &mut Flash<B>, keys: &[PublicKey<'_>]) -> Outcome {
    const {
        assert!(
            matches!(
                B::FACTS.trailers.mode,
                UpgradeMode::SwapMove
                    | UpgradeMode::SwapOffset
                    | UpgradeMode::SwapScratch
                    | UpgradeMode::OverwriteOnly
                    | UpgradeMode::DirectXip
                    | UpgradeMode::DirectXipRevert
                    | UpgradeMode::SingleSlot
            ),
            "this bootloader does not know the board's mode"
        );
    }
    let mut parts = Platform::new(flash, Software::new(keys)).with_hooks(Console(board));
    // The mode is a constant: only one of these is there in the end.
    match B::FACTS.trailers.mode {
        UpgradeMode::SwapOffset => upgrade(SwapOffset, &mut parts),
        UpgradeMode::SwapScratch => match B::FACTS.scratch {
            Some(scratch) => upgrade(SwapScratch { scratch }, &mut parts),
            None => Err(BootError::NoSlot { area: B::FACTS.slots.secondary }),
        },
        UpgradeMode::OverwriteOnly => upgrade(Overwrite::Image, &mut parts),
        mode @ (UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert) => {
            let revert = matches!(mode, UpgradeMode::DirectXipRevert);
            EqualSlots::new(config(&B::FACTS), InPlace { revert }).boot(&mut parts)
        }
        UpgradeMode::SingleSlot => {
            SingleSlot::new(config(&B::FACTS), Validate::Always).boot(&mut parts)
        }
        _ => upgrade(SwapMove, &mut parts),
    }
}

#[inline(always)]
fn upgrade<B: Board>(strategy: impl Strategy, parts: &mut Parts<'_, B>) -> Outcome {
    Bootloader::fixed(OfBoard::<B>(PhantomData), strategy).boot_image(parts, B::FACTS.slots.image)
}

/// The configuration, as a constant.
struct OfBoard<B>(PhantomData<B>);

impl<B: Board> Configured for OfBoard<B> {
    #[inline(always)]
    fn config(&self) -> &Config {
        const { &config(&B::FACTS) }
    }
}
