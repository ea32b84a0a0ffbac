//! What a board is told and asked in the course of a boot, and what it tells the application.

use updraft_sim::flash::Torn;

use crate::board::{
    Board, FlashFault, Layout, PRIMARY, Report, SECONDARY, SWAP_SCRATCH, Shape, image, image_with,
};
use updraft_boot::{
    AnyStrategy, Boot, BootError, BootInfo, EqualSlots, Event, FirmwareLoader, Hooks, InPlace,
    Overwrite, Platform, ShareError, SharedData, SharedRecovery, SharedSignature, SingleSlot,
    Status, SwapMove, SwapOffset, Validate,
};
use updraft_flash::{AreaId, FlashMap};
use updraft_image::{
    HashOnly, Header, Refusal, SwapType, TlvType, UpgradeMode, Validated, Version,
};

const SWAP: Shape = Shape {
    strategy: AnyStrategy::SwapMove(SwapMove),
    sector: 512,
    sectors: [16, 16],
    write_size: 8,
    max_align: 8,
    max_sectors: 16,
    erased: 0xff,
    layout: Layout::Even,
};

/// A board that writes everything down, and refuses one version.
struct Told<'b> {
    status: Vec<Status>,
    events: Vec<Report>,
    refuses: u8,
    shared: Option<SharedData<'b>>,
}

impl Told<'_> {
    fn new(refuses: u8) -> Self {
        Self { status: Vec::new(), events: Vec::new(), refuses, shared: None }
    }
}

impl Hooks<FlashFault> for &mut Told<'_> {
    fn event(&mut self, _: u8, event: Report) {
        self.events.push(event);
    }

    fn status(&mut self, status: Status) {
        self.status.push(status);
    }

    fn accepts(&mut self, _: u8, header: &Header, _: &Validated) -> bool {
        header.version.major != self.refuses
    }

    fn ready<M: FlashMap<Error = FlashFault>>(
        &mut self,
        flash: &mut M,
        boot: &Boot,
    ) -> Result<(), BootError<FlashFault>> {
        match &mut self.shared {
            Some(shared) => Ok(shared.add_boot_record(flash, boot)?),
            None => Ok(()),
        }
    }
}

fn boot(board: &mut Board, told: &mut Told<'_>) -> Result<Boot, BootError<FlashFault>> {
    let loader = *board.loader();
    loader.boot(&mut Platform::new(&mut board.flash, HashOnly).with_hooks(told))
}

#[test]
fn a_board_is_told_how_far_a_boot_has_come() {
    let mut board = Board::new(SWAP);
    let mut told = Told::new(0);
    assert_eq!(boot(&mut board, &mut told), Err(BootError::NoImage));
    assert_eq!(told.status, [Status::Startup, Status::NoBootableImage]);
    board.program(&image(1, 1500));
    let mut told = Told::new(0);
    boot(&mut board, &mut told).unwrap();
    assert_eq!(told.status, [Status::Startup, Status::BootableImageFound]);
    board.upload(&image(2, 1500)).unwrap();
    assert!(board.request(SwapType::Test).unwrap());
    let mut told = Told::new(0);
    boot(&mut board, &mut told).unwrap();
    assert_eq!(told.status, [Status::Startup, Status::Upgrading, Status::BootableImageFound]);
}

/// Whatever way images come to run.
#[test]
fn a_board_is_told_how_far_a_boot_without_swaps_has_come() {
    let mut board = Board::new(SWAP);
    let config = *board.loader().config();
    let status = |board: &mut Board| {
        let mut told = [(); 3].map(|()| Told::new(0));
        let [equal, single, beside] = &mut told;
        let map = &mut board.flash;
        let _ = EqualSlots::new(config, InPlace { revert: false })
            .boot(&mut Platform::new(&mut *map, HashOnly).with_hooks(equal));
        let _ = SingleSlot::new(config, Validate::Always)
            .boot(&mut Platform::new(&mut *map, HashOnly).with_hooks(single));
        let _ = FirmwareLoader::new(config, Validate::Always, true)
            .boot(&mut Platform::new(&mut *map, HashOnly).with_hooks(beside), false);
        told.map(|told| told.status)
    };
    let nothing = vec![Status::Startup, Status::NoBootableImage];
    assert_eq!(status(&mut board), [(); 3].map(|()| nothing.clone()));
    board.program(&image(1, 1500));
    let found = vec![Status::Startup, Status::BootableImageFound];
    assert_eq!(status(&mut board), [(); 3].map(|()| found.clone()));
}

#[test]
fn flash_that_fails_is_told_as_a_boot_that_failed() {
    let mut board = Board::new(SWAP);
    let mut told = Told::new(0);
    let loader = *board.loader();
    board.flash.supply().power_off();
    let booted = loader.boot(&mut Platform::new(&mut board.flash, HashOnly).with_hooks(&mut told));
    assert!(matches!(booted, Err(BootError::Flash(_))), "{booted:?}");
    assert_eq!(told.status, [Status::Startup, Status::BootFailed]);
}

