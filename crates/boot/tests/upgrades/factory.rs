//! Rolling back to the factory image: every row of the decision, and every power cut.

use crate::board::{FlashFault, PRIMARY, Report, SECONDARY, Silent, image};
use updraft_boot::factory::{Course, Line, Press, Rollback, RollbackError};
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, Event, FlashCounters, Hooks, Overwrite,
    Platform, Status, SwapMove,
};
use updraft_flash::{
    AreaEntry, AreaId, AreaInfo, FlashMap, Sector, SlotPair, TrailerAccess, TrailerFormat,
};
use updraft_image::{
    Digest, HashKind, HashOnly, Header, Magic, Refusal, Rules, SwapType, TlvKind, TlvType,
    TlvWriter, UpgradeMode, Validated, Version,
};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const FACTORY: AreaId = AreaId(9);
const COUNTERS: AreaId = AreaId(10);
const SECTOR: u32 = 512;
const SLOT: u32 = 8 * SECTOR;
const PAIR: SlotPair = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };

const CLASSES: [Torn; 6] =
    [Torn::Skip, Torn::Half, Torn::AllButOneBit(1), Torn::Bits(2), Torn::Bits(3), Torn::Bits(4)];

#[derive(Clone)]
struct Device {
    flash: SimFlash,
    strategy: AnyStrategy,
    rollback: Rollback,
}

/// What the console got to see.
#[derive(Default)]
struct Console {
    lines: Vec<Line>,
    events: Vec<Report>,
    status: Vec<Status>,
}

impl Hooks<FlashFault> for &mut Console {
    fn event(&mut self, _: u8, event: Report) {
        self.events.push(event);
    }

    fn line(&mut self, line: Line) {
        self.lines.push(line);
    }

    fn status(&mut self, status: Status) {
        self.status.push(status);
    }
}

impl Device {
    fn new(mode: UpgradeMode, erased: u8) -> Self {
        let spec = |count| DeviceSpec { erased, ..DeviceSpec::nor(count, SECTOR, 8) };
        // The factory image is on a device of its own, which erases to another value.
        let external = DeviceSpec::nor(8, SECTOR, 1);
        let area = |id, device, offset, size| AreaEntry { id, device, offset, size };
        let table = vec![
            area(PRIMARY, 0, 0, SLOT),
            area(SECONDARY, 0, SLOT, SLOT),
            area(COUNTERS, 0, 2 * SLOT, 2 * SECTOR),
            area(FACTORY, 1, 0, SLOT),
        ];
        let config = Config { max_sectors: 8, ..Config::new(PAIR, Rules::default()) };
        let strategy = match mode {
            UpgradeMode::SwapMove => AnyStrategy::SwapMove(SwapMove),
            _ => AnyStrategy::Overwrite(Overwrite::Image),
        };
        Self {
            flash: SimFlash::new(vec![spec(18), external], table),
            strategy,
            rollback: Rollback { slots: PAIR, factory: FACTORY, config, mode, runs_at: None },
        }
    }

    fn trailers(&self) -> [TrailerAccess; 2] {
        let format =
            TrailerFormat { mode: self.rollback.mode, max_align: 8, max_sectors: 8, keys: None };
        format.trailers(&self.flash, &PAIR).unwrap()
    }

    fn load(&mut self, area: AreaId, image: &[u8]) {
        self.flash.load(area, 0, image).unwrap();
    }

    fn ask(&mut self) {
        let [_, secondary] = self.trailers();
        secondary.write_magic(&mut self.flash).unwrap();
    }

    fn boot(&mut self, press: Press) -> (Course<FlashFault>, Console) {
        self.boot_through(press, |flash| flash)
    }

    fn boot_through<'f, M: FlashMap<Error = FlashFault>>(
        &'f mut self,
        press: Press,
        through: impl FnOnce(&'f mut SimFlash) -> M,
    ) -> (Course<FlashFault>, Console) {
        let mut console = Console::default();
        let mut platform = Platform::new(through(&mut self.flash), HashOnly)
            .with_counters(FlashCounters::new(COUNTERS))
            .with_hooks(&mut console);
        let loader = Bootloader::new(self.rollback.config, self.strategy);
        let course = self.rollback.boot(&mut platform, |platform| loader.boot(platform), || press);
        (course, console)
    }

