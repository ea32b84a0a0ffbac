//! Flash that fails to answer for once, devices that differ, and slots that were used before.

use crate::board::{
    Board, FlashFault, Layout, PRIMARY, Report, SECONDARY, SWAP_SCRATCH, Shape, image,
};
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, Downgrade, Event, Overwrite, Platform,
    SwapMove, SwapOffset,
};
use updraft_flash::{AreaEntry, AreaId, AreaInfo, FlashMap, Sector, SlotPair, TrailerFormat};
use updraft_image::{HashOnly, Rules, Strictness, SwapInfo, SwapType, UpgradeMode};
use updraft_sim::flash::{DeviceSpec, OpKind, SimFlash, Torn};

pub const SWAP: Shape = Shape {
    strategy: AnyStrategy::SwapMove(SwapMove),
    sector: 1024,
    sectors: [8, 8],
    write_size: 8,
    max_align: 8,
    max_sectors: 8,
    erased: 0xff,
    layout: Layout::Even,
};

/// A map that fails to read the body of the image in one area, once.
struct FailsOnce<'m>(&'m mut SimFlash, Option<AreaId>);

impl FlashMap for FailsOnce<'_> {
    type Error = FlashFault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), FlashFault> {
        let fails = self.1 == Some(id) && (1000..2000).contains(&offset);
        if fails {
            self.1 = None;
        }
        self.0.read(id, if fails { u32::MAX } else { offset }, buf)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), FlashFault> {
        self.0.write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), FlashFault> {
        self.0.erase(id, offset, len)
    }
}

pub type Booted = (Result<Boot, BootError<FlashFault>>, Vec<Report>);

fn boot_failing_once(board: &mut Board, area: AreaId) -> Booted {
    let loader = *board.loader();
    let mut events = Vec::new();
    let hooks = |_: u8, event: Report| events.push(event);
    let map = FailsOnce(&mut board.flash, Some(area));
    let booted = loader.boot(&mut Platform::new(map, HashOnly).with_hooks(hooks));
    (booted, events)
}

pub fn runs(board: &mut Board) -> u8 {
    board.boot().unwrap().header.version.major
}

/// Not answering is not being damaged: nothing is put in the place of an image, and no check is
/// left out, because of a read that would go well the next time.
#[test]
fn a_primary_slot_that_does_not_answer_is_not_replaced() {
    // A test stays a test.
    let mut board = Board::configured(SWAP, |config| config.bootstrap = true);
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(SwapType::Test).unwrap());
    assert!(boot_failing_once(&mut board, PRIMARY).0.is_err());
    assert_eq!([runs(&mut board), runs(&mut board)], [2, 1], "tested and reverted");
    // The old image is not brought back unasked.
    let mut board = Board::configured(SWAP, |config| config.bootstrap = true);
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap());
    assert_eq!(runs(&mut board), 2);
    assert!(boot_failing_once(&mut board, PRIMARY).0.is_err());
    assert_eq!(runs(&mut board), 2);
    // A downgrade is still one.
    let mut board = Board::configured(SWAP, |config| config.downgrade = Downgrade::Refused);
    board.program(&image(3, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap());
    assert!(boot_failing_once(&mut board, PRIMARY).0.is_err());
    assert_eq!(runs(&mut board), 3);
}

/// A swap that was recorded and cannot be begun is over: otherwise it would install whatever is
/// uploaded next.
#[test]
fn a_recorded_swap_does_not_outlive_its_image() {
    let mut board = Board::new(SWAP);
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap());
    // The record stands, the request is gone, and no sector has been moved.
    board.flash.supply().cut_at(6, Torn::Skip);
    board.boot().unwrap_err();
    board.flash.supply().power_on();
    let (booted, events) = boot_failing_once(&mut board, SECONDARY);
    assert_eq!(booted.unwrap().header.version.major, 1);
    assert!(matches!(events[..], [Event::SecondaryUnreadable(_)]), "{events:?}");
    board.upload(&image(3, 3000)).unwrap();
    assert_eq!([runs(&mut board), runs(&mut board)], [1, 1], "nobody asked for 3.0.0");
}

