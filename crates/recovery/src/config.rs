//! What a board fixes about its recovery, and what it adds to it.

use updraft_flash::{AreaId, FlashMap, SlotPair, TrailerAccess, TrailerFormat};
use updraft_image::Rules;
use updraft_smp::Rc;
use updraft_smp::server::{Answer, Failure, Request};

/// The most images that recovery looks after.
pub const MAX_IMAGES: usize = 8;

/// The slots of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSlots {
    /// The slot that uploads go to, and that the image runs from.
    pub primary: AreaId,
    /// The slot that takes updates, where there are two.
    pub secondary: Option<AreaId>,
    /// Bytes of the largest image with its TLVs that the bootloader takes.
    pub max_size: u32,
}

/// The images of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    slots: [ImageSlots; MAX_IMAGES],
    count: u8,
}

impl Images {
    /// A single image.
    pub const fn one(slots: ImageSlots) -> Self {
        Self { slots: [slots; MAX_IMAGES], count: 1 }
    }

    /// Several; `None` if there are none or more than [`MAX_IMAGES`].
    pub fn new(list: &[ImageSlots]) -> Option<Self> {
        let mut images = Self::one(*list.first()?);
        images.slots.get_mut(..list.len())?.copy_from_slice(list);
        images.count = u8::try_from(list.len()).ok()?;
        Some(images)
    }

    /// How many there are.
    pub fn count(&self) -> u8 {
        self.count
    }

    /// The slots of number `image`.
    pub fn get(&self, image: u8) -> Option<&ImageSlots> {
        self.slots.get(..self.count.into())?.get(usize::from(image))
    }
}

/// What a board fixes about its recovery.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The images with their slots.
    pub images: Images,
    /// How the bootloader lays trailers out, and its upgrade mode with it.
    pub trailers: TrailerFormat,
    /// The area that swap-scratch exchanges through; its end may hold the status of a swap.
    pub scratch: Option<AreaId>,
    /// What the bootloader asks of an image. [`Rules::max_size`] is filled in for each image;
    /// [`Rules::security_counter`] is the caller's to fill in, if the device stores one.
    /// [`Rules::strictness`] is also the switch between the original's answers and safer ones.
    pub rules: Rules,
    /// Bytes of the largest message that is taken, as clients are told.
    pub buffer: u32,
}

/// One of the two slots of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Primary,
    Secondary,
}

impl Which {
    pub(crate) const BOTH: [Self; 2] = [Self::Primary, Self::Secondary];

    /// Its number within the image.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Primary => 0,
            Self::Secondary => 1,
        }
    }
}

/// A slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) image: u8,
    pub(crate) which: Which,
    pub(crate) area: AreaId,
    pub(crate) max_size: u32,
}

impl Config {
    pub(crate) fn slot(&self, image: u8, which: Which) -> Option<Slot> {
        let slots = self.images.get(image)?;
        let area = match which {
            Which::Primary => slots.primary,
            Which::Secondary => slots.secondary?,
        };
        Some(Slot { image, which, area, max_size: slots.max_size })
    }

    /// Every slot, image by image.
    pub(crate) fn slots(self) -> impl Iterator<Item = Slot> {
        (0..self.images.count())
            .flat_map(|image| Which::BOTH.map(|which| (image, which)))
            .filter_map(move |(image, which)| self.slot(image, which))
    }

    /// The slots of an image that has two.
    pub(crate) fn pair(&self, image: u8) -> Option<SlotPair> {
        let slots = self.images.get(image)?;
        Some(SlotPair { image, primary: slots.primary, secondary: slots.secondary? })
    }

    pub(crate) fn rules_for(&self, slot: &Slot) -> Rules {
        Rules { max_size: slot.max_size, ..self.rules }
    }

    /// The trailer of a slot; `None` if it can hold none.
    pub(crate) fn trailer<M: FlashMap>(&self, map: &M, slot: &Slot) -> Option<TrailerAccess> {
        match (self.pair(slot.image), slot.which) {
            (Some(pair), which) => {
                let [primary, secondary] = self.trailers.trailers(map, &pair).ok()?;
                Some(match which {
                    Which::Primary => primary,
                    Which::Secondary => secondary,
                })
            }
            (None, _) => {
                let record = map.info(slot.area)?.write_size;
                self.trailers.trailer(map, slot.area, record).ok()
            }
        }
    }
}

/// What recovery offers besides uploads, the image list, console echo control and reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Echo.
    pub echo: bool,
    /// Buffer parameters.
    pub params: bool,
    /// Hashes in the image list.
    pub hash: bool,
    /// Flags in the image list, and setting the state of an image.
    pub state: bool,
    /// Slot information.
    pub slot_info: bool,
    /// Uploads to the slot that the client names: 1 is the primary slot of the first image, 2 its
    /// secondary, 3 the primary of the second …, and 0 stands for 1. Otherwise the number is that
    /// of an image, and its primary slot is meant.
    pub direct_upload: bool,
}

impl Offers {
    /// What MCUboot offers unless it is configured otherwise.
    pub const BASIC: Self = Self {
        echo: false,
        params: false,
        hash: true,
        state: false,
        slot_info: false,
        direct_upload: false,
    };
    /// Everything.
    pub const ALL: Self = Self {
        echo: true,
        params: true,
        hash: true,
        state: true,
        slot_info: true,
        direct_upload: true,
    };
}

/// What a board adds to recovery.
pub trait Hooks {
    /// What is offered. A constant, so that what is not offered costs no code.
    const OFFERS: Offers = Offers::BASIC;

    /// Whether the device may be reset now. Refusing tells the client to try again later.
    fn may_reset(&mut self, force: bool) -> bool {
        let _ = force;
        true
    }

    /// An upload has ended well: the image is in `slot`, `size` bytes with its TLVs. The place to hand
    /// it on to a processor that keeps a copy of its own. A failure is the answer to the last chunk;
    /// whoever sends the file again comes here again, also where it need not be written anew.
    #[inline(always)]
    fn uploaded<M: FlashMap>(
        &mut self,
        flash: &mut M,
        image: u8,
        slot: AreaId,
        size: u32,
    ) -> Result<(), Failure> {
        let _ = (flash, image, slot, size);
        Ok(())
    }

    /// Carries out a command of a group other than the operating system's and the images': groups
    /// of the board's own begin at 64.
    #[inline(always)]
    fn command<M: FlashMap>(
        &mut self,
        flash: &mut M,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Failure> {
        let _ = (flash, request, answer);
        Err(Rc::NOT_SUPPORTED.into())
    }
}

/// Adds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}