    fn prompted(&mut self) -> Result<u8, RollbackError<FlashFault>> {
        let mut platform =
            Platform::new(&mut self.flash, HashOnly).with_counters(FlashCounters::new(COUNTERS));
        self.rollback.roll_back(&mut platform).map(|boot| boot.header.version.major)
    }
}

/// An image that carries a security counter, as the store demands one.
fn counted(major: u8, size: u32, counter: u32) -> Vec<u8> {
    crate::board::image_with(major, size, &[(TlvType::SEC_CNT, counter.to_le_bytes().to_vec())])
}

fn app(major: u8) -> Vec<u8> {
    counted(major, 1500, 1)
}

fn damaged(mut image: Vec<u8>) -> Vec<u8> {
    image[100] ^= 1;
    image
}

const FACTORY_VERSION: u8 = 1;
const OLD: u8 = 2;
const NEW: u8 = 3;

fn major(course: &Course<FlashFault>) -> Option<(u8, bool)> {
    match course {
        Course::Start(boot) => Some((boot.header.version.major, false)),
        Course::StartFactory(boot) => Some((boot.header.version.major, true)),
        Course::Prompt(_) => None,
    }
}

/// A board that looks at what is to be started.
struct Looks {
    refuses: u8,
    measured: Vec<(u8, AreaId)>,
    handed: u32,
    fails: bool,
}

impl Looks {
    /// One that hands on at once.
    fn new(refuses: u8, fails: bool) -> Self {
        Self { refuses, measured: Vec::new(), handed: 2, fails }
    }
}

impl Hooks<FlashFault> for &mut Looks {
    fn event(&mut self, _: u8, _: Report) {}

    fn accepts(&mut self, _: u8, header: &Header, _: &Validated) -> bool {
        header.version.major != self.refuses
    }

    fn ready<M: FlashMap<Error = FlashFault>>(
        &mut self,
        _: &mut M,
        boot: &Boot,
    ) -> Result<(), BootError<FlashFault>> {
        self.measured.push((boot.header.version.major, boot.area));
        if self.fails { Err(BootError::SharedData) } else { Ok(()) }
    }

    fn installed<M: FlashMap<Error = FlashFault>>(
        &mut self,
        flash: &mut M,
        image: u8,
        slot: AreaId,
        swap: SwapType,
    ) -> Result<(), BootError<FlashFault>> {
        assert_eq!((image, slot, swap), (0, PRIMARY, SwapType::None));
        let mut bytes = [0; Header::SIZE];
        flash.read(slot, 0, &mut bytes).map_err(BootError::Flash)?;
        assert_eq!(Header::parse(&bytes).unwrap().version.major, FACTORY_VERSION);
        self.handed += 1;
        if self.handed < 3 { Err(BootError::SharedData) } else { Ok(()) }
    }
}

/// The record of the rollback stands until then, so that each boot tries it again.
#[test]
fn a_factory_image_is_handed_on_until_that_succeeds() {
    let mut device = Device::new(UpgradeMode::SwapMove, 0xff);
    device.load(PRIMARY, &app(OLD));
    device.load(FACTORY, &app(FACTORY_VERSION));
    let mut looks = Looks { handed: 0, ..Looks::new(0, false) };
    for tries in 1..=3 {
        let mut platform = Platform::new(&mut device.flash, HashOnly)
            .with_counters(FlashCounters::new(COUNTERS))
            .with_hooks(&mut looks);
        let rolled = device.rollback.roll_back(&mut platform);
        let expected = if tries < 3 { Err(RollbackError::NotReady) } else { Ok(FACTORY_VERSION) };
        assert_eq!(rolled.map(|boot| boot.header.version.major), expected);
        assert_eq!(device.rollback.is_in_progress(&mut device.flash), Ok(tries < 3));
    }
}

