//! A board with two slots, its application's side played by the test.

use std::fmt;

use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, CounterFault, Event, Overwrite, Platform,
    SecurityCounters, Slots, Strategy, SwapMove, SwapOffset, SwapScratch,
};
use updraft_flash::{
    AreaEntry, AreaId, AreaInfo, Error, FlashMap, Sector, SectorRun, SlotPair, SlotSource,
    StatusFormat, TrailerAccess, TrailerFormat,
};
use updraft_image::encryption::{AesKeyWrap, BodyCipher};
use updraft_image::{
    ContentKey, Digest, Flag, Flags, HashKind, HashOnly, Header, Magic, Rules, Source, SwapInfo,
    SwapType, TlvArea, TlvKind, TlvType, TlvWriter, TrailerKeys, TrailerLayout, UpgradeMode,
    Version, WithPrivateKey, align_up, magic_bytes,
};
use updraft_sim::flash::{DeviceSpec, SimError, SimFlash};

pub const PRIMARY: AreaId = AreaId(1);
pub const SECONDARY: AreaId = AreaId(2);
pub const SCRATCH: AreaId = AreaId(3);
pub const STATUS: AreaId = AreaId(16);

/// The mode that needs a scratch area.
pub const SWAP_SCRATCH: AnyStrategy = AnyStrategy::SwapScratch(SwapScratch { scratch: SCRATCH });

/// What a boot reports.
pub type Report = Event<FlashFault>;

/// What a failed access is.
pub type FlashFault = Error<SimError>;

/// What a board is like, as far as upgrades depend on it.
#[derive(Clone, Copy)]
pub struct Shape {
    pub strategy: AnyStrategy,
    /// Bytes of a sector.
    pub sector: u32,
    /// Sectors of the primary and the secondary slot.
    pub sectors: [u32; 2],
    pub write_size: u32,
    pub max_align: u32,
    pub max_sectors: u32,
    pub erased: u8,
    pub layout: Layout,
}

/// Where the slots are.
#[derive(Clone, Copy)]
pub enum Layout {
    /// One behind the other.
    Even,
    /// The same, and then a scratch area of so many sectors.
    Scratch(u32),
    /// The same with a scratch area of one sector, and a status area.
    Status,
    /// Primary slot, secondary slot and scratch area each have a device and sectors of their own;
    /// `sector`, `sectors` and `write_size` of the shape do not count. The areas do not begin at a
    /// multiple of any sector's size.
    Apart([Part; 3]),
}

/// An area with a device of its own.
#[derive(Clone, Copy)]
pub struct Part {
    /// Runs of sectors: how many, of how many bytes each.
    pub runs: [(u32, u32); 3],
    pub write_size: u32,
}

impl Part {
    fn size(&self) -> u32 {
        self.runs.iter().map(|(count, size)| count * size).sum()
    }
}

impl Shape {
    /// Bytes of the primary slot.
    pub fn slot_size(&self) -> u32 {
        match self.layout {
            Layout::Even | Layout::Scratch(_) | Layout::Status => self.sectors[0] * self.sector,
            Layout::Apart([primary, ..]) => primary.size(),
        }
    }

    fn flash(&self) -> SimFlash {
        let Self { sector, sectors, write_size, erased, .. } = *self;
        let entry = |id, device, offset, size| AreaEntry { id, device, offset, size };
        let scratch = match self.layout {
            Layout::Even => 0,
            Layout::Scratch(count) => count,
            Layout::Status => 1,
            Layout::Apart(parts) => return Self::flash_apart(parts, erased),
        };
        // A table for each area, of two rows with two copies each.
        let status = if let Layout::Status = self.layout { 3 * 2 * 2 } else { 0 };
        let [primary, secondary] = sectors.map(|count| count * sector);
        let count = sectors.iter().sum::<u32>() + scratch + status;
        let spec = DeviceSpec { erased, ..DeviceSpec::nor(count, sector, write_size) };
        let mut table =
            vec![entry(PRIMARY, 0, 0, primary), entry(SECONDARY, 0, primary, secondary)];
        if scratch > 0 {
            table.push(entry(SCRATCH, 0, primary + secondary, scratch * sector));
        }
        if status == 0 {
            return SimFlash::new(vec![spec], table);
        }
        table.push(entry(STATUS, 0, primary + secondary + scratch * sector, status * sector));
        let Self { max_align, max_sectors, .. } = *self;
        let mode = UpgradeMode::StatusPartition;
        let trailers = TrailerFormat { mode, max_align, max_sectors, keys: None };
        let format = StatusFormat::new(STATUS, SCRATCH, trailers, &[SLOTS]).unwrap();
        SimFlash::new(vec![spec], table).show_status(format)
    }

