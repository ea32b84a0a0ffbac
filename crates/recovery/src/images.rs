//! The image list, the state of an image, and the sizes of the slots.

use updraft_dfu::{Dfu, DfuError, Upgrade};
use updraft_flash::{FlashMap, SlotSource};
use updraft_image::{
    Flags, Header, Refusal, Source, SwapType, UpgradeMode, Validated, Verifier, validate,
};
use updraft_smp::Rc;
use updraft_smp::server::{Answer, Failure, Request};

use crate::config::{Slot, Which};
use crate::{Hooks, Recovery};

impl<M: FlashMap, V: Verifier, H: Hooks, const HEAD: usize> Recovery<M, V, H, HEAD> {
    /// Lists the images that the bootloader would accept.
    pub(crate) fn list(&mut self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_list("images")?;
        for slot in self.config.slots() {
            let swap = self.swap_type(slot.image);
            let Some((header, validated)) = self.valid_image(&slot, swap) else { continue };
            answer.begin_item()?;
            if self.config.images.count() > 1 {
                answer.u32("image", slot.image.into())?;
            }
            if H::OFFERS.state {
                let flags = State::of(slot.which, swap);
                let bootable = !header.flags.contains(Flags::NON_BOOTABLE);
                for (key, set) in [
                    ("bootable", bootable),
                    ("confirmed", flags.confirmed),
                    ("active", flags.active),
                    ("pending", flags.pending),
                    ("permanent", flags.permanent),
                ] {
                    if set {
                        answer.bool(key, true)?;
                    }
                }
            }
            answer.u32("slot", slot.which.number())?;
            if H::OFFERS.hash {
                answer.bytes("hash", validated.hash.as_bytes())?;
            }
            answer.version("version", &header.version)?;
            answer.end()?;
        }
        answer.end()
    }

    /// What the bootloader will do with an image; nothing, where there is one slot.
    fn swap_type(&mut self, image: u8) -> SwapType {
        let Some(dfu) = self.dfu(image) else { return SwapType::None };
        dfu.swap_type(&mut self.map).unwrap_or(SwapType::None)
    }

    pub(crate) fn dfu(&self, image: u8) -> Option<Dfu> {
        let slot = self.config.slot(image, Which::Secondary)?;
        let slots = self.config.pair(image)?;
        let (trailers, rules) = (self.config.trailers, self.config.rules_for(&slot));
        Dfu::new(&self.map, updraft_dfu::Config { slots, trailers, rules }).ok()
    }

    /// The image of a slot, if the bootloader would accept it.
    fn valid_image(&mut self, slot: &Slot, swap: SwapType) -> Option<(Header, Validated)> {
        // A revert swaps back what stands at the beginning.
        let start = match swap {
            SwapType::Revert => 0,
            _ => self.start(slot),
        };
        let mut source = SlotSource::at(&mut self.map, slot.area, start);
        let mut bytes = [0; Header::SIZE];
        source.read(0, &mut bytes).ok()?;
        let header = Header::parse(&bytes).ok()?;
        let rules = self.config.rules_for(slot);
        let validated = validate(&mut source, &header, &rules, &mut self.verifier).ok()?;
        Some((header, validated))
    }

    /// Where in its area an image in `slot` begins, in bytes.
    pub(crate) fn start(&self, slot: &Slot) -> u32 {
        match slot.which {
            Which::Primary => 0,
            Which::Secondary => self.config.trailers.update_start(&self.map, slot.area),
        }
    }

