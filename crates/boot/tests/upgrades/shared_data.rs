//! Measurements and facts about the boot as an application reads them: decoded by the format's
//! description, with nothing of the bootloader's.

use minicbor::Encoder;
use minicbor::data::Type;
use minicbor::decode::Decoder;
use updraft_boot::{
    AnyStrategy, Boot, BootError, BootInfo, Bootloader, Config, EqualSlots, Event, Hooks, Images,
    InPlace, InRam, LoadRegion, Platform, ShareError, SharedData, SharedRecovery, SharedSignature,
    SingleSlot, SwapMove, Validate,
};
use updraft_flash::{AreaEntry, AreaId, AreaInfo, FlashMap, Sector, SlotPair, TrailerFormat};
use updraft_image::{
    Digest, Flags, HashKind, HashOnly, Header, Rules, TlvKind, TlvType, TlvWriter, UpgradeMode,
    Version,
};
use updraft_sim::flash::{DeviceSpec, SimFlash};

use crate::board::{Counter, FlashFault, PRIMARY, Report, SECONDARY};

const SECTOR: u32 = 512;
const SLOT: u32 = 8 * SECTOR;
const RAM: u32 = 0x2000_0000;
const PAIRS: [SlotPair; 2] = [
    SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY },
    SlotPair { image: 1, primary: AreaId(4), secondary: AreaId(5) },
];

/// Claim of a whole boot record.
const RECORD: u16 = 0x3f;

/// An entry: type and payload.
type Entry<'m> = (u16, &'m [u8]);

/// Reads shared data: a magic, the length of everything, then entries one behind the other.
fn entries(memory: &[u8]) -> Vec<Entry<'_>> {
    let word = |at: usize| u16::from_le_bytes([memory[at], memory[at + 1]]);
    assert_eq!(word(0), 0x2016);
    let total = usize::from(word(2));
    assert!(memory[total..].iter().all(|byte| *byte == 0), "nothing behind what is told of");
    let mut entries = Vec::new();
    let mut at = 4;
    while at < total {
        let (kind, len) = (word(at), usize::from(word(at + 2)));
        entries.push((kind, &memory[at + 4..at + 4 + len]));
        at += 4 + len;
    }
    assert_eq!(at, total);
    entries
}

/// The type of a boot record.
fn record_of_module(module: u16) -> u16 {
    1 << 12 | module << 6 | RECORD
}

/// A software component as an attestation token describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Component {
    sw_type: String,
    version: String,
    signer: Vec<u8>,
    description: String,
    measurement: Vec<u8>,
}

impl Component {
    fn new(sw_type: &str, version: u8, kind: HashKind, signer: Vec<u8>) -> Self {
        Self {
            sw_type: sw_type.into(),
            version: format!("{version}.0.0"),
            signer,
            description: kind.tlv().name().unwrap().into(),
            measurement: vec![0; kind.size()],
        }
    }

    /// A map of five in a fixed order, each length in as few bytes as it takes.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut cbor = Encoder::new(&mut bytes);
        cbor.map(5).unwrap();
        cbor.u8(1).unwrap().str(&self.sw_type).unwrap();
        cbor.u8(4).unwrap().str(&self.version).unwrap();
        cbor.u8(5).unwrap().bytes(&self.signer).unwrap();
        cbor.u8(6).unwrap().str(&self.description).unwrap();
        cbor.u8(2).unwrap().bytes(&self.measurement).unwrap();
        bytes
    }

    fn decode(record: &[u8]) -> Self {
        let mut cbor = Decoder::new(record);
        assert_eq!(cbor.map().unwrap(), Some(5));
        let mut key = |expected: u8, kind: Type| {
            assert_eq!(cbor.u8().unwrap(), expected);
            assert_eq!(cbor.datatype().unwrap(), kind);
            let at = cbor.position();
            cbor.skip().unwrap();
            Decoder::new(&record[at..])
        };
        let component = Self {
            sw_type: key(1, Type::String).str().unwrap().into(),
            version: key(4, Type::String).str().unwrap().into(),
            signer: key(5, Type::Bytes).bytes().unwrap().into(),
            description: key(6, Type::String).str().unwrap().into(),
            measurement: key(2, Type::Bytes).bytes().unwrap().into(),
        };
        assert_eq!(cbor.position(), record.len(), "the measurement is the last");
        component
    }
}