    fn flash_apart(parts: [Part; 3], erased: u8) -> SimFlash {
        let before = |part: &Part| SectorRun { size: 3 * part.write_size, count: 1 };
        let spec = |part: Part| {
            let runs = part.runs.into_iter().filter(|(count, _)| *count > 0);
            let runs = runs.map(|(count, size)| SectorRun { size, count });
            let sectors = std::iter::once(before(&part)).chain(runs).collect();
            DeviceSpec { erased, sectors, ..DeviceSpec::nor(1, 1, part.write_size) }
        };
        let areas = [PRIMARY, SECONDARY, SCRATCH].into_iter().zip(parts).enumerate();
        let table = areas.map(|(device, (id, part))| AreaEntry {
            id,
            device,
            offset: before(&part).size,
            size: part.size(),
        });
        SimFlash::new(parts.map(spec).to_vec(), table.collect())
    }

    /// Whether the slots of such a board suit its strategy.
    pub fn is_compatible(&self) -> bool {
        let flash = self.flash();
        let Self { strategy, max_align, max_sectors, .. } = *self;
        let config = Config { max_align, max_sectors, ..Config::new(SLOTS, Rules::default()) };
        Slots::new(&flash, &config, &SLOTS, strategy.mode())
            .is_ok_and(|slots| strategy.compatible(&flash, &slots))
    }
}

const SLOTS: SlotPair = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sector, sectors: [p, s], write_size, max_align, max_sectors, erased, .. } = self;
        let strategy = match self.strategy {
            AnyStrategy::Overwrite(Overwrite::Slot) => "overwrite-slot",
            AnyStrategy::Overwrite(Overwrite::Image) => "overwrite-image",
            AnyStrategy::SwapMove(SwapMove) => "swap-move",
            AnyStrategy::SwapOffset(SwapOffset) => "swap-offset",
            AnyStrategy::SwapScratch(SwapScratch { .. }) => "swap-scratch",
            AnyStrategy::SwapStatus(_) => "status-partition",
        };
        write!(f, "{strategy} ")?;
        match self.layout {
            Layout::Even | Layout::Status => write!(f, "{p}/{s}x{sector} W{write_size}")?,
            Layout::Scratch(scratch) => write!(f, "{p}/{s}/{scratch}x{sector} W{write_size}")?,
            Layout::Apart(parts) => {
                for Part { runs, write_size } in parts {
                    write!(f, "{runs:?} W{write_size} ")?;
                }
            }
        }
        write!(f, " A{max_align} N{max_sectors} erased {erased:#04x}")
    }
}

/// The application's and the bootloader's view of one board.
#[derive(Clone)]
pub struct Board {
    pub flash: SimFlash,
    loader: Bootloader<AnyStrategy>,
    primary: TrailerAccess,
    secondary: TrailerAccess,
}

impl Board {
    /// A board with erased slots.
    pub fn new(shape: Shape) -> Self {
        Self::configured(shape, |_| {})
    }

    /// The same with a bootloader that is configured otherwise.
    pub fn configured(shape: Shape, configure: impl FnOnce(&mut Config)) -> Self {
        let Shape { strategy, max_align, max_sectors, .. } = shape;
        let mut config = Config { max_align, max_sectors, ..Config::new(SLOTS, Rules::default()) };
        configure(&mut config);
        let flash = shape.flash();
        let (mode, keys) = (strategy.mode(), config.keys);
        let format = TrailerFormat { mode, max_align, max_sectors, keys };
        // A shape whose trailers cannot be is one that the bootloader has to refuse.
        let unchecked = |area| {
            let size = flash.info(area).unwrap().size;
            let layout = TrailerLayout::new(size, mode, max_sectors, shape.write_size, max_align);
            let layout = layout.and_then(|layout| layout.with_keys(keys));
            TrailerAccess::new(area, layout.expect("the slot holds a trailer"))
        };
        let trailers = format.trailers(&flash, &SLOTS);
        let [primary, secondary] =
            trailers.unwrap_or_else(|_| [unchecked(PRIMARY), unchecked(SECONDARY)]);
        Self { flash, loader: Bootloader::new(config, strategy), primary, secondary }
    }