#[test]
fn a_board_may_be_stricter_than_the_bootloader() {
    let mut board = Board::new(SWAP);
    board.program(&image(1, 1500));
    board.upload(&image(2, 1500)).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap());
    let mut told = Told::new(2);
    assert_eq!(boot(&mut board, &mut told).unwrap().header.version.major, 1);
    assert_eq!(told.events, [Event::SecondaryRefused(Refusal::Vetoed)]);
    let mut told = Told::new(1);
    assert_eq!(boot(&mut board, &mut told), Err(BootError::Refused(Refusal::Vetoed)));
}

/// A boot record as imgtool makes it: CBOR, the measurement last and empty.
fn record() -> Vec<u8> {
    let mut record = vec![0xa5, 0x01, 0x63];
    record.extend(b"app");
    record.extend([0x04, 0x65]);
    record.extend(b"2.0.0");
    record.extend([0x05, 0x58, 0x20]);
    record.extend([0x77; 32]);
    record.extend([0x06, 0x66]);
    record.extend(b"SHA256");
    record.extend([0x02, 0x58, 0x20]);
    record.extend([0; 32]);
    record
}

#[test]
fn the_application_is_told_what_was_booted_and_how() {
    let mut board = Board::new(SWAP);
    board.program(&image_with(2, 1500, &[(TlvType::BOOT_RECORD, record())]));
    let mut memory = [0xee; 256];
    let mut told = Told::new(0);
    told.shared = SharedData::new(&mut memory);
    let boot = boot(&mut board, &mut told).unwrap();
    let mut shared = told.shared.take().unwrap();
    let info = BootInfo {
        mode: UpgradeMode::SwapMove,
        signature: SharedSignature::None,
        recovery: SharedRecovery::Serial,
        running_slot: 0,
        bootloader: Version::new(1, 2, 3, 4),
        max_app_size: 0x1234,
    };
    shared.add_boot_info::<()>(&info, &boot).unwrap();
    let mut expected = vec![0x3f, 0x10];
    let record = record();
    expected.extend((record.len() as u16).to_le_bytes());
    expected.extend(&record[..record.len() - 32]);
    expected.extend(boot.validated.unwrap().hash.as_bytes());
    for entry in [
        &[0x00, 0x20, 1, 0, 3][..],
        &[0x01, 0x20, 1, 0, 0],
        &[0x02, 0x20, 1, 0, 1],
        &[0x03, 0x20, 1, 0, 0],
        &[0x04, 0x20, 8, 0, 1, 2, 3, 0, 4, 0, 0, 0],
        &[0x05, 0x20, 4, 0, 0x34, 0x12, 0, 0],
    ] {
        expected.extend(entry);
    }
    let total = expected.len() as u16 + 4;
    let header = [&[0x16, 0x20][..], &total.to_le_bytes()].concat();
    assert_eq!(shared.bytes(), [header, expected].concat());
    assert_eq!(
        shared.add_boot_info::<()>(&info, &boot),
        Err(ShareError::Twice { kind: 0x2000 }),
        "nothing is told twice"
    );
}

#[test]
fn memory_that_is_too_small_keeps_the_device_from_booting_unmeasured() {
    let mut board = Board::new(SWAP);
    board.program(&image_with(2, 1500, &[(TlvType::BOOT_RECORD, record())]));
    let mut memory = [0; 64];
    let mut told = Told::new(0);
    told.shared = SharedData::new(&mut memory);
    assert_eq!(boot(&mut board, &mut told), Err(BootError::SharedData));
    assert_eq!(told.shared.unwrap().bytes(), [0x16, 0x20, 4, 0]);
    assert!(SharedData::new(&mut [0; 3]).is_none());
}

/// A board with a second processor that is handed what was installed for it.
#[derive(Default)]
struct HandsOn {
    fails: bool,
    handed: Vec<(u8, AreaId, u8, SwapType)>,
}

impl Hooks<FlashFault> for &mut HandsOn {
    fn event(&mut self, _: u8, _: Report) {}

    fn installed<M: FlashMap<Error = FlashFault>>(
        &mut self,
        flash: &mut M,
        image: u8,
        slot: AreaId,
        swap: SwapType,
    ) -> Result<(), BootError<FlashFault>> {
        let mut bytes = [0; Header::SIZE];
        flash.read(slot, 0, &mut bytes).map_err(BootError::Flash)?;
        let version = Header::parse(&bytes).expect("an image is there").version;
        self.handed.push((image, slot, version.major, swap));
        if self.fails { Err(BootError::Refused(Refusal::Vetoed)) } else { Ok(()) }
    }
}

fn boot_handing_on(board: &mut Board, hands: &mut HandsOn) -> Result<Boot, BootError<FlashFault>> {
    let loader = *board.loader();
    loader.boot(&mut Platform::new(&mut board.flash, HashOnly).with_hooks(hands))
}