/// An image with a boot record.
#[derive(Clone)]
struct Made {
    kind: HashKind,
    version: u8,
    counter: Option<u32>,
    load_address: Option<u32>,
    component: Component,
}

impl Made {
    fn new(sw_type: &str, version: u8) -> Self {
        Self::hashed(sw_type, version, HashKind::Sha256)
    }

    fn hashed(sw_type: &str, version: u8, kind: HashKind) -> Self {
        let component = Component::new(sw_type, version, kind, vec![0x77; kind.size()]);
        Self { kind, version, counter: None, load_address: None, component }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut area = [0; 512];
        let mut protected = TlvWriter::new(TlvKind::Protected, &mut area).unwrap();
        protected.push(TlvType::BOOT_RECORD, &self.component.encode()).unwrap();
        if let Some(counter) = self.counter {
            protected.push(TlvType::SEC_CNT, &counter.to_le_bytes()).unwrap();
        }
        let protected = protected.finish();
        let header = Header {
            load_addr: self.load_address.unwrap_or(0),
            hdr_size: Header::SIZE as u16,
            protect_tlv_size: protected.len() as u16,
            img_size: 700,
            flags: if self.load_address.is_some() { Flags::RAM_LOAD } else { Flags::default() },
            version: Version::new(self.version, 0, 0, 0),
            ..Header::default()
        };
        let mut image = header.emit().to_vec();
        image.resize(Header::SIZE + 700, self.version);
        image.extend(protected);
        let digest = Digest::of(self.kind, &image);
        let mut area = [0; 128];
        let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).unwrap();
        tlvs.push(self.kind.tlv(), digest.as_bytes()).unwrap();
        image.extend(tlvs.finish());
        image
    }

    /// What an application has to find of it.
    fn measured(&self) -> Component {
        let image = self.bytes();
        let tlvs = 4 + 4 + self.kind.size();
        let digest = Digest::of(self.kind, &image[..image.len() - tlvs]);
        Component { measurement: digest.as_bytes().to_vec(), ..self.component.clone() }
    }
}

/// A board that measures every image that it starts.
struct Measures<'b> {
    shared: SharedData<'b>,
    counters: bool,
}

impl<'b> Measures<'b> {
    fn new(memory: &'b mut [u8]) -> Self {
        Self { shared: SharedData::new(memory).unwrap(), counters: false }
    }
}

impl Hooks<FlashFault> for &mut Measures<'_> {
    fn event(&mut self, _: u8, _: Report) {}

    fn ready<M: FlashMap<Error = FlashFault>>(
        &mut self,
        flash: &mut M,
        boot: &Boot,
    ) -> Result<(), BootError<FlashFault>> {
        self.shared.add_boot_record(flash, boot)?;
        if self.counters {
            self.shared.add_security_counter::<FlashFault>(boot)?;
        }
        Ok(())
    }
}

fn flash() -> SimFlash {
    let area = |id, at| AreaEntry { id: AreaId(id), device: 0, offset: at * SLOT, size: SLOT };
    let table = vec![area(1, 0), area(2, 1), area(4, 2), area(5, 3)];
    SimFlash::new(vec![DeviceSpec::nor(32, SECTOR, 8)], table)
}

fn config(pairs: &[SlotPair], kind: HashKind) -> Config {
    let images = Images::new(pairs).unwrap();
    let rules = Rules { hash: kind, ..Rules::default() };
    Config { images, max_sectors: 8, ..Config::new(pairs[0], rules) }
}

fn swaps(pairs: &[SlotPair], kind: HashKind) -> Bootloader<AnyStrategy> {
    Bootloader::new(config(pairs, kind), AnyStrategy::SwapMove(SwapMove))
}

fn info(mode: UpgradeMode, running_slot: u8) -> BootInfo {
    BootInfo {
        mode,
        signature: SharedSignature::Ed25519,
        recovery: SharedRecovery::Dfu,
        running_slot,
        bootloader: Version::new(1, 2, 0x0304, 0x0506_0708),
        max_app_size: 0x0a0b_0c0d,
    }
}