    /// A board that takes encrypted images, and keeps `keys` of them in its trailers.
    pub fn decrypting(shape: Shape, keys: TrailerKeys) -> Self {
        Self::configured(shape, |config| {
            config.keys = Some(keys);
            config.rules.supported = Flags::ENCRYPTED_AES128;
        })
    }

    /// The largest image that the board takes, in bytes.
    pub fn max_image_size(&self) -> u32 {
        self.loader.max_image_size(&self.flash, 0).unwrap()
    }

    /// Puts an image into the primary slot on the bench.
    pub fn program(&mut self, image: &[u8]) {
        self.flash.load(PRIMARY, 0, image).unwrap();
    }

    /// Where updates begin in the secondary slot.
    pub fn update_start(&self) -> u32 {
        match self.loader.mode() {
            UpgradeMode::SwapOffset => self.flash.sector_at(SECONDARY, 0).unwrap().size,
            _ => 0,
        }
    }

    /// Writes an image to the secondary slot: the trailer is erased first, then whatever is before
    /// the image, then sector by sector.
    pub fn upload(&mut self, image: &[u8]) -> Result<(), FlashFault> {
        let start = self.update_start();
        let Self { flash, secondary, .. } = self;
        let info = flash.info(SECONDARY).unwrap();
        secondary.erase(flash)?;
        if start > 0 {
            flash.erase(SECONDARY, 0, start)?;
        }
        let mut at = 0;
        while at < image.len() {
            let sector = flash.sector_at(SECONDARY, start + at as u32).unwrap();
            if sector.offset < secondary.layout().status() {
                flash.erase(SECONDARY, sector.offset, sector.size)?;
            }
            let end = image.len().min((sector.end() - start) as usize);
            let mut piece = image[at..end].to_vec();
            let len = align_up(piece.len() as u32, info.write_size).unwrap();
            piece.resize(len as usize, info.erased);
            flash.write(SECONDARY, start + at as u32, &piece)?;
            at = end;
        }
        Ok(())
    }

    /// Asks for the image in the secondary slot. Returns whether it is being asked for now. What
    /// a cut has left of another request is cleared, unless the image reaches into its sectors.
    pub fn request(&mut self, swap_type: SwapType) -> Result<bool, FlashFault> {
        let start = self.update_start();
        let Self { flash, secondary, .. } = self;
        if secondary.read(flash)?.magic == Magic::Good {
            return Ok(true);
        }
        if !secondary.is_erased(flash)? {
            let mut slot = SlotSource::at(flash, SECONDARY, start);
            let mut bytes = [0; Header::SIZE];
            slot.read(0, &mut bytes)?;
            let Ok(header) = Header::parse(&bytes) else {
                return Ok(false);
            };
            let end = TlvArea::open(&mut slot, &header).map_or(u32::MAX, |tlvs| tlvs.end());
            let trailer = flash.sector_at(SECONDARY, secondary.layout().status()).unwrap();
            if end.saturating_add(start) > trailer.offset {
                return Ok(false);
            }
            secondary.erase(flash)?;
        }
        secondary.write_magic(flash)?;
        if swap_type == SwapType::Permanent {
            secondary.write_image_ok(flash)?;
        }
        secondary.write_swap_info(flash, SwapInfo { swap_type, image: 0 })?;
        Ok(true)
    }

    /// Confirms the running image. Returns whether it is confirmed now.
    pub fn confirm(&mut self) -> Result<bool, FlashFault> {
        let Self { flash, primary, .. } = self;
        let state = primary.read(flash)?;
        match (state.magic, state.image_ok) {
            (Magic::Good, Flag::Unset) => primary.write_image_ok(flash)?,
            (Magic::Good, _) | (Magic::Unset, _) => {}
            (Magic::Bad, _) => return Ok(false),
        }
        Ok(true)
    }

