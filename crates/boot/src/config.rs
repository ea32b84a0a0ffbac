//! What a board fixes about its bootloader.

use updraft_flash::AreaId;
use updraft_image::{Rules, Strictness};

/// The two slots of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPair {
    /// Number of the image, 0 where there is only one.
    pub image: u8,
    /// The slot that the image runs from.
    pub primary: AreaId,
    /// The slot that takes updates.
    pub secondary: AreaId,
}

/// Whether an upgrade may lower the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Downgrade {
    /// Any signed image may be installed.
    #[default]
    Allowed,
    /// An image whose version (without build number) is below the running one's is refused and
    /// erased. A revert is no downgrade.
    Refused,
}

/// What a board fixes about its bootloader, for one image.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The slots.
    pub slots: SlotPair,
    /// The largest write alignment that trailers are laid out for: 8, 16 or 32 bytes.
    pub max_align: u32,
    /// The most sectors of a slot that trailers have status records for.
    pub max_sectors: u32,
    /// What is asked of an image. [`Rules::max_size`] 0 stands for the mode's own bound;
    /// [`Rules::security_counter`] is filled in from the counter store.
    /// [`Rules::strictness`] is also the switch for the flash operations of the bootloader.
    pub rules: Rules,
    /// Whether the image in the primary slot is verified at every boot. Without, only its
    /// header's magic is looked at.
    pub validate_primary: bool,
    /// Whether an upgrade may lower the version.
    pub downgrade: Downgrade,
    /// Whether a valid image in the secondary slot is installed without having been asked for
    /// when there is none in the primary slot.
    pub bootstrap: bool,
}

impl Config {
    /// A bootloader for `slots` with the settings that MCUboot has by default: alignment 8,
    /// 128 sectors, primary slot validated, downgrades allowed, no bootstrap.
    pub fn new(slots: SlotPair, rules: Rules) -> Self {
        Self {
            slots,
            max_align: 8,
            max_sectors: 128,
            rules,
            validate_primary: true,
            downgrade: Downgrade::Allowed,
            bootstrap: false,
        }
    }

    /// Whether the safer behaviour is asked for.
    pub(crate) fn strict(&self) -> bool {
        self.rules.strictness == Strictness::Strict
    }
}