/// Boards that bring images to the primary slot, each in another way.
fn installing() -> [Shape; 5] {
    let scratch = Layout::Scratch(4);
    [
        SWAP,
        Shape { strategy: AnyStrategy::SwapOffset(SwapOffset), ..SWAP },
        Shape { strategy: SWAP_SCRATCH, layout: scratch, ..SWAP },
        Shape { strategy: AnyStrategy::Overwrite(Overwrite::Image), ..SWAP },
        Shape { strategy: AnyStrategy::Overwrite(Overwrite::Slot), ..SWAP },
    ]
}

#[test]
fn an_image_that_was_installed_is_handed_on_until_that_succeeds() {
    for shape in installing() {
        let mut board = Board::new(shape);
        board.program(&image(1, 1500));
        board.upload(&image(2, 1700)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        let mut hands = HandsOn { fails: true, ..HandsOn::default() };
        for _ in 0..3 {
            let booted = boot_handing_on(&mut board, &mut hands);
            assert_eq!(booted, Err(BootError::Refused(Refusal::Vetoed)), "{shape:?}");
        }
        hands.fails = false;
        for _ in 0..2 {
            let booted = boot_handing_on(&mut board, &mut hands).unwrap();
            assert_eq!(booted.header.version.major, 2, "{shape:?}");
        }
        let handed = (0, PRIMARY, 2, SwapType::Permanent);
        assert_eq!(hands.handed, [handed; 4], "{shape:?}: and not once it was done");
    }
}

#[test]
fn no_image_comes_to_run_that_was_not_handed_on_wherever_the_power_fails() {
    let mut cuts = 0;
    for shape in installing() {
        let mut before = Board::new(shape);
        before.program(&image(1, 1500));
        before.upload(&image(2, 1700)).unwrap();
        assert!(before.request(SwapType::Permanent).unwrap());
        for at in 0.. {
            let mut board = before.clone();
            let mut hands = HandsOn::default();
            board.flash.supply().cut_at(at, Torn::Skip);
            let whole = boot_handing_on(&mut board, &mut hands).is_ok();
            board.flash.supply().power_on();
            let booted = boot_handing_on(&mut board, &mut hands).unwrap();
            assert_eq!(booted.header.version.major, 2, "{shape:?}, {at}");
            let last = hands.handed.last().map(|(_, _, version, _)| *version);
            assert_eq!(last, Some(2), "{shape:?}, {at}");
            if whole {
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 50, "{cuts}");
}

#[test]
fn tests_reverts_and_first_images_are_handed_on_as_what_they_are() {
    for shape in &installing()[..3] {
        let mut board = Board::new(*shape);
        board.program(&image(1, 1500));
        board.upload(&image(2, 1700)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        let mut hands = HandsOn::default();
        for _ in 0..3 {
            boot_handing_on(&mut board, &mut hands).unwrap();
        }
        let test = (0, PRIMARY, 2, SwapType::Test);
        let revert = (0, PRIMARY, 1, SwapType::Revert);
        assert_eq!(hands.handed, [test, revert], "{shape:?}");
    }
    for shape in installing() {
        let mut board = Board::configured(shape, |config| config.bootstrap = true);
        board.upload(&image(2, 1700)).unwrap();
        let mut hands = HandsOn::default();
        let booted = boot_handing_on(&mut board, &mut hands).unwrap();
        assert_eq!(hands.handed, [(0, PRIMARY, 2, booted.swap)], "{shape:?}");
    }
}

/// A board that prefers one slot, whatever the versions.
struct Prefers(AreaId);

impl Hooks<FlashFault> for &mut Prefers {
    fn event(&mut self, _: u8, _: Report) {}

    fn last_resort(&mut self, image: u8, slot: AreaId, header: &Header) -> bool {
        assert_eq!((image, header.version.minor), (0, 0));
        slot != self.0
    }
}

#[test]
fn a_board_may_choose_among_equal_slots() {
    for (prefers, damaged, expected) in [
        (PRIMARY, None, PRIMARY),
        (SECONDARY, None, SECONDARY),
        (PRIMARY, Some(PRIMARY), SECONDARY),
        (SECONDARY, Some(SECONDARY), PRIMARY),
    ] {
        let mut board = Board::new(SWAP);
        for (area, version) in [(PRIMARY, 1), (SECONDARY, 2)] {
            let mut bytes = image(version, 1500);
            bytes[700] ^= u8::from(damaged == Some(area));
            board.flash.load(area, 0, &bytes).unwrap();
        }
        let config = *board.loader().config();
        let mut prefers = Prefers(prefers);
        let mut platform = Platform::new(&mut board.flash, HashOnly).with_hooks(&mut prefers);
        let booted = EqualSlots::new(config, InPlace { revert: false }).boot(&mut platform);
        assert_eq!(booted.unwrap().area, expected);
        let other = if expected == PRIMARY { (SECONDARY, 2) } else { (PRIMARY, 1) };
        let kept = board.flash.holds(other.0, 0, &image(other.1, 1500));
        assert_eq!(kept, damaged.is_none(), "what is not preferred is not erased");
    }
}
