//! Asking for an upgrade and confirming one: Zephyr's MCUboot API, by trailer.

use updraft_flash::{FlashMap, SlotPair, SlotSource, TrailerAccess, TrailerFormat, is_blank};
use updraft_image::{
    Decrypted, Flag, Flags, Header, HeaderError, Magic, Rules, Source, SwapInfo, SwapType,
    TornFlags, TrailerState, Validated, Verifier, validate, validate_sealed,
};

use crate::DfuError;

/// The slots of one image, as the board's bootloader sees them.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The slots: the application runs from the primary one.
    pub slots: SlotPair,
    /// How the bootloader lays trailers out.
    pub trailers: TrailerFormat,
    /// What the bootloader asks of an image.
    pub rules: Rules,
}

/// What an image is asked to be booted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Once, and reverted at the boot after unless it was confirmed.
    Test,
    /// For good.
    Permanent,
}

/// What a request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// The bootloader will find the request.
    Marked(Validated),
    /// One was pending already. It was left as it is, also if it is of the other kind.
    Already(SwapType),
}

/// The update state of one image.
#[derive(Clone, Copy, Debug)]
pub struct Dfu {
    config: Config,
    primary: TrailerAccess,
    secondary: TrailerAccess,
}

impl Dfu {
    /// Checks that both slots exist and hold a trailer.
    pub fn new<M: FlashMap>(map: &M, config: Config) -> Result<Self, DfuError<M::Error>> {
        let trailers = config.trailers.trailers(map, &config.slots);
        let [primary, secondary] = trailers.map_err(|area| DfuError::NoSlot { area })?;
        Ok(Self { config, primary, secondary })
    }

    /// How the slots are laid out.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The trailer of the secondary slot.
    pub fn secondary_trailer(&self) -> &TrailerAccess {
        &self.secondary
    }

    /// The trailers of both slots as the bootloader decides them; an unreadable secondary slot
    /// counts as erased.
    fn trailers<M: FlashMap>(
        &self,
        map: &mut M,
    ) -> Result<(TrailerState, TrailerState), DfuError<M::Error>> {
        let primary = self.primary.read(map).map_err(DfuError::Flash)?;
        let secondary = self.secondary.read(map).unwrap_or(TrailerState::UNSET);
        Ok(match self.config.rules.strictness.is_strict() {
            false => (primary, secondary),
            true => (
                primary.decide_torn_flags(TornFlags::CountAsSet),
                secondary.decide_torn_flags(TornFlags::CountAsUnset),
            ),
        })
    }

    /// What the next boot will do.
    pub fn swap_type<M: FlashMap>(&self, map: &mut M) -> Result<SwapType, DfuError<M::Error>> {
        let (primary, secondary) = self.trailers(map)?;
        Ok(TrailerState::swap_type(self.config.trailers.mode, &primary, &secondary))
    }

    /// Where in the secondary slot updates begin, in bytes.
    pub fn update_start<M: FlashMap>(&self, map: &M) -> u32 {
        self.config.trailers.update_start(map, self.config.slots.secondary)
    }