    /// Asks the bootloader to boot an image on trial or, with `confirm`, for good. Without a hash
    /// the only image's update is meant.
    pub(crate) fn set_state(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Failure> {
        if !H::OFFERS.state || !reads_requests(self.config.trailers.mode) {
            return Err(Rc::NOT_SUPPORTED.into());
        }
        let (mut hash, mut confirm) = (None, None);
        request.fields(|key, value| match key {
            "hash" => value.bytes(&mut hash),
            "confirm" => value.bool(&mut confirm),
            _ => Ok(()),
        })?;
        let confirm = confirm.unwrap_or(false);
        let hash = hash.filter(|hash| !hash.is_empty());
        let slot = match hash {
            Some(hash) if hash.len() != self.config.rules.hash.size() => {
                return Err(Rc::INVALID.into());
            }
            Some(hash) => self.slot_with(hash).ok_or(Rc::NO_ENTRY)?,
            None if self.config.images.count() > 1 => return Err(Rc::INVALID.into()),
            None => self.config.slot(0, Which::Secondary).ok_or(Rc::NO_ENTRY)?,
        };
        self.mark(&slot, confirm)?;
        self.list(answer)
    }

    /// The original marks the update, also if the hash is that of the image in the primary slot.
    fn mark(&mut self, slot: &Slot, confirm: bool) -> Result<(), Failure> {
        let dfu = self.dfu(slot.image).ok_or(Rc::NOT_SUPPORTED)?;
        let marked = match (slot.which, confirm) {
            (Which::Primary, true) if self.strict() => dfu.confirm(&mut self.map),
            (Which::Primary, false) if self.strict() => {
                return Err(Failure::from(Rc::INVALID).because(Some("primary slot")));
            }
            _ => {
                let upgrade = if confirm { Upgrade::Permanent } else { Upgrade::Test };
                let requested = dfu.request_upgrade(&mut self.map, &mut self.verifier, upgrade);
                requested.map(|_| ())
            }
        };
        marked.map_err(|error| match error {
            DfuError::NoImage(_) => Rc::NO_ENTRY.into(),
            DfuError::Refused(refusal) => refused(&refusal),
            DfuError::Flash(_) => Rc::UNKNOWN.into(),
            _ => Rc::INVALID.into(),
        })
    }

    /// The first slot with a valid image of this hash.
    fn slot_with(&mut self, hash: &[u8]) -> Option<Slot> {
        self.config.slots().find(|slot| {
            let swap = self.swap_type(slot.image);
            let image = self.valid_image(slot, swap);
            image.is_some_and(|(_, validated)| validated.hash.as_bytes() == hash)
        })
    }

    pub(crate) fn slot_info(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_list("images")?;
        for image in 0..self.config.images.count() {
            answer.begin_item()?;
            answer.u32("image", image.into())?;
            answer.begin_list("slots")?;
            for slot in Which::BOTH.into_iter().filter_map(|which| self.config.slot(image, which)) {
                answer.begin_item()?;
                answer.u32("slot", slot.which.number())?;
                match self.map.info(slot.area) {
                    Some(info) => {
                        answer.u32("size", info.size)?;
                        if let Some(id) = self.upload_id(&slot) {
                            answer.u32("upload_image_id", id)?;
                        }
                    }
                    None => answer.u32("rc", Rc::UNKNOWN.0)?,
                }
                answer.end()?;
            }
            answer.end()?;
            if let Some(slots) = self.config.images.get(image) {
                answer.u32("max_image_size", slots.max_size)?;
            }
            answer.end()?;
        }
        answer.end()
    }

    /// What a client puts into `image` to upload to a slot. The original names the secondary slot
    /// where it writes the primary one.
    fn upload_id(&self, slot: &Slot) -> Option<u32> {
        let image = u32::from(slot.image);
        if H::OFFERS.direct_upload {
            return Some(image * 2 + slot.which.number() + 1);
        }
        let two = self.config.slot(slot.image, Which::Secondary).is_some();
        let named = match two && !self.strict() {
            true => Which::Secondary,
            false => Which::Primary,
        };
        (slot.which == named).then_some(image)
    }
}

/// Whether the bootloader looks for requests in trailers.
fn reads_requests(mode: UpgradeMode) -> bool {
    copies(mode) || mode == UpgradeMode::DirectXipRevert
}

/// Whether the bootloader brings images from the secondary to the primary slot.
pub(crate) fn copies(mode: UpgradeMode) -> bool {
    mode.swaps() || mode == UpgradeMode::OverwriteOnly
}

/// The flags of a slot.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    confirmed: bool,
    active: bool,
    pending: bool,
    permanent: bool,
}

impl State {
    /// As the original derives them: nothing runs in recovery, and an image that is to be replaced
    /// is not called active.
    fn of(which: Which, swap: SwapType) -> Self {
        let none = Self::default();
        match (which, swap) {
            (Which::Primary, SwapType::None) => Self { confirmed: true, active: true, ..none },
            (Which::Primary, SwapType::Test | SwapType::Permanent) => {
                Self { confirmed: true, ..none }
            }
            (Which::Primary, SwapType::Revert) => Self { active: true, ..none },
            (Which::Secondary, SwapType::Test) => Self { pending: true, ..none },
            (Which::Secondary, SwapType::Permanent) => {
                Self { pending: true, permanent: true, ..none }
            }
            (Which::Secondary, SwapType::Revert) => Self { confirmed: true, ..none },
            _ => none,
        }
    }
}

/// What a client is told of an image that the bootloader would refuse: that it arrived damaged, that
/// it is not for this device, or that it cannot be an image at all.
pub(crate) fn refused<E>(refusal: &Refusal<E>) -> Failure {
    let (rc, reason) = match refusal {
        Refusal::Header(_) | Refusal::Tlv(_) | Refusal::TlvLength { .. } => {
            (Rc::INVALID, "image malformed")
        }
        Refusal::TooLarge { .. } => (Rc::INVALID, "image too large"),
        Refusal::Hash { .. } | Refusal::NoHash { .. } => (Rc::CORRUPT, "image damaged"),
        Refusal::NoSignature { .. } | Refusal::Signature { .. } | Refusal::NotPure => {
            (Rc::ACCESS_DENIED, "signature not trusted")
        }
        Refusal::OtherBoard { .. } => (Rc::ACCESS_DENIED, "image for another board"),
        Refusal::SecurityCounter { .. } | Refusal::NoSecurityCounter => {
            (Rc::ACCESS_DENIED, "security counter")
        }
        Refusal::Read(_) => (Rc::UNKNOWN, "flash read"),
        _ => (Rc::ACCESS_DENIED, "image refused"),
    };
    Failure::from(rc).because(Some(reason))
}