/// Records of the images `made`, by their numbers.
fn records(made: &[&Made]) -> Vec<(u16, Component)> {
    let numbered = made.iter().enumerate();
    numbered.map(|(image, made)| (record_of_module(image as u16), made.measured())).collect()
}

/// The records that are in `memory`, which holds nothing else.
fn decoded(memory: &[u8]) -> Vec<(u16, Component)> {
    entries(memory).into_iter().map(|(kind, record)| (kind, Component::decode(record))).collect()
}

#[test]
fn each_image_is_measured_under_its_own_number() {
    let (application, radio) = (Made::new("application", 3), Made::new("radio", 7));
    let mut flash = flash();
    flash.load(PAIRS[0].primary, 0, &application.bytes()).unwrap();
    flash.load(PAIRS[1].primary, 0, &radio.bytes()).unwrap();
    let expected = records(&[&application, &radio]);
    assert_eq!([expected[0].0, expected[1].0], [0x103f, 0x107f]);
    let mut memory = [0xee; 512];
    let mut told = Measures::new(&mut memory);
    let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(&mut told);
    swaps(&PAIRS, HashKind::Sha256).boot(&mut platform).unwrap();
    assert_eq!(decoded(&memory), expected);
    // The second image alone is still the second one.
    let mut told = Measures::new(&mut memory);
    let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(&mut told);
    let single = SingleSlot::new(config(&PAIRS, HashKind::Sha256), Validate::Always);
    single.boot_image(&mut platform, 1).unwrap();
    assert_eq!(decoded(&memory), expected[1..]);
}

#[test]
fn each_image_has_a_security_counter_under_its_own_number() {
    let mut flash = flash();
    let made = |counter| Made { counter, ..Made::new("one", 1) };
    flash.load(PAIRS[0].primary, 0, &made(Some(5)).bytes()).unwrap();
    flash.load(PAIRS[1].primary, 0, &made(Some(0x0102_0304)).bytes()).unwrap();
    let mut memory = [0; 512];
    let mut told = Measures { counters: true, ..Measures::new(&mut memory) };
    let mut platform =
        Platform::new(&mut flash, HashOnly).with_counters(Counter(1)).with_hooks(&mut told);
    // Both images have the one counter of this store: the second may not be below the first.
    swaps(&PAIRS, HashKind::Sha256).boot(&mut platform).unwrap();
    let counters: Vec<_> =
        entries(&memory).into_iter().filter(|(kind, _)| kind >> 12 == 2).collect();
    assert_eq!(counters, [(0x2010, &[5, 0, 0, 0][..]), (0x2011, &[4, 3, 2, 1])]);
}

#[test]
fn an_image_that_runs_from_the_second_slot_is_measured_there() {
    let (older, newer) = (Made::new("older", 1), Made::new("newer", 2));
    let mut flash = flash();
    flash.load(PRIMARY, 0, &older.bytes()).unwrap();
    flash.load(SECONDARY, 0, &newer.bytes()).unwrap();
    let mut memory = [0xee; 256];
    let mut told = Measures::new(&mut memory);
    let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(&mut told);
    let mut loader =
        EqualSlots::new(config(&PAIRS[..1], HashKind::Sha256), InPlace { revert: false });
    let boot = loader.boot(&mut platform).unwrap();
    let running = u8::from(boot.area == SECONDARY);
    told.shared.add_boot_info::<()>(&info(loader.mode(), running), &boot).unwrap();
    let told = entries(&memory);
    assert_eq!(told[0].0, record_of_module(0));
    assert_eq!(Component::decode(told[0].1), newer.measured());
    assert_eq!(
        told[1..],
        [
            (0x2000, &[4][..]),
            (0x2001, &[3]),
            (0x2002, &[2]),
            (0x2003, &[1]),
            (0x2004, &[1, 2, 4, 3, 8, 7, 6, 5]),
            (0x2005, &[0x0d, 0x0c, 0x0b, 0x0a]),
        ]
    );
}

