//! What a board file says, as far as programs need it.

use core::time::Duration;

use updraft_flash::{AreaEntry, AreaId, SlotPair, TrailerFormat};
use updraft_image::{Rules, Scheme, UpgradeMode};

/// The watchdog.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// How long it waits.
    pub timeout: Duration,
    /// Whether the bootloader starts it.
    pub by_bootloader: bool,
}

/// The ways into serial recovery.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// The button.
    pub button: bool,
    /// The reset pin.
    pub pin_reset: bool,
    /// The application's wish.
    pub boot_mode: bool,
    /// Nothing to start.
    pub no_image: bool,
    /// A request within this time.
    pub wait: Option<Duration>,
}

impl Ways {
    /// Whether there is any.
    pub const fn any(&self) -> bool {
        self.button || self.pin_reset || self.boot_mode || self.no_image || self.wait.is_some()
    }
}

/// What a board file says. [`facts!`](crate::facts) makes it from the constants that are generated.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Its name.
    pub name: &'static str,
    /// Its flash areas.
    pub areas: &'static [AreaEntry],
    /// Where its flash devices are mapped into memory.
    pub bases: &'static [Option<u32>],
    /// The slots of the application's image: the last one, where there are several.
    pub slots: SlotPair,
    /// The slots of all images.
    pub pairs: &'static [SlotPair],
    /// The area that swaps exchange through.
    pub scratch: Option<AreaId>,
    /// The area that the status of a swap is kept in.
    pub status: Option<AreaId>,
    /// The area with the factory image, if there is one.
    pub factory: Option<AreaId>,
    /// How long the button is held from the reset on until it brings the factory image back; zero: it is
    /// looked at once, when the image has been checked.
    pub rollback_hold: Duration,
    /// How trailers are laid out, and the upgrade mode with it.
    pub trailers: TrailerFormat,
    /// Whether slots are of equal rank, and an image has to be confirmed after its first start.
    pub trials: bool,
    /// Where images are loaded to: address and bytes.
    pub ram_load: Option<(u32, u32)>,
    /// What is asked of images.
    pub rules: Rules,
    /// How they are signed.
    pub signature: Option<Scheme>,
    /// Whether the primary image is validated at every boot.
    pub validate_primary: bool,
    /// Whether an empty primary slot is filled unasked.
    pub bootstrap: bool,
    /// Whether lower versions are refused.
    pub refuse_lower_versions: bool,
    /// Whether lower security counters are refused.
    pub refuse_lower_counters: bool,
    /// The watchdog, if there is one.
    pub watchdog: Option<Watchdog>,
    /// The ways into serial recovery.
    pub recovery: Ways,
}

impl Facts {
    /// Whether an image may run from either slot.
    pub const fn equal_slots(&self) -> bool {
        matches!(
            self.trailers.mode,
            UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert | UpgradeMode::RamLoad
        )
    }

    /// Where byte `offset` of an area is in memory.
    pub fn address(&self, area: AreaId, offset: u32) -> Option<u32> {
        let area = self.areas.iter().find(|entry| entry.id == area)?;
        let base = (*self.bases.get(area.device)?)?;
        base.checked_add(area.offset)?.checked_add(offset)
    }
}

/// The [`Facts`] in the constants of a module, as `updraft boards export --format rs` makes them.
#[macro_export]
macro_rules! facts {
    ($board:ident) => {
        $crate::Facts {
            name: $board::NAME,
            areas: &$board::AREAS,
            bases: &$board::BASES,
            slots: $board::SLOTS[$board::SLOTS.len() - 1],
            pairs: &$board::SLOTS,
            scratch: $board::SCRATCH,
            status: $board::STATUS,
            factory: $board::FACTORY,
            rollback_hold: match $board::ROLLBACK_HOLD_MS {
                Some(ms) => core::time::Duration::from_millis(ms as u64),
                None => core::time::Duration::ZERO,
            },
            trailers: $board::TRAILERS,
            trials: $board::TRIALS,
            ram_load: $board::RAM_LOAD,
            rules: $board::RULES,
            signature: $board::SIGNATURE,
            validate_primary: $board::VALIDATE_PRIMARY,
            bootstrap: $board::BOOTSTRAP,
            refuse_lower_versions: $board::REFUSE_LOWER_VERSIONS,
            refuse_lower_counters: $board::REFUSE_LOWER_COUNTERS,
            watchdog: match $board::WATCHDOG {
                Some((ms, by_bootloader)) => Some($crate::Watchdog {
                    timeout: core::time::Duration::from_millis(ms as u64),
                    by_bootloader,
                }),
                None => None,
            },
            recovery: $crate::Ways {
                button: $board::RECOVERY_BY_BUTTON,
                pin_reset: $board::RECOVERY_BY_PIN_RESET,
                boot_mode: $board::RECOVERY_BY_BOOT_MODE,
                no_image: $board::RECOVERY_WITHOUT_IMAGE,
                wait: match $board::RECOVERY_WINDOW_MS {
                    Some(ms) => Some(core::time::Duration::from_millis(ms as u64)),
                    None => None,
                },
            },
        }
    };
}

/// What was made of the board file and the key, as items: the module `board` with the constants, the
/// keys `KEYS` and whether they are a `SAMPLE`, the [`Facts`] as `FACTS`, its flash `DEVICES`, and the
/// flash map that its mode works on, as `Map`.
#[macro_export]
macro_rules! board_file {
    () => {
        /// The constants of the board file.
        pub mod board {
            include!(concat!(env!("OUT_DIR"), "/board.rs"));
        }

        use updraft_image::PublicKey;
        include!(concat!(env!("OUT_DIR"), "/key.rs"));
        include!(concat!(env!("OUT_DIR"), "/map.rs"));

        const FACTS: $crate::Facts = $crate::facts!(board);
        static DEVICES: [updraft_flash::Geometry<'static>; board::DEVICES.len()] = board::DEVICES;
    };
}