/// What is not acceptable is erased so that it is not looked at again. That this fails is no reason
/// not to start what runs, which the original does not.
#[test]
fn what_cannot_be_cleared_away_does_not_keep_the_running_image_from_being_started() {
    let overwrite = Shape { strategy: AnyStrategy::Overwrite(Overwrite::Image), ..SWAP };
    let scratched = Shape { strategy: SWAP_SCRATCH, layout: Layout::Scratch(1), ..SWAP };
    let offset = Shape { strategy: AnyStrategy::SwapOffset(SwapOffset), sectors: [8, 9], ..SWAP };
    let mut damaged = image(3, 3000);
    damaged[100] ^= 1;
    for shape in [SWAP, offset, scratched, overwrite] {
        for (what, update) in
            [("damaged", Some(&damaged)), ("older", Some(&image(1, 3000))), ("empty", None)]
        {
            for strictness in [Strictness::Strict, Strictness::Imitate] {
                let place = format!("{shape:?}, {what}, {strictness:?}");
                let mut board = Board::configured(shape, |config| {
                    config.downgrade = Downgrade::Refused;
                    config.rules.strictness = strictness;
                });
                board.program(&image(2, 2500));
                if let Some(update) = update {
                    board.upload(update).unwrap();
                }
                let [_, secondary] = board.trailers();
                secondary.write_magic(&mut board.flash).unwrap();
                let mut worn = board.clone();
                assert!(worn.flash.make_read_only(SECONDARY));
                let (booted, events) = worn.boot_reporting();
                // The original does not look at an overwrite that nothing came of again.
                if strictness == Strictness::Strict {
                    assert_eq!(booted.unwrap().header.version.major, 2, "{place}");
                    assert!(
                        matches!(events[..], [.., Event::NotCleared(_)]),
                        "{place}: {events:?}"
                    );
                } else {
                    assert!(!matches!(events[..], [.., Event::NotCleared(_)]), "{place}");
                }
                assert_eq!([runs(&mut board), runs(&mut board)], [2, 2], "{place}");
            }
        }
    }
}

/// An update that is copied as a whole runs, also if the slot that it came from takes no change: it is
/// copied again at each boot, and once it can be, the request is cleared.
#[test]
fn an_update_that_was_copied_runs_where_its_request_cannot_be_cleared_away() {
    for copy in [Overwrite::Image, Overwrite::Slot] {
        for strictness in [Strictness::Strict, Strictness::Imitate] {
            let shape = Shape { strategy: AnyStrategy::Overwrite(copy), ..SWAP };
            let mut board = Board::configured(shape, |config| config.rules.strictness = strictness);
            board.program(&image(1, 2500));
            board.upload(&image(2, 3000)).unwrap();
            assert!(board.request(SwapType::Permanent).unwrap());
            let mut worn = board.clone();
            assert!(worn.flash.make_read_only(SECONDARY));
            for _ in 0..2 {
                let (booted, events) = worn.boot_reporting();
                if strictness == Strictness::Imitate {
                    assert!(matches!(booted, Err(BootError::Flash(_))), "{copy:?}");
                    continue;
                }
                assert_eq!(booted.unwrap().header.version.major, 2, "{copy:?}");
                let told = matches!(events[..], [Event::NotCleared(_), Event::Installed(_)]);
                assert!(told, "{copy:?}: {events:?}");
            }
            let (booted, events) = board.boot_reporting();
            assert_eq!(booted.unwrap().header.version.major, 2, "{copy:?}");
            assert!(matches!(events[..], [Event::Installed(_)]), "{copy:?}: {events:?}");
            assert!(matches!(board.boot_reporting(), (Ok(_), events) if events.is_empty()));
        }
    }
}

#[test]
fn a_test_that_cannot_be_reverted_goes_on_where_its_way_back_cannot_be_cleared_away() {
    let mut board = Board::new(SWAP);
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(SwapType::Test).unwrap());
    assert_eq!(runs(&mut board), 2);
    board.flash.load(SECONDARY, 100, &[0]).unwrap();
    for area in [SECONDARY, PRIMARY] {
        assert!(board.flash.make_read_only(area));
        let (booted, events) = board.boot_reporting();
        assert_eq!(booted.unwrap().header.version.major, 2, "{events:?}");
    }
}

#[test]
fn an_image_that_cannot_run_need_not_be_kept_when_there_is_no_room() {
    let mut board = Board::new(SWAP);
    let too_large = board.max_image_size() + 300;
    board.program(&image(1, too_large));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap());
    assert_eq!([runs(&mut board), runs(&mut board)], [2, 2]);
}