/// Flash whose primary slot holds something else as soon as the image was copied out of it.
struct Exchanged<'f> {
    flash: &'f mut SimFlash,
    copied: bool,
    others: Vec<u8>,
}

impl FlashMap for Exchanged<'_> {
    type Error = FlashFault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.flash.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.flash.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), FlashFault> {
        self.flash.read(id, offset, buf)?;
        if buf.len() == self.others.len() && !self.copied {
            self.copied = true;
            self.flash.load(PRIMARY, 0, &self.others).unwrap();
        }
        Ok(())
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), FlashFault> {
        self.flash.write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), FlashFault> {
        self.flash.erase(id, offset, len)
    }
}

/// What was validated is what is measured, wherever it came from.
#[test]
fn an_image_in_memory_is_measured_there() {
    let loaded = |sw_type| Made { load_address: Some(RAM + 64), ..Made::new(sw_type, 1) };
    let (genuine, others) = (loaded("genuine"), loaded("forgery"));
    let mut flash = flash();
    flash.load(PRIMARY, 0, &genuine.bytes()).unwrap();
    let mut exchanged = Exchanged { flash: &mut flash, copied: false, others: others.bytes() };
    let mut memory = [0xee; 256];
    let mut told = Measures::new(&mut memory);
    let mut ram = vec![0; 4096];
    let region = LoadRegion { address: RAM, bytes: &mut ram };
    let mut loader =
        EqualSlots::new(config(&PAIRS[..1], HashKind::Sha256), InRam::new(region, false));
    let mut platform = Platform::new(&mut exchanged, HashOnly).with_hooks(&mut told);
    let boot = loader.boot(&mut platform).unwrap();
    assert!(exchanged.copied);
    assert_eq!(boot.load_address, Some(RAM + 64));
    assert_eq!(decoded(&memory), records(&[&genuine]));
    assert!(flash.holds(PRIMARY, 0, &others.bytes()));
}

#[test]
fn a_measurement_is_as_long_as_the_hash() {
    for kind in [HashKind::Sha256, HashKind::Sha384, HashKind::Sha512] {
        let mut made = Made::hashed("twelve bytes", 255, kind);
        for version in ["255.0.0", "255.255.65535"] {
            // The longest record that there is, in the end.
            made.component.version = version.into();
            let mut flash = flash();
            flash.load(PRIMARY, 0, &made.bytes()).unwrap();
            let mut memory = [0xee; 256];
            let mut told = Measures::new(&mut memory);
            let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(&mut told);
            swaps(&PAIRS[..1], kind).boot(&mut platform).unwrap();
            assert_eq!(decoded(&memory), records(&[&made]));
            // All but the measurement is as the image has it.
            let (_, record) = entries(&memory)[0];
            let rest = record.len() - kind.size();
            assert_eq!(record[..rest], made.component.encode()[..rest]);
        }
    }
}

/// Asks for the image in the secondary slot, for good.
fn request(flash: &mut SimFlash) {
    let mode = UpgradeMode::SwapMove;
    let format = TrailerFormat { mode, max_align: 8, max_sectors: 8, keys: None };
    let [_, secondary] = format.trailers(flash, &PAIRS[0]).unwrap();
    secondary.write_magic(flash).unwrap();
    secondary.write_image_ok(flash).unwrap();
}

#[test]
fn memory_without_room_for_a_record_holds_none_of_it_and_the_next_boot_goes_on() {
    let (old, new) = (Made::new("old", 1), Made::new("new", 2));
    let mut before = flash();
    before.load(PRIMARY, 0, &old.bytes()).unwrap();
    before.load(SECONDARY, 0, &new.bytes()).unwrap();
    request(&mut before);
    let needed = 4 + 4 + new.component.encode().len();
    for room in 4..needed {
        let mut flash = before.clone();
        let mut boot = |memory: &mut [u8]| {
            let mut told = Measures::new(memory);
            let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(&mut told);
            swaps(&PAIRS[..1], HashKind::Sha256).boot(&mut platform)
        };
        let mut memory = vec![0xee; needed];
        assert_eq!(boot(&mut memory[..room]), Err(BootError::SharedData), "{room}");
        assert_eq!(entries(&memory[..room]), [], "{room}");
        assert!(memory[room..].iter().all(|byte| *byte == 0xee), "{room}: not its own");
        assert_eq!(boot(&mut memory).unwrap().header.version.major, 2, "{room}");
        assert_eq!(decoded(&memory), records(&[&new]), "{room}");
    }
}

