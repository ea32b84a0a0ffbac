//! What a board fixes about its bootloader.

use updraft_flash::SlotPair;
use updraft_image::{Flags, Rules, TrailerKeys};

/// The most images that a bootloader looks after.
pub const MAX_IMAGES: usize = 8;

/// The images of a board in the order in which they are upgraded. The first one is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    slots: [SlotPair; MAX_IMAGES],
    count: usize,
}

impl Images {
    /// A single image.
    pub const fn one(slots: SlotPair) -> Self {
        Self { slots: [slots; MAX_IMAGES], count: 1 }
    }

    /// Several; `None` if there are none or more than [`MAX_IMAGES`].
    pub fn new(list: &[SlotPair]) -> Option<Self> {
        let mut images = Self::one(*list.first()?);
        images.slots.get_mut(..list.len())?.copy_from_slice(list);
        Some(Self { count: list.len(), ..images })
    }

    /// Their slots.
    pub fn slots(&self) -> &[SlotPair] {
        self.slots.get(..self.count).unwrap_or_default()
    }
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
    /// The same by the images' own security counters, whatever their versions. What the device
    /// has stored is another matter: see [`SecurityCounters`](crate::SecurityCounters).
    ByCounter,
}

/// What a board fixes about its bootloader.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The images with their slots.
    pub images: Images,
    /// The largest write alignment that trailers are laid out for: 8, 16 or 32 bytes.
    pub max_align: u32,
    /// The most sectors of a slot that trailers have status records for.
    pub max_sectors: u32,
    /// What trailers keep of content keys, so that a swap of encrypted images can be resumed;
    /// `None` if images are not encrypted. The private key is with the
    /// [`Verifier`](updraft_image::Verifier).
    pub keys: Option<TrailerKeys>,
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
    /// A bootloader for the image in `slots` with the settings that MCUboot has by default: alignment 8,
    /// 128 sectors, primary slot validated, downgrades allowed, no bootstrap.
    pub fn new(slots: SlotPair, rules: Rules) -> Self {
        Self {
            images: Images::one(slots),
            max_align: 8,
            max_sectors: 128,
            keys: None,
            rules,
            validate_primary: true,
            downgrade: Downgrade::Allowed,
            bootstrap: false,
        }
    }

    /// What images have to comply with, beside the counter of their store. A bootloader that does not unpack
    /// an image would run its compressed bytes, if its rules allow for them.
    #[inline(always)]
    pub(crate) fn rules_of(&self, security_counter: Option<u32>, unpacks: bool) -> Rules {
        let rules = Rules { security_counter, ..self.rules };
        match self.strict() && !unpacks {
            true => Rules { supported: rules.supported.without(Flags::COMPRESSED), ..rules },
            false => rules,
        }
    }

    /// Whether the safer behaviour is asked for.
    pub(crate) fn strict(&self) -> bool {
        self.rules.strictness.is_strict()
    }
}

/// Where a bootloader has its configuration from: it is one, or a type stands for a constant one.
/// Of a constant the compiler knows what it says wherever it is asked.
pub trait Configured {
    /// Whether there is one image and no other, so that nothing of several is linked.
    const ONE_IMAGE: bool = false;

    /// The configuration.
    fn config(&self) -> &Config;
}

/// A configuration with one image: what a bootloader does for several is not linked.
#[derive(Clone, Copy, Debug)]
pub struct OneImage(pub Config);

impl Configured for OneImage {
    const ONE_IMAGE: bool = true;

    #[inline(always)]
    fn config(&self) -> &Config {
        &self.0
    }
}

impl Configured for Config {
    #[inline(always)]
    fn config(&self) -> &Config {
        self
    }
}