    /// Verifies the update in the secondary slot as the bootloader will. Of an encrypted one the
    /// body can only be verified with the device's private key; without it, that its hash was
    /// signed has to do.
    pub fn verify<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        verifier: &mut V,
    ) -> Result<Validated, DfuError<M::Error>> {
        let area = self.config.slots.secondary;
        let start = self.update_start(map);
        let header = header(&mut SlotSource::at(map, area, start)).map_err(DfuError::Flash)?;
        let header = header.map_err(DfuError::NoImage)?;
        if start > 0 {
            let first = self::header(&mut SlotSource::new(map, area)).map_err(DfuError::Flash)?;
            if first.is_ok() {
                return Err(DfuError::Misplaced { expected: start });
            }
        }
        let mut slot = SlotSource::at(map, area, start);
        let rules = &self.config.rules;
        let validated = if !header.flags.intersects(Flags::ENCRYPTED) {
            validate(&mut slot, &header, rules, verifier)
        } else if let Some(key) = verifier.private_key() {
            Decrypted::open(slot, &header, key)
                .and_then(|mut image| validate(&mut image, &header, rules, verifier))
        } else {
            validate_sealed(&mut slot, &header, rules, verifier)
        };
        validated.map_err(DfuError::Refused)
    }

    /// Verifies the image in the secondary slot and asks the bootloader to boot it.
    ///
    /// The magic is written first, `image_ok` and the swap type after it: a power cut in between
    /// leaves a test, which can be reverted.
    pub fn request_upgrade<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        verifier: &mut V,
        upgrade: Upgrade,
    ) -> Result<Requested, DfuError<M::Error>> {
        let validated = self.verify(map, verifier)?;
        let (primary, secondary) = self.trailers(map)?;
        match secondary.magic {
            Magic::Good => {
                let mode = self.config.trailers.mode;
                let pending = TrailerState::swap_type(mode, &primary, &secondary);
                return Ok(Requested::Already(pending));
            }
            Magic::Unset if self.secondary.is_erased(map).map_err(DfuError::Flash)? => {}
            // A torn request, or leftovers of another one. The trailer may be cleared if the
            // image ends before the sectors that would go with it.
            _ => {
                let start = self.secondary.layout().status();
                let sector = map.sector_at(self.config.slots.secondary, start);
                let sector =
                    sector.ok_or(DfuError::NoSlot { area: self.config.slots.secondary })?;
                if self.update_start(map).saturating_add(validated.size) > sector.offset {
                    return Err(DfuError::BadTrailer { area: self.config.slots.secondary });
                }
                self.secondary.erase(map).map_err(DfuError::Flash)?;
            }
        }
        let swap_type = match upgrade {
            Upgrade::Test => SwapType::Test,
            Upgrade::Permanent => SwapType::Permanent,
        };
        self.secondary.write_magic(map).map_err(DfuError::Flash)?;
        if upgrade == Upgrade::Permanent {
            self.secondary.write_image_ok(map).map_err(DfuError::Flash)?;
        }
        let info = SwapInfo { swap_type, image: self.config.slots.image };
        self.secondary.write_swap_info(map, info).map_err(DfuError::Flash)?;
        Ok(Requested::Marked(validated))
    }

    /// Whether the running image stays at the next boot. An image that was programmed without a
    /// trailer counts as confirmed.
    pub fn is_confirmed<M: FlashMap>(&self, map: &mut M) -> Result<bool, DfuError<M::Error>> {
        let (primary, _) = self.trailers(map)?;
        Ok(primary.magic == Magic::Unset || primary.image_ok == Flag::Set)
    }

    /// Confirms the running image. Doing so again changes nothing; a confirmation that a power
    /// cut tore is completed.
    pub fn confirm<M: FlashMap>(&self, map: &mut M) -> Result<(), DfuError<M::Error>> {
        let primary = self.primary.read(map).map_err(DfuError::Flash)?;
        match (primary.magic, primary.image_ok) {
            (Magic::Unset, _) | (Magic::Good, Flag::Set) => Ok(()),
            (Magic::Good, _) => self.primary.write_image_ok(map).map_err(DfuError::Flash),
            (Magic::Bad, _) => Err(DfuError::BadTrailer { area: self.config.slots.primary }),
        }
    }

    /// Erases the secondary slot, the trailer first, so that a power cut leaves no request that
    /// points at half an image. A blank slot is left as it is. (The slot that runs cannot be
    /// erased.)
    pub fn erase_slot<M: FlashMap>(&self, map: &mut M) -> Result<(), DfuError<M::Error>> {
        let area = self.config.slots.secondary;
        let size = map.info(area).ok_or(DfuError::NoSlot { area })?.size;
        if is_blank(map, area, 0, size).map_err(DfuError::Flash)? {
            return Ok(());
        }
        self.secondary.erase(map).map_err(DfuError::Flash)?;
        let trailer = self.secondary.layout().status();
        let mut at = 0;
        while let Some(sector) = map.sector_at(area, at).filter(|sector| sector.end() <= trailer) {
            map.erase(area, sector.offset, sector.size).map_err(DfuError::Flash)?;
            at = sector.end();
        }
        Ok(())
    }
}

/// What the image in `slot` begins with.
fn header<S: Source>(slot: &mut S) -> Result<Result<Header, HeaderError>, S::Error> {
    let mut bytes = [0; Header::SIZE];
    slot.read(0, &mut bytes)?;
    Ok(Header::parse(&bytes))
}
