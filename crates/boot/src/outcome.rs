//! What a boot led to: what to jump to, what happened on the way, or why there is nothing.

use core::fmt;
use core::hint::black_box;

use updraft_flash::{AreaId, FlashMap};
use updraft_image::text::{self, Hex};
use updraft_image::{
    Describe, Header, Refusal, Rules, SwapType, Text, UnwrapError, Validated, Version,
};

use crate::CounterFault;
use crate::factory::RollbackError;

/// The image to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Number of the image.
    pub image: u8,
    /// The slot that it is in.
    pub area: AreaId,
    /// Where it begins in the slot, in bytes; its body begins [`Header::hdr_size`] further on.
    pub offset: u32,
    /// Where it was loaded to, if it runs from RAM. Its body begins [`Header::hdr_size`] further on.
    pub load_address: Option<u32>,
    /// Its header.
    pub header: Header,
    /// What its validation found; `None` where the primary slot is not validated.
    pub validated: Option<Validated>,
    /// What this boot did with the slots. A swap that was only resumed counts.
    pub swap: SwapType,
}

impl Boot {
    /// Where the body begins: offset in the slot, in bytes.
    pub fn entry(&self) -> u32 {
        self.offset.saturating_add(self.header.hdr_size.into())
    }
}

/// Something worth a line on the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
// Which event it is stands beside what it says, so that the compiler knows it where it is told.
#[repr(u8)]
pub enum Event<E> {
    /// The sectors of the two slots do not fit together, so no upgrade is possible.
    SlotsIncompatible,
    /// A swap that a power cut had interrupted was finished.
    Resumed(SwapType),
    /// The image of the secondary slot was brought to the primary one.
    Installed(SwapType),
    /// The image under test had not been confirmed; the one before it is back.
    Reverted,
    /// There was no image to boot, and the secondary slot's was installed unasked.
    Bootstrapped,
    /// An upgrade is pending but the secondary slot holds no image that can be booted.
    SecondaryEmpty,
    /// The secondary slot cannot be read; what is asked there has to wait.
    SecondaryUnreadable(E),
    /// What is in the secondary slot, or asked there, is not acceptable, and flash fails to clear it
    /// away. What runs now stays.
    NotCleared(E),
    /// Flash does not take the changes that exchanging the images begins with. What runs now stays;
    /// the next boot tries again.
    NotBegun(E),
    /// The image in the secondary slot was not acceptable and has been erased.
    SecondaryRefused(Refusal<E>),
    /// There is an image at the beginning of the secondary slot, but updates have to be uploaded
    /// to a place further on. The slot has been erased.
    Misplaced {
        /// Where updates begin, in bytes from the start of the slot.
        expected: u32,
    },
    /// The image in the secondary slot is older than the running one and has been erased.
    DowngradeRefused {
        /// The version that runs.
        running: Version,
        /// The version that was to replace it.
        offered: Version,
    },
    /// The image in the secondary slot has a lower security counter than the running one, or none,
    /// and has been erased.
    CounterRefused {
        /// The counter of the image that runs.
        running: u32,
        /// The one of the image that was to replace it.
        offered: Option<u32>,
    },
    /// The security counter store cannot be raised any more, which a new image would need: one in the
    /// secondary slot has been erased, one in a slot of equal rank is left out.
    CounterExhausted,
    /// The images are too large to be swapped in these slots; nothing was moved.
    NoSpace {
        /// Sectors that the larger image takes.
        needed: u32,
        /// Sectors that can be swapped.
        available: u32,
    },
    /// The image that runs was encrypted for another device, and cannot be encrypted again as it
    /// would have to be in the secondary slot: nothing was moved, and the request is cleared.
    CannotEncrypt(Refusal<E>),
    /// A swap status record is missing below one that is there.
    StatusGap,
    /// The image under test was not confirmed, but there is nothing to go back to.
    NothingToRevertTo,
    /// An image depends on another one in a version that would not be there: no image is
    /// upgraded.
    DependencyUnmet(Unmet<E>),
    /// A slot of equal rank cannot be read; it is left out.
    SlotUnreadable(AreaId, E),
    /// The image in a slot of equal rank cannot be started. The slot is erased, strictly only if
    /// another image can.
    SlotRefused(AreaId, Refusal<E>),
    /// The image in a slot was made to run from another address.
    WrongAddress(AreaId),
    /// The loader was wanted and cannot be started.
    LoaderFailed(BootError<E>),
    /// The application cannot be started; the loader is tried.
    ApplicationFailed(BootError<E>),
    /// The device cannot be rolled back to its factory image.
    RollbackFailed(RollbackError<E>),
    /// There is no image number 1 or above in this device; the others run without it.
    NotProvisioned,
}