#[test]
fn facts_are_told_as_a_whole_or_not_at_all() {
    let made = Made { counter: Some(9), ..Made::new("app", 1) };
    let mut flash = flash();
    flash.load(PRIMARY, 0, &made.bytes()).unwrap();
    let record = 4 + made.component.encode().len();
    let needed = 4 + record + 4 * 5 + 12 + 2 * 8;
    for room in 4 + record..=needed {
        let mut memory = vec![0xee; room];
        let mut told = Measures::new(&mut memory);
        let mut platform =
            Platform::new(&mut flash, HashOnly).with_counters(Counter(1)).with_hooks(&mut told);
        let boot = swaps(&PAIRS[..1], HashKind::Sha256).boot(&mut platform).unwrap();
        let added = told.shared.add_boot_info::<()>(&info(UpgradeMode::SwapMove, 0), &boot);
        let again = told.shared.add_boot_info::<()>(&info(UpgradeMode::SwapMove, 0), &boot);
        if room < needed {
            assert_eq!((added, again), (Err(ShareError::Full), Err(ShareError::Full)), "{room}");
            assert_eq!(decoded(&memory), records(&[&made]), "{room}");
        } else {
            assert_eq!((added, again), (Ok(()), Err(ShareError::Twice { kind: 0x2000 })));
            let kinds: Vec<_> = entries(&memory).into_iter().map(|(kind, _)| kind).collect();
            let facts = [0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2010];
            assert_eq!(kinds, [&[record_of_module(0)][..], &facts].concat());
        }
    }
}

#[test]
fn an_image_that_says_nothing_of_itself_is_not_started_unmeasured() {
    let mut flash = flash();
    let boot = |flash: &mut SimFlash, validate| {
        let mut memory = [0; 256];
        let mut told = Measures::new(&mut memory);
        let mut platform = Platform::new(flash, HashOnly).with_hooks(&mut told);
        let loader = SingleSlot::new(config(&PAIRS[..1], HashKind::Sha256), validate);
        let booted = loader.boot(&mut platform);
        assert_eq!(entries(&memory).is_empty(), booted.is_err());
        booted
    };
    flash.load(PRIMARY, 0, &crate::board::image(1, 900)).unwrap();
    assert_eq!(boot(&mut flash, Validate::Always), Err(BootError::SharedData));
    flash.load(PRIMARY, 0, &Made::new("app", 1).bytes()).unwrap();
    assert!(boot(&mut flash, Validate::Always).is_ok());
    assert_eq!(boot(&mut flash, Validate::Never), Err(BootError::SharedData), "nothing is known");
}

#[test]
fn modes_have_the_numbers_that_applications_know() {
    let known = [
        UpgradeMode::SingleSlot,
        UpgradeMode::SwapScratch,
        UpgradeMode::OverwriteOnly,
        UpgradeMode::SwapMove,
        UpgradeMode::DirectXip,
        UpgradeMode::DirectXipRevert,
        UpgradeMode::RamLoad,
        UpgradeMode::FirmwareLoader,
        UpgradeMode::SingleSlotRamLoad,
        UpgradeMode::SwapOffset,
    ];
    let mut flash = flash();
    flash.load(PRIMARY, 0, &Made::new("app", 1).bytes()).unwrap();
    let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(|_: u8, _: Event<_>| {});
    let boot = swaps(&PAIRS[..1], HashKind::Sha256).boot(&mut platform).unwrap();
    for (number, mode) in known.into_iter().enumerate() {
        let mut memory = [0; 64];
        let mut shared = SharedData::new(&mut memory).unwrap();
        shared.add_boot_info::<()>(&info(mode, 0), &boot).unwrap();
        assert_eq!(entries(&memory)[0], (0x2000, &[number as u8][..]));
    }
}
