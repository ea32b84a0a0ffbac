//! RAM-load: images are copied to the address that their header names, and validated there.
//!
//! Decryption and validation come after the copy, so that nobody can exchange the image between
//! the two.

use updraft_flash::FlashMap;
use updraft_image::{
    BodyCipher, Flags, Header, Refusal, Rules, Strictness, UpgradeMode, Verifier, WrappedKey,
    validate,
};

use crate::placement::sealed::Sealed;
use crate::slots::{Head, Slot};
use crate::{MAX_IMAGES, Placed, Placement};

/// The memory that images may be loaded to.
#[derive(Debug)]
pub struct LoadRegion<'r> {
    /// Its first address as images see it.
    pub address: u32,
    /// The memory.
    pub bytes: &'r mut [u8],
}

/// Where an image was loaded to: first address, and first one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loaded {
    image: u8,
    start: u32,
    end: u32,
}

/// Execution from RAM.
#[derive(Debug)]
pub struct InRam<'r> {
    region: LoadRegion<'r>,
    revert: bool,
    single_slot: bool,
    loaded: [Option<Loaded>; MAX_IMAGES],
}

impl<'r> InRam<'r> {
    /// Loads to `region`; with `revert`, an image has to be confirmed after its first start.
    pub const fn new(region: LoadRegion<'r>, revert: bool) -> Self {
        Self { region, revert, single_slot: false, loaded: [None; MAX_IMAGES] }
    }

    /// Loads to `region` from primary slots only.
    pub const fn single_slot(region: LoadRegion<'r>) -> Self {
        Self { region, revert: false, single_slot: true, loaded: [None; MAX_IMAGES] }
    }

    /// The part of the region that begins at `start` and ends before `end`.
    fn part(&mut self, start: u32, end: u32) -> Option<&mut [u8]> {
        let first = usize::try_from(start.checked_sub(self.region.address)?).ok()?;
        let end = usize::try_from(end.checked_sub(self.region.address)?).ok()?;
        self.region.bytes.get_mut(first..end)
    }

    /// Where an image of `size` bytes with this header goes, if there is room.
    ///
    /// The original also refuses an image that ends exactly where another one begins.
    fn room<E>(
        &mut self,
        image: u8,
        header: &Header,
        size: u32,
        strictness: Strictness,
    ) -> Result<Loaded, Refusal<E>> {
        let start = header.load_addr;
        if !header.flags.contains(Flags::RAM_LOAD) {
            return Err(Refusal::NotLoadable { address: None });
        }
        let refused = Refusal::NotLoadable { address: Some(start) };
        let Some(end) = start.checked_add(size) else { return Err(refused) };
        if self.part(start, end).is_none() {
            return Err(refused);
        }
        let touches = !strictness.is_strict();
        let overlaps = |other: &Loaded| {
            other.image != image
                && start < other.end
                && (other.start < end || touches && other.start == end)
        };
        if self.loaded.iter().flatten().any(overlaps) {
            return Err(refused);
        }
        Ok(Loaded { image, start, end })
    }
}

impl Sealed for InRam<'_> {}

impl Placement for InRam<'_> {
    fn mode(&self) -> UpgradeMode {
        if self.single_slot { UpgradeMode::SingleSlotRamLoad } else { UpgradeMode::RamLoad }
    }

    fn reverts(&self) -> bool {
        self.revert
    }

    fn decrypts(&self) -> bool {
        true
    }

    fn suits<M: FlashMap>(&self, _: &M, _: &Slot, _: &Head) -> bool {
        true
    }

    fn place<M: FlashMap, V: Verifier>(
        &mut self,
        flash: &mut M,
        image: u8,
        slot: &Slot,
        rules: &Rules,
        verifier: &mut V,
    ) -> Result<Placed, Refusal<M::Error>> {
        let header = slot.head(flash).map_err(Refusal::Read)?.header().map_err(Refusal::Header)?;
        let size = slot.image_size(flash)?;
        let loaded = self.room(image, &header, size, rules.strictness)?;
        let Some(free) = self.loaded.iter_mut().find(|slot| slot.is_none()) else {
            return Err(Refusal::NotLoadable { address: Some(loaded.start) });
        };
        *free = Some(loaded);
        let Some(bytes) = self.part(loaded.start, loaded.end) else {
            return Err(Refusal::NotLoadable { address: Some(loaded.start) });
        };
        flash.read(slot.area, slot.start, bytes).map_err(Refusal::Read)?;
        // From here on only the copy counts.
        let mut copy: &[u8] = bytes;
        let header = copy.first_chunk::<{ Header::SIZE }>().map(|head| Header::parse(head));
        let header = match header {
            Some(header) => header.map_err(Refusal::Header)?,
            None => return Err(Refusal::NotLoadable { address: Some(loaded.start) }),
        };
        if header.load_addr != loaded.start {
            return Err(Refusal::NotLoadable { address: Some(header.load_addr) });
        }
        if let Some(key) = verifier.private_key() {
            let wrapped = WrappedKey::find(&mut copy, &header, key.format());
            if let Some(wrapped) = wrapped.map_err(super::refused)? {
                let key = wrapped.unwrap(key).map_err(Refusal::ContentKey)?;
                let cipher = BodyCipher::new(&key, &header).map_err(Refusal::Header)?;
                cipher.apply(0, bytes);
            }
        }
        let mut copy: &[u8] = bytes;
        let validated = validate(&mut copy, &header, rules, verifier).map_err(super::refused)?;
        Ok(Placed { header, validated, load_address: Some(loaded.start) })
    }

    fn copy(&self, image: u8) -> Option<&[u8]> {
        let loaded = self.loaded.iter().flatten().find(|loaded| loaded.image == image)?;
        let start = usize::try_from(loaded.start.checked_sub(self.region.address)?).ok()?;
        let end = usize::try_from(loaded.end.checked_sub(self.region.address)?).ok()?;
        self.region.bytes.get(start..end)
    }

    /// Overwrites the memory with zeros.
    fn discard(&mut self, image: u8) {
        for index in 0..self.loaded.len() {
            let Some(slot) = self.loaded.get_mut(index) else { break };
            if let Some(Loaded { start, end, .. }) = slot.take_if(|slot| slot.image == image) {
                self.part(start, end).unwrap_or_default().fill(0);
            }
        }
    }
}