/// Why the images do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet<E> {
    /// The TLVs of the image that would run cannot be read.
    Unreadable(Refusal<E>),
    /// It names an image number that this device does not have.
    NoSuchImage {
        /// The number.
        image: u8,
    },
    /// The other image would be too old.
    TooOld {
        /// Its number.
        image: u8,
        /// The version that would be there; `None` where there is no image.
        found: Option<Version>,
        /// The lowest that will do.
        minimum: Version,
    },
}

impl<E: Describe> Describe for Unmet<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::Unreadable(refusal) => to.fill("its dependencies cannot be read: {}", &[refusal]),
            Self::NoSuchImage { image } => {
                to.fill("it depends on image {}, which is not here", &[image]);
            }
            Self::TooOld { image, found: Some(found), minimum } => {
                let things: [&dyn Describe; 3] = [image, minimum, found];
                to.fill("it needs image {} in version {}, which would be {}", &things);
            }
            Self::TooOld { image, found: None, minimum } => {
                to.fill("it needs image {} in version {}, and there is none", &[image, minimum]);
            }
        }
    }
}

impl<E: Describe> fmt::Display for Unmet<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: Describe> Describe for Event<E> {
    #[inline(always)]
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::SlotsIncompatible => to.say("no upgrade: the slots' sectors do not match"),
            Self::Resumed(swap) => to.fill("interrupted {} finished", &[&name(*swap)]),
            Self::Installed(swap) => to.fill("new image installed ({})", &[&name(*swap)]),
            Self::Reverted => to.say("image under test not confirmed: reverted"),
            Self::Bootstrapped => to.say("first image installed"),
            Self::SecondaryEmpty => to.say("no upgrade: the secondary slot holds no image"),
            Self::SecondaryUnreadable(error) | Self::NotCleared(error) | Self::NotBegun(error) => {
                to.fill("no upgrade: {}; the next boot tries again", &[error]);
            }
            Self::CannotEncrypt(refusal) => {
                to.fill("no upgrade: what runs cannot be encrypted again: {}", &[refusal]);
            }
            Self::SecondaryRefused(refusal) => to.fill("secondary slot erased: {}", &[refusal]),
            Self::Misplaced { expected } => {
                let expected = Hex(*expected, 1);
                to.fill("secondary slot erased: updates begin at {}", &[&expected]);
            }
            Self::DowngradeRefused { running, offered } => to.fill(
                "secondary slot erased: {} is older than the running {}",
                &[offered, running],
            ),
            Self::CounterRefused { running, offered: Some(offered) } => {
                to.fill("secondary slot erased: security counter {}, {} runs", &[offered, running])
            }
            Self::CounterRefused { running, offered: None } => {
                to.fill("secondary slot erased: no security counter, {} runs", &[running]);
            }
            Self::CounterExhausted => {
                to.say("no upgrade: the security counter is used up");
            }
            Self::NoSpace { needed, available } => {
                to.fill("no upgrade: {} sectors, room for {}", &[needed, available])
            }
            Self::StatusGap => to.say("a swap record is missing"),
            Self::NothingToRevertTo => {
                to.say("not confirmed, and none to go back to");
            }
            Self::SlotUnreadable(area, error) => to.fill("area {} left out: {}", &[area, error]),
            Self::SlotRefused(area, refusal) => to.fill("area {} left out: {}", &[area, refusal]),
            Self::WrongAddress(area) => {
                to.fill("area {} left out: made for another address", &[area]);
            }
            Self::LoaderFailed(error) => to.fill("the loader cannot be started: {}", &[error]),
            Self::ApplicationFailed(error) => {
                to.fill("the application cannot be started: {}", &[error]);
            }
            Self::RollbackFailed(error) => to.fill("no rollback: {}", &[error]),
            Self::DependencyUnmet(unmet) => to.fill("no upgrade: {}", &[unmet]),
            Self::NotProvisioned => to.say("no image here; the others run without it"),
        }
    }
}