    /// Boots once.
    pub fn boot(&mut self) -> Result<Boot, BootError<FlashFault>> {
        self.boot_reporting().0
    }

    /// Boots once and tells what happened.
    pub fn boot_reporting(&mut self) -> (Result<Boot, BootError<FlashFault>>, Vec<Report>) {
        let mut events = Vec::new();
        if let Err(error) = self.flash.settle_status() {
            return (Err(BootError::Flash(error)), events);
        }
        let hooks = |_: u8, event: Report| events.push(event);
        let verifier = WithPrivateKey::new(HashOnly, wrapping());
        let mut platform = Platform::new(&mut self.flash, verifier).with_hooks(hooks);
        let boot = self.loader.boot(&mut platform);
        (boot, events)
    }

    /// Whether the scratch area ends with a magic: the original would go on from there.
    pub fn has_scratch_record(&self) -> bool {
        let magic = magic_bytes(self.loader.config().max_align);
        self.loader.mode() == UpgradeMode::SwapScratch
            && self.flash.bytes(SCRATCH).ends_with(&magic)
    }

    /// The bootloader, for what is not covered here.
    pub fn loader(&self) -> &Bootloader<AnyStrategy> {
        &self.loader
    }

    /// The trailers of both slots.
    pub fn trailers(&self) -> [TrailerAccess; 2] {
        [self.primary, self.secondary]
    }
}

/// A store of one security counter, in RAM.
pub struct Counter(pub u32);

impl SecurityCounters for Counter {
    fn read<M: FlashMap>(&mut self, _: &mut M, _: u8) -> Result<Option<u32>, CounterFault> {
        Ok(Some(self.0))
    }

    fn raise<M: FlashMap>(&mut self, _: &mut M, _: u8, value: u32) -> Result<(), CounterFault> {
        self.0 = self.0.max(value);
        Ok(())
    }
}

/// A flash map whose secondary slot does not answer from an offset on.
pub struct Silent<'m, M>(pub &'m mut M, pub u32);

impl<M: FlashMap<Error = FlashFault>> FlashMap for Silent<'_, M> {
    type Error = FlashFault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), FlashFault> {
        // Past the end of every area: the access is refused.
        let silent = id == SECONDARY && offset >= self.1;
        self.0.read(id, if silent { u32::MAX } else { offset }, buf)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), FlashFault> {
        self.0.write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), FlashFault> {
        self.0.erase(id, offset, len)
    }
}

/// An image of `size` bytes with its TLVs, version `major`.0.0, its body different for every
/// version.
pub fn image(major: u8, size: u32) -> Vec<u8> {
    image_with(major, size, &[])
}

/// An image as it runs, and as it is uploaded.
#[derive(Clone)]
pub struct Firmware {
    pub plain: Vec<u8>,
    pub uploaded: Vec<u8>,
}

impl Firmware {
    /// An image that is not encrypted.
    pub fn plain(major: u8, size: u32) -> Self {
        let plain = image(major, size);
        Self { uploaded: plain.clone(), plain }
    }

    /// An image that is encrypted for the boards of these tests, with a key of its own.
    pub fn encrypted(major: u8, size: u32) -> Self {
        Self::wrapped_by(&wrapping(), major, size)
    }

    /// The same for another board.
    pub fn wrapped_by(wrapping: &AesKeyWrap, major: u8, size: u32) -> Self {
        Self::sealed(wrapping, major, size, pattern(major))
    }

    /// An image that has most of its bytes in common with every other version.
    pub fn resembling(major: u8, size: u32) -> Self {
        let plain = image_of(major, size, &[], resemblance(major));
        Self { uploaded: plain.clone(), plain }
    }

    /// The same encrypted for the boards of these tests.
    pub fn encrypted_resembling(major: u8, size: u32) -> Self {
        Self::sealed(&wrapping(), major, size, resemblance(major))
    }