/// As any other image: what the board does not want, or cannot measure, does not run, and what it does not
/// want is not copied.
#[test]
fn a_factory_image_is_measured_and_may_be_refused_by_its_board() {
    for (refuses, fails, expected) in [
        (0, false, Ok((FACTORY_VERSION, PRIMARY))),
        (FACTORY_VERSION, false, Err(RollbackError::Factory(Refusal::Vetoed))),
        (0, true, Err(RollbackError::NotReady)),
    ] {
        let mut device = Device::new(UpgradeMode::OverwriteOnly, 0xff);
        device.load(PRIMARY, &app(OLD));
        device.load(FACTORY, &app(FACTORY_VERSION));
        let before = device.flash.supply().operations();
        let mut looks = Looks::new(refuses, fails);
        let mut platform = Platform::new(&mut device.flash, HashOnly)
            .with_counters(FlashCounters::new(COUNTERS))
            .with_hooks(&mut looks);
        let rolled = device.rollback.roll_back(&mut platform);
        let rolled = rolled.map(|boot| (boot.header.version.major, boot.area));
        assert_eq!(rolled, expected);
        let copied = refuses == 0;
        assert_eq!(device.flash.supply().operations() > before, copied);
        let measured = if copied { vec![(FACTORY_VERSION, PRIMARY)] } else { vec![] };
        assert_eq!(looks.measured, measured);
        // What cannot be started is no reason to copy it again at each boot.
        assert_eq!(device.rollback.is_in_progress(&mut device.flash), Ok(false));
    }
}

const MODES: [UpgradeMode; 2] = [UpgradeMode::OverwriteOnly, UpgradeMode::SwapMove];

/// A device with a factory image. `primary`: whether the application is whole; `update`: whether
/// a new one is pending, and whether that one is whole.
fn device(mode: UpgradeMode, primary: bool, update: Option<bool>) -> Device {
    let mut device = Device::new(mode, 0xff);
    device.load(FACTORY, &app(FACTORY_VERSION));
    device.load(PRIMARY, &if primary { app(OLD) } else { damaged(app(OLD)) });
    if let Some(whole) = update {
        device.load(SECONDARY, &if whole { app(NEW) } else { damaged(app(NEW)) });
        device.ask();
    }
    device
}

#[test]
fn every_combination_of_image_update_and_button_boots_what_it_should() {
    let (no, yes) = (Press::No, Press::Yes);
    for mode in MODES {
        for (primary, update, press, expected) in [
            (true, None, no, Some((OLD, false))),
            (true, None, yes, Some((FACTORY_VERSION, true))),
            (true, Some(true), no, Some((NEW, false))),
            (true, Some(true), yes, Some((FACTORY_VERSION, true))),
            (true, Some(false), no, Some((OLD, false))),
            (true, Some(false), yes, Some((FACTORY_VERSION, true))),
            (false, Some(true), no, Some((NEW, false))),
            (false, Some(true), yes, Some((FACTORY_VERSION, true))),
            (false, Some(false), no, None),
            (false, Some(false), yes, None),
            (false, None, no, None),
            (false, None, yes, None),
        ] {
            let mut device = device(mode, primary, update);
            let before = device.flash.bytes(FACTORY).to_vec();
            let (course, console) = device.boot(press);
            let place = format!("{mode}, {primary} {update:?} {press:?}: {:?}", console.lines);
            assert_eq!(major(&course), expected, "{place}");
            if expected.is_none() {
                assert!(console.lines.ends_with(&[Line::NoValidImage, Line::Prompt]), "{place}");
                assert_eq!(device.prompted(), Ok(FACTORY_VERSION), "{place}");
            }
            // It stays that way: nothing that was asked for before comes back.
            let runs = expected.map_or(FACTORY_VERSION, |(version, _)| version);
            let stays = if mode.swaps() && runs == NEW { OLD } else { runs };
            let (course, _) = device.boot(no);
            let settled = if stays == OLD && !primary { None } else { Some((stays, false)) };
            if settled.is_some() {
                assert_eq!(major(&course), settled, "{place}: the boot after");
            }
            assert_eq!(device.flash.bytes(FACTORY), before, "{place}: the factory area");
        }
    }
}