impl<E: Describe> fmt::Display for Event<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

fn name(swap: SwapType) -> &'static str {
    match swap {
        SwapType::None => "none",
        SwapType::Test => "test",
        SwapType::Permanent => "permanent",
        SwapType::Revert => "revert",
        SwapType::Fail => "failed",
    }
}

impl Boot {
    /// The last look before the image is started: one that was to be validated stands on a
    /// decision that was really taken, and is for this board.
    pub(crate) fn cleared<E>(
        &self,
        to_be_validated: bool,
        rules: &Rules,
    ) -> Result<(), BootError<E>> {
        match self.is_cleared(to_be_validated, rules) {
            true => Ok(()),
            false => Err(BootError::Tampered),
        }
    }

    /// Each question twice, in two rounds, so that jumping over one of them leads to the other; see
    /// [`updraft_image::Decision`]. `cargo xtask chip` looks for both in the machine code.
    #[inline(never)]
    fn is_cleared(&self, to_be_validated: bool, rules: &Rules) -> bool {
        let Some(validated) = &self.validated else { return !black_box(to_be_validated) };
        if !validated.stands() || !validated.is_for(rules.board.as_ref()) {
            return false;
        }
        black_box(validated).stands() && black_box(validated).is_for(rules.board.as_ref())
    }
}

/// What a step of a boot over the flash map `M` leads to.
pub(crate) type Step<T, M> = Result<T, BootError<<M as FlashMap>::Error>>;

/// Why nothing can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootError<E> {
    /// The bootloader was not configured for an image of that number.
    NoSuchImage {
        /// The number.
        image: u8,
    },
    /// The flash map lacks a slot, or it cannot hold a trailer of the configured shape.
    NoSlot {
        /// The area.
        area: AreaId,
    },
    /// The primary slot holds no image that can be booted: it is erased or marked so.
    NoImage,
    /// The image in the primary slot is not acceptable.
    Refused(Refusal<E>),
    /// A swap was interrupted and its status does not tell how far it had come.
    BadStatus,
    /// The keys of encrypted images that were saved when a swap began cannot be unwrapped.
    ContentKey(UnwrapError),
    /// The security counter store failed.
    Counter,
    /// The application cannot be told what was booted.
    SharedData,
    /// An image is about to be started whose validation did not take place, or that is older or for
    /// another board when asked once more: the processor was disturbed.
    Tampered,
    /// The flash failed.
    Flash(E),
}

impl<E: Describe> Describe for BootError<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::NoSuchImage { image } => to.fill("this device has no image {}", &[image]),
            Self::NoSlot { area } => to.fill("area {} cannot be a slot", &[area]),
            Self::NoImage => to.say("the primary slot holds no image"),
            Self::Refused(refusal) => to.fill("the image in the primary slot: {}", &[refusal]),
            Self::BadStatus => to.say("an interrupted swap left no usable status"),
            Self::ContentKey(error) => to.fill("the keys of an interrupted swap: {}", &[error]),
            Self::Counter => to.say("the security counter store failed"),
            Self::Tampered => to.say("about to start what was not validated"),
            Self::SharedData => to.say("the application cannot be told what was booted"),
            Self::Flash(error) => error.describe(to),
        }
    }
}

impl<E: Describe> fmt::Display for BootError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for BootError<E> {}

impl<E> From<CounterFault> for BootError<E> {
    fn from(CounterFault: CounterFault) -> Self {
        Self::Counter
    }
}