    fn sealed(wrapping: &AesKeyWrap, major: u8, size: u32, byte: impl Fn(u32) -> u8) -> Self {
        let key = content_key(major);
        let wrapped = wrapping.seal(&key).expect("keys of the same length");
        let payload = (TlvType::ENCKW, wrapped.as_bytes().to_vec());
        let plain = build(major, size, Flags::ENCRYPTED_AES128, (&[], &[payload]), byte);
        let bytes: &[u8; Header::SIZE] = plain.first_chunk().expect("a header");
        let header = Header::parse(bytes).expect("a header");
        let cipher = BodyCipher::new(&key, &header).expect("a body");
        let mut uploaded = plain.clone();
        cipher.apply(0, &mut uploaded);
        Self { plain, uploaded }
    }
}

/// The private key of the boards of these tests.
pub fn wrapping() -> AesKeyWrap {
    AesKeyWrap::from_slice(&[0x4b; 16]).expect("16 bytes")
}

/// The content key of version `major`.
pub fn content_key(major: u8) -> ContentKey {
    ContentKey::from_slice(&[0xc0 + major; 16]).expect("16 bytes")
}

/// The same with protected TLVs.
pub fn image_with(major: u8, size: u32, protected: &[(TlvType, Vec<u8>)]) -> Vec<u8> {
    image_of(major, size, protected, pattern(major))
}

/// The body of version `major`, by offset in the image.
fn pattern(major: u8) -> impl Fn(u32) -> u8 {
    move |at| (at.wrapping_mul(31 + 2 * u32::from(major)) >> 3) as u8
}

/// The body of version `major` that differs from other versions in one KiB of five.
fn resemblance(major: u8) -> impl Fn(u32) -> u8 {
    move |at| pattern(if at / 1024 % 5 == 1 { major } else { 0 })(at)
}

/// The same with a body of one's own, by offset in the image.
pub fn image_of(
    major: u8,
    size: u32,
    protected: &[(TlvType, Vec<u8>)],
    byte: impl Fn(u32) -> u8,
) -> Vec<u8> {
    build(major, size, Flags::default(), (protected, &[]), byte)
}

/// The same image with another header, and the hash that goes with it.
pub fn with_header(image: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let bytes: &[u8; Header::SIZE] = image.first_chunk().expect("a header");
    let mut header = Header::parse(bytes).expect("a header");
    change(&mut header);
    let mut image = [&header.emit()[..], &image[Header::SIZE..]].concat();
    let covered = Header::SIZE + header.img_size as usize + usize::from(header.protect_tlv_size);
    let digest = Digest::of(HashKind::Sha256, &image[..covered]);
    let end = image.len();
    image[end - 32..].copy_from_slice(digest.as_bytes());
    image
}

type Tlvs<'t> = &'t [(TlvType, Vec<u8>)];

fn build(
    major: u8,
    size: u32,
    flags: Flags,
    (protected, unprotected): (Tlvs<'_>, Tlvs<'_>),
    byte: impl Fn(u32) -> u8,
) -> Vec<u8> {
    let mut buf = [0; 128];
    let mut area = TlvWriter::new(TlvKind::Protected, &mut buf).unwrap();
    protected.iter().for_each(|(kind, payload)| area.push(*kind, payload).unwrap());
    let protected = if protected.is_empty() { &[] } else { area.finish() };
    let others: usize = unprotected.iter().map(|(_, payload)| 4 + payload.len()).sum();
    let tlvs = 4 + 4 + 32 + others as u32;
    let around = Header::SIZE as u32 + protected.len() as u32 + tlvs;
    let header = Header {
        flags,
        hdr_size: Header::SIZE as u16,
        protect_tlv_size: protected.len() as u16,
        img_size: size.checked_sub(around).expect("room for an image"),
        version: Version::new(major, 0, 0, 0),
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.extend((0..header.img_size).map(|at| byte(at + Header::SIZE as u32)));
    image.extend(protected);
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 128];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf).unwrap();
    tlvs.push(TlvType::SHA256, digest.as_bytes()).unwrap();
    unprotected.iter().for_each(|(kind, payload)| tlvs.push(*kind, payload).unwrap());
    image.extend(tlvs.finish());
    image
}