/// As an upgrade is: what has been told last is how it has ended.
#[test]
fn a_rollback_is_told_as_what_changes_the_slots() {
    use Status::{BootFailed, BootableImageFound, NoBootableImage, Startup, Upgrading};
    let found = [Startup, BootableImageFound];
    let with = |factory: &[u8]| {
        let mut device = device(UpgradeMode::SwapMove, true, None);
        device.load(FACTORY, factory);
        device
    };
    let (_, console) = with(&app(FACTORY_VERSION)).boot(Press::No);
    assert_eq!(console.status, found);
    let (_, console) = with(&app(FACTORY_VERSION)).boot(Press::Yes);
    assert_eq!(console.status, [&found[..], &[Upgrading, BootableImageFound]].concat());
    // Refused before anything was touched: the application starts.
    let (_, console) = with(&damaged(app(FACTORY_VERSION))).boot(Press::Yes);
    let refused = [Upgrading, NoBootableImage, BootableImageFound];
    assert_eq!(console.status, [&found[..], &refused].concat());
    // Cut in the middle, and resumed.
    let mut device = with(&app(FACTORY_VERSION));
    device.flash.supply().cut_at(6, Torn::Half);
    let (_, console) = device.boot(Press::Yes);
    assert_eq!(console.status, [&found[..], &[Upgrading, BootFailed]].concat());
    device.flash.supply().power_on();
    let (course, console) = device.boot(Press::No);
    assert_eq!(major(&course), Some((FACTORY_VERSION, true)));
    assert_eq!(console.status, [Startup, Upgrading, BootableImageFound]);
}

#[test]
fn the_console_says_what_users_know() {
    let mut device = device(UpgradeMode::OverwriteOnly, true, None);
    let (_, console) = device.boot(Press::Yes);
    let lines: Vec<_> = console.lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "MCUboot Bootloader Started",
            "Application validated successfully !",
            "Detected user button event",
            "Rollback initiated at startup",
            "Verifying 'factory app' in place",
            "Valid image magic found",
            "Erasing primary slot. Please wait for a while...",
            "Transferring 'factory app' to 'primary slot'",
            "Please wait for a while...",
            "factory app copied to primary slot successfully",
            "factory app validated successfully",
        ]
    );
}

/// What fails, from the moment on that the primary slot is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    /// Reading this area from this offset on.
    Read(AreaId, u32),
    /// Writing there.
    Write(AreaId, u32),
    /// Erasing it.
    Erase(AreaId),
    /// A bit of it, when it is read.
    Bit(AreaId, u32),
}

/// A map that fails so; `true` once it does.
struct Fails<'m>(&'m mut SimFlash, Failing, bool);

impl FlashMap for Fails<'_> {
    type Error = FlashFault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), FlashFault> {
        let Self(flash, failing, armed) = self;
        let end = offset + buf.len() as u32;
        match failing {
            Failing::Read(area, from) if *armed && *area == id && end > *from => {
                flash.read(id, u32::MAX, buf)
            }
            Failing::Bit(area, at) if *armed && *area == id && (offset..end).contains(at) => {
                flash.read(id, offset, buf)?;
                buf[(*at - offset) as usize] ^= 1;
                Ok(())
            }
            _ => flash.read(id, offset, buf),
        }
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), FlashFault> {
        let Self(flash, failing, armed) = self;
        let fails = |area: &AreaId, from: &u32| *armed && *area == id && offset >= *from;
        match failing {
            Failing::Write(area, from) if fails(area, from) => flash.write(id, u32::MAX, data),
            _ => flash.write(id, offset, data),
        }
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), FlashFault> {
        let Self(flash, failing, armed) = self;
        *armed |= id == PRIMARY;
        match failing {
            Failing::Erase(area) if *area == id => flash.erase(id, u32::MAX, len),
            _ => flash.erase(id, offset, len),
        }
    }
}