/// Two devices, one that writes more at once than the other: the trailer of either slot begins
/// where the other one's does, and clearing it costs the image nothing.
#[test]
fn slots_on_devices_that_write_differently_hold_images_of_the_full_size() {
    for (widths, erased) in [([4, 32], [0xff, 0xff]), ([32, 4], [0xff, 0x00]), ([8, 1], [0, 0xff])]
    {
        for swap in [SwapType::Permanent, SwapType::Test] {
            let spec = |at: usize| DeviceSpec {
                erased: erased[at],
                ..DeviceSpec::nor(16, 1024, widths[at])
            };
            let area = |id, device| AreaEntry { id, device, offset: 0, size: 16 * 1024 };
            let table = vec![area(PRIMARY, 0), area(SECONDARY, 1)];
            let mut flash = SimFlash::new(vec![spec(0), spec(1)], table);
            let slots = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
            let rules = Rules::default();
            let config = Config { max_align: 32, max_sectors: 32, ..Config::new(slots, rules) };
            let loader = Bootloader::new(config, SwapMove);
            let max = loader.max_image_size(&flash, 0).unwrap();
            let format = TrailerFormat {
                mode: UpgradeMode::SwapMove,
                max_align: 32,
                max_sectors: 32,
                keys: None,
            };
            let [_, secondary] = format.trailers(&flash, &slots).unwrap();
            let [old, new] = [image(1, max - 40), image(2, max)];
            flash.load(PRIMARY, 0, &old).unwrap();
            flash.load(SECONDARY, 0, &new).unwrap();
            secondary.write_magic(&mut flash).unwrap();
            if swap == SwapType::Permanent {
                secondary.write_image_ok(&mut flash).unwrap();
            }
            let mut boot = || {
                let boot = loader.boot(&mut Platform::new(&mut flash, HashOnly)).unwrap();
                boot.header.version.major
            };
            let expected = if swap == SwapType::Test { [2, 1, 1] } else { [2, 2, 2] };
            assert_eq!([boot(), boot(), boot()], expected, "{widths:?}, {erased:?}, {swap:?}");
        }
    }
}

/// The primary trailer may tell of a swap that is over. When it is erased for the first image
/// of a device whose old one was damaged, what a torn erase leaves of it is not a swap under way:
/// finishing that would overwrite the only good image.
#[test]
fn bootstrap_on_a_device_that_was_used_survives_a_torn_erase() {
    for erased in [0xff, 0x00] {
        let shape = Shape { erased, ..SWAP };
        let mut start = Board::configured(shape, |config| config.bootstrap = true);
        start.program(&image(1, 2500));
        start.upload(&image(2, 3000)).unwrap();
        assert!(start.request(SwapType::Permanent).unwrap());
        assert_eq!(runs(&mut start), 2);
        start.upload(&image(3, 3000)).unwrap();
        start.flash.load(PRIMARY, 1500, &[!erased; 64]).unwrap();
        let mut whole = start.clone();
        whole.flash.supply().record(true);
        assert_eq!(runs(&mut whole), 3);
        let log = whole.flash.take_log();
        let erase = log
            .iter()
            .position(|op| op.kind == OpKind::Erase && op.area == PRIMARY && op.offset == 7 * 1024);
        let n = erase.unwrap() as u64;
        // The worst that the erase can leave: all but `copy_done` and the last record.
        let mut board = start.clone();
        board.flash.supply().cut_at(n, Torn::Skip);
        board.boot().unwrap_err();
        board.flash.supply().power_on();
        let [primary, _] = board.trailers();
        let last = primary.layout().status() + (8 + 2 * 3 - 1) * 8;
        for field in [primary.layout().copy_done(), last] {
            board.flash.load(PRIMARY, field, &[erased; 8]).unwrap();
        }
        assert_eq!(runs(&mut board), 3, "erased {erased:#x}");
        for m in 0..log.len() as u64 {
            for torn in (0..60).map(|seed| Torn::Bits(m * 64 + seed)) {
                let mut board = start.clone();
                board.flash.supply().cut_at(m, torn);
                board.boot().unwrap_err();
                board.flash.supply().power_on();
                assert_eq!(runs(&mut board), 3, "cut {m} {torn:?}");
            }
        }
    }
}

/// A torn erase may leave the record of an older swap without the mark of its end and without its
/// status. It is not the record of the swap that is being asked for.
#[test]
fn an_old_record_is_not_taken_for_a_new_one() {
    for (recorded, asked) in
        [(SwapType::Permanent, SwapType::Test), (SwapType::Test, SwapType::Permanent)]
    {
        let mut board = Board::new(SWAP);
        board.program(&image(1, 2500));
        board.upload(&image(2, 3000)).unwrap();
        assert!(board.request(asked).unwrap());
        let [primary, _] = board.trailers();
        let info = SwapInfo { swap_type: recorded, image: 0 };
        primary.write_swap_info(&mut board.flash, info).unwrap();
        if recorded == SwapType::Permanent {
            primary.write_image_ok(&mut board.flash).unwrap();
        }
        primary.write_swap_size(&mut board.flash, 4000).unwrap();
        primary.write_magic(&mut board.flash).unwrap();
        assert_eq!(board.boot().unwrap().swap, asked);
        let kept = if asked == SwapType::Test { 1 } else { 2 };
        assert_eq!(runs(&mut board), kept);
    }
}