/// The lines behind the last one that says that the factory image is looked at.
fn told(console: &Console) -> Vec<String> {
    let lines = console.lines.iter().rev().take_while(|line| **line != Line::Checking);
    let mut lines: Vec<_> = lines.map(ToString::to_string).collect();
    lines.reverse();
    lines
}

/// What users of the original know it to say, in front of our own words.
#[test]
fn a_rollback_that_fails_says_so_in_the_words_that_users_know() {
    let begun = ["Valid image magic found", "Erasing primary slot. Please wait for a while..."];
    let copying = ["Transferring 'factory app' to 'primary slot'", "Please wait for a while..."];
    let copied = ["factory app copied to primary slot successfully"];
    for mode in MODES {
        for (failing, lines) in [
            (Failing::Erase(PRIMARY), vec!["Failed to erase Primary Slot !"]),
            (
                Failing::Read(FACTORY, 1024),
                [
                    &copying[..],
                    &["failed to read factory app @ offset 0x400", "factory app transfer failed !"],
                ]
                .concat(),
            ),
            (
                Failing::Write(PRIMARY, 0),
                [
                    &copying[..],
                    &["failed to write primary slot @ offset 0x0", "factory app transfer failed !"],
                ]
                .concat(),
            ),
            (
                Failing::Bit(PRIMARY, 100),
                [&copying[..], &copied, &["factory app validation failed"]].concat(),
            ),
        ] {
            let mut device = device(mode, true, None);
            let (course, console) =
                device.boot_through(Press::Yes, |flash| Fails(flash, failing, false));
            assert!(matches!(course, Course::Prompt(_)), "{mode}, {failing:?}");
            let expected = [&begun[..], &lines, &["Can't Rollback"]].concat();
            assert_eq!(told(&console), expected, "{mode}, {failing:?}");
            // It goes on by itself once flash does as it is told.
            let (course, _) = device.boot(Press::No);
            assert_eq!(major(&course), Some((FACTORY_VERSION, true)), "{mode}, {failing:?}");
        }
    }
}

/// A factory image that is refused: the original's words, ours, and the application as ever.
#[test]
fn a_factory_image_that_is_refused_is_so_in_the_words_that_users_know() {
    let lines = |factory: &[u8]| {
        let mut device = device(UpgradeMode::OverwriteOnly, true, None);
        device.flash.load(FACTORY, 0, &[0xff; SLOT as usize]).unwrap();
        device.load(FACTORY, factory);
        let (course, console) = device.boot(Press::Yes);
        assert_eq!(major(&course), Some((OLD, false)));
        assert!(matches!(console.events[..], [Event::RollbackFailed(_)]));
        told(&console)
    };
    let end = ["Can't Rollback", "Starting Application on CM4. Please wait..."];
    let expected = |line| [&[line][..], &end].concat();
    assert_eq!(lines(&[]), expected("Invalid image magic 0xffffffff !"));
    assert_eq!(lines(&[1, 2, 3, 4]), expected("Invalid image magic 0x04030201 !"));
    let bad = damaged(app(FACTORY_VERSION));
    assert_eq!(lines(&bad), expected("factory app validation failed"));
    let too_large = counted(FACTORY_VERSION, 7 * SECTOR + 1, 1);
    assert_eq!(lines(&too_large), expected("factory app validation failed"));

    let mut device = device(UpgradeMode::OverwriteOnly, true, None);
    let silent = Failing::Read(FACTORY, 0);
    let (course, console) = device.boot_through(Press::Yes, |flash| Fails(flash, silent, true));
    assert_eq!(major(&course), Some((OLD, false)));
    assert_eq!(told(&console), expected("Failed to read 'factory app' magic from external memory"));
}

/// The original checks four bytes, erases the application, and halts with nothing left to run.
#[test]
fn a_bad_factory_image_costs_nobody_the_application() {
    for mode in MODES {
        let other = |image: &[u8]| {
            let mut device = device(mode, true, None);
            device.flash.load(FACTORY, 0, &vec![0xff; SLOT as usize]).unwrap();
            device.load(FACTORY, image);
            device
        };
        let too_large = counted(FACTORY_VERSION, 7 * SECTOR + 1, 1);
        let size = too_large.len() as u32;
        for (mut device, error) in [
            (other(&[]), None),
            (other(&damaged(app(FACTORY_VERSION))), None),
            (
                other(&image(FACTORY_VERSION, 1500)),
                Some(RollbackError::Factory(Refusal::NoSecurityCounter)),
            ),
            (other(&too_large), Some(RollbackError::TooLarge { size, max: 7 * SECTOR })),
        ] {
            let before = device.flash.bytes(PRIMARY).to_vec();
            let (course, console) = device.boot(Press::Yes);
            assert_eq!(major(&course), Some((OLD, false)));
            let [Event::RollbackFailed(found)] = console.events[..] else {
                panic!("{:?}", console.events)
            };
            if let Some(error) = error {
                assert_eq!(found, error);
            }
            assert_eq!(device.flash.bytes(PRIMARY), before, "{mode}: untouched");
        }
    }
}

/// Where the secondary slot and the factory image share a chip that does not answer, the record of
/// a rollback cannot be looked for either. The application has just been verified, and is whole.
#[test]
fn external_flash_that_does_not_answer_costs_nobody_the_application() {
    for mode in MODES {
        for press in [Press::No, Press::Yes] {
            let mut device = device(mode, true, None);
            let (course, console) = device.boot_through(press, |flash| Silent(flash, 0));
            assert_eq!(major(&course), Some((OLD, false)), "{mode}: {:?}", console.lines);
            assert!(console.lines.ends_with(&[Line::Starting]));
            let (course, _) = device.boot(Press::Yes);
            assert_eq!(major(&course), Some((FACTORY_VERSION, true)), "as soon as it answers");
        }
    }
}

/// From there on the application is not what was verified.
#[test]
fn an_application_that_a_rollback_may_have_erased_is_not_started() {
    for mode in MODES {
        let mut device = device(mode, true, None);
        assert!(device.flash.make_read_only(PRIMARY));
        let (course, _) = device.boot(Press::Yes);
        assert_eq!(major(&course), None, "{mode}");
    }
}

#[test]
fn a_factory_image_that_was_linked_for_elsewhere_is_refused() {
    for (vector, fits) in [(0x1001_8401, true), (0x1001_8000, true), (0x1800_0401, false)] {
        let mut device = device(UpgradeMode::OverwriteOnly, true, None);
        let mut body = vec![0; 64];
        body[4..8].copy_from_slice(&u32::to_le_bytes(vector));
        device.load(FACTORY, &with_body(&body));
        device.rollback.runs_at = Some((0x1001_8000, 0x1001_8fff));
        let (course, console) = device.boot(Press::Yes);
        assert_eq!(major(&course), Some(if fits { (FACTORY_VERSION, true) } else { (OLD, false) }));
        let refused = Event::RollbackFailed(RollbackError::ElsewhereLinked { vector });
        assert_eq!(console.events.contains(&refused), !fits);
    }
}

fn with_body(body: &[u8]) -> Vec<u8> {
    let mut buf = [0; 64];
    let mut protected = TlvWriter::new(TlvKind::Protected, &mut buf).unwrap();
    protected.push(TlvType::SEC_CNT, &[1, 0, 0, 0]).unwrap();
    let protected = protected.finish();
    let header = Header {
        hdr_size: Header::SIZE as u16,
        protect_tlv_size: protected.len() as u16,
        img_size: body.len() as u32,
        version: Version::new(FACTORY_VERSION, 0, 0, 0),
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.extend(body);
    image.extend(protected);
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf).unwrap();
    tlvs.push(TlvType::SHA256, digest.as_bytes()).unwrap();
    image.extend(tlvs.finish());
    image
}

/// The security counter is no version: a factory image below it would undo what it is for.
#[test]
fn a_factory_image_does_not_get_around_the_security_counter() {
    let mut device = device(UpgradeMode::OverwriteOnly, true, None);
    device.load(PRIMARY, &counted(OLD, 1500, 5));
    device.boot(Press::No);
    let (course, console) = device.boot(Press::Yes);
    assert_eq!(major(&course), Some((OLD, false)));
    let refusal = Refusal::SecurityCounter { found: 1, minimum: 5 };
    assert_eq!(console.events, [Event::RollbackFailed(RollbackError::Factory(refusal))]);
}

/// Wherever the power fails, the next boot ends in the old image or in the factory image, and
/// nobody has to press anything once the old one is gone. A second cut changes nothing.
#[test]
fn no_cut_leaves_a_device_without_an_image() {
    let mut cuts = 0;
    for mode in MODES {
        for (erased, update) in [(0xff, None), (0x00, None), (0xff, Some(true))] {
            // A device whose trailers tell of an upgrade that is over.
            let mut start = Device::new(mode, erased);
            start.load(FACTORY, &app(FACTORY_VERSION));
            start.load(PRIMARY, &app(NEW));
            start.load(SECONDARY, &app(OLD));
            let [_, secondary] = start.trailers();
            secondary.write_image_ok(&mut start.flash).unwrap();
            secondary.write_magic(&mut start.flash).unwrap();
            let (course, _) = start.boot(Press::No);
            assert_eq!(major(&course), Some((OLD, false)));
            start.flash.load(SECONDARY, 0, &vec![erased; SLOT as usize]).unwrap();
            if update.is_some() {
                start.load(SECONDARY, &app(NEW));
                start.ask();
            }
            let operations = |device: &Device, press| {
                let mut device = device.clone();
                let before = device.flash.supply().operations();
                device.boot(press);
                let after = device.flash.supply().operations();
                after - before
            };
            let total = operations(&start, Press::Yes);
            for n in 0..total {
                let more = (0..40).map(|seed| Torn::Bits(100 * n + seed));
                for (class, torn) in CLASSES.into_iter().chain(more).enumerate() {
                    let place =
                        format!("{mode}, {erased:#x}, {update:?}, cut {n}/{total} {torn:?}");
                    let mut cut = start.clone();
                    cut.flash.supply().cut_at(n, torn);
                    cut.boot(Press::Yes);
                    cut.flash.supply().power_on();
                    let mut twice = cut.clone();
                    let again = operations(&twice, Press::No);
                    let mut devices = vec![cut];
                    if again > 0 {
                        let m = (n * 5 + class as u64) % again;
                        twice.flash.supply().cut_at(m, CLASSES[(class + 2) % CLASSES.len()]);
                        twice.boot(Press::No);
                        twice.flash.supply().power_on();
                        devices.push(twice);
                    }
                    for mut device in devices {
                        let (course, _) = device.boot(Press::No);
                        let runs = major(&course).unwrap_or_else(|| panic!("{place}: prompts"));
                        assert!([FACTORY_VERSION, OLD, NEW].contains(&runs.0), "{place}");
                        device.boot(Press::No);
                        let (course, _) = device.boot(Press::Yes);
                        let runs = major(&course).unwrap_or_else(|| panic!("{place}: prompts"));
                        assert_eq!(runs.0, FACTORY_VERSION, "{place}: can still be rolled back");
                        let [primary, secondary] = device.trailers();
                        for trailer in [primary, secondary] {
                            let magic = trailer.read(&mut device.flash).unwrap().magic;
                            assert_eq!(magic, Magic::Unset, "{place}: trailers are left erased");
                        }
                        assert_eq!(operations(&device, Press::No), 0, "{place}: settled");
                        cuts += 1;
                    }
                }
            }
        }
    }
    println!("factory rollback: {cuts} cuts");
}
