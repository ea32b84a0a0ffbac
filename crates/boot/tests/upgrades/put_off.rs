//! Exchanges that flash refuses to begin: what runs goes on without them.

use crate::board::{
    Board, Counter, FlashFault, Layout, PRIMARY, Report, SCRATCH, SECONDARY, STATUS, SWAP_SCRATCH,
    Shape, image, image_with,
};
use crate::faults::{Booted, SWAP, runs};
use updraft_boot::{
    AnyStrategy, BootError, Event, NoCounters, Platform, SecurityCounters, SwapOffset, SwapStatus,
};
use updraft_flash::{AreaId, AreaInfo, FlashMap, Sector};
use updraft_image::{HashOnly, Strictness, SwapType, TlvType};
use updraft_sim::flash::{AreaOp, OpKind, SimFlash, Torn};

const SCRATCHED: Shape = Shape { strategy: SWAP_SCRATCH, layout: Layout::Scratch(1), ..SWAP };

/// Swapping modes of every kind; in the third and the fourth the trailer shares a sector with the
/// image, which takes one round and several.
const SWAPS: [Shape; 6] = [
    SWAP,
    Shape { strategy: AnyStrategy::SwapOffset(SwapOffset), sectors: [8, 9], ..SWAP },
    Shape { sectors: [1, 1], sector: 8192, ..SCRATCHED },
    Shape { sectors: [4, 4], sector: 2048, max_sectors: 64, ..SCRATCHED },
    SCRATCHED,
    Shape {
        strategy: AnyStrategy::SwapStatus(SwapStatus { scratch: SCRATCH }),
        layout: Layout::Status,
        ..SWAP
    },
];

const TEARS: [Torn; 8] = [
    Torn::Skip,
    Torn::Half,
    Torn::OneBit(1),
    Torn::OneBit(2),
    Torn::AllButOneBit(1),
    Torn::Bits(2),
    Torn::Bits(3),
    Torn::Bits(4),
];

/// What the next two boots start, if that of 2.0.0 was asked for.
const ASKED: [(SwapType, [u8; 2]); 2] = [(SwapType::Test, [2, 1]), (SwapType::Permanent, [2, 2])];

/// Which changes flash refuses.
#[derive(Clone, Copy, Debug)]
enum Refuses {
    /// Those of one area.
    In(AreaId),
    /// All but the first ones.
    After(u32),
    /// This one, counted from 0.
    Only(u32),
}

/// A map that reads everything, and refuses changes.
struct RefusesChanges<'m>(&'m mut SimFlash, Refuses);

impl RefusesChanges<'_> {
    fn refused(&mut self, id: AreaId) -> bool {
        match &mut self.1 {
            Refuses::In(area) => *area == id,
            Refuses::Only(left) => {
                let refused = *left == 0;
                *left = left.wrapping_sub(1);
                refused
            }
            Refuses::After(left) => {
                let refused = *left == 0;
                *left = left.saturating_sub(1);
                refused
            }
        }
    }
}

impl FlashMap for RefusesChanges<'_> {
    type Error = FlashFault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), FlashFault> {
        self.0.read(id, offset, buf)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), FlashFault> {
        let refused = self.refused(id);
        self.0.write(id, if refused { u32::MAX } else { offset }, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), FlashFault> {
        let refused = self.refused(id);
        self.0.erase(id, if refused { u32::MAX } else { offset }, len)
    }
}

fn boot_refusing(board: &mut Board, changes: Refuses) -> Booted {
    boot_counting(board, changes, NoCounters)
}

fn boot_counting(board: &mut Board, changes: Refuses, counters: impl SecurityCounters) -> Booted {
    let loader = *board.loader();
    let mut events = Vec::new();
    if let Err(error) = board.flash.settle_status() {
        return (Err(BootError::Flash(error)), events);
    }
    let hooks = |_: u8, event: Report| events.push(event);
    let map = RefusesChanges(&mut board.flash, changes);
    let platform = Platform::new(map, HashOnly).with_hooks(hooks);
    let booted = loader.boot(&mut platform.with_counters(counters));
    (booted, events)
}

/// A board that runs 1.0.0 and was asked for 2.0.0.
fn asked(shape: Shape, swap: SwapType, strictness: Strictness) -> Board {
    let mut board = Board::configured(shape, |config| config.rules.strictness = strictness);
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(swap).unwrap());
    board
}

/// What two boots start on flash that refuses nothing.
fn runs_next(board: &mut Board) -> [u8; 2] {
    [runs(board), runs(board)]
}

/// A good update in a slot that takes no change cannot be exchanged. What runs goes on, which it does
/// not with the original, and the exchange is made once the slot takes it.
#[test]
fn an_update_that_cannot_be_exchanged_does_not_keep_the_running_image_from_being_started() {
    for shape in SWAPS {
        for (swap, after) in ASKED {
            let mut board = asked(shape, swap, Strictness::Strict);
            let mut worn = board.clone();
            for _ in 0..2 {
                let (booted, events) = boot_refusing(&mut worn, Refuses::In(SECONDARY));
                assert_eq!(booted.unwrap().header.version.major, 1, "{shape:?}, {swap:?}");
                assert!(matches!(events[..], [Event::NotBegun(_)]), "{shape:?}: {events:?}");
            }
            assert_eq!(runs_next(&mut worn), after, "{shape:?}, {swap:?}");
            assert_eq!(runs_next(&mut board), after, "{shape:?}, {swap:?}");

            let mut board = asked(shape, swap, Strictness::Imitate);
            let (booted, _) = boot_refusing(&mut board, Refuses::In(SECONDARY));
            assert!(matches!(booted, Err(BootError::Flash(_))), "{shape:?}, {swap:?}");
        }
    }
}

/// The same where trailers are in an area of their own, and the chip of the slot is protected: there the
/// request is cleared before the slot refuses anything, and made anew.
#[test]
fn an_update_that_cannot_be_exchanged_is_still_asked_for_in_a_status_area() {
    let [.., shape] = SWAPS;
    for (swap, after) in ASKED {
        let mut worn = asked(shape, swap, Strictness::Strict);
        assert!(worn.flash.make_read_only(SECONDARY));
        for _ in 0..2 {
            let (booted, events) = boot_refusing(&mut worn, Refuses::Only(u32::MAX));
            assert_eq!(booted.unwrap().header.version.major, 1, "{swap:?}");
            assert!(matches!(events[..], [Event::NotBegun(_)]), "{events:?}");
        }
        let mut board = Board::new(shape);
        for area in [PRIMARY, SECONDARY, SCRATCH, STATUS] {
            board.flash.load(area, 0, &worn.flash.bytes(area)).unwrap();
        }
        assert_eq!(runs_next(&mut board), after, "{swap:?}");
    }
}

/// Neither does a scratch area that takes no change, nor a slot whose trailer takes none.
#[test]
fn a_record_that_cannot_be_written_does_not_keep_the_running_image_from_being_started() {
    for shape in SWAPS {
        for (swap, after) in ASKED {
            for area in [PRIMARY, SCRATCH] {
                let mut board = asked(shape, swap, Strictness::Strict);
                let (booted, events) = boot_refusing(&mut board, Refuses::In(area));
                let place = format!("{shape:?}, {swap:?}, {area:?}");
                // Where the trailer is in a sector of the image, the record is in the scratch area.
                match booted {
                    Ok(booted) if events.contains(&Event::Installed(swap)) => {
                        assert_eq!(booted.header.version.major, 2, "{place}");
                        continue;
                    }
                    Ok(booted) => assert_eq!(booted.header.version.major, 1, "{place}"),
                    Err(error) => {
                        assert!(area == PRIMARY && shape.sectors[0] < 8, "{place}: {error}")
                    }
                }
                assert_eq!(runs_next(&mut board), after, "{place}");
            }
        }
    }
}

/// The record of an exchange that was not begun is gone: otherwise it would be carried out with
/// whatever is uploaded next.
#[test]
fn an_exchange_that_was_put_off_is_not_made_with_what_nobody_asked_for() {
    for shape in SWAPS {
        for swap in [SwapType::Test, SwapType::Permanent] {
            for area in [SECONDARY, SCRATCH, PRIMARY] {
                let mut board = asked(shape, swap, Strictness::Strict);
                let (booted, events) = boot_refusing(&mut board, Refuses::In(area));
                if booted.is_err() || !matches!(events[..], [Event::NotBegun(_)]) {
                    assert_ne!(area, SECONDARY, "{shape:?}, {swap:?}: {events:?}");
                    continue;
                }
                board.upload(&image(3, 3000)).unwrap();
                assert_eq!(runs_next(&mut board), [1, 1], "{shape:?}, {swap:?}, {area:?}");
            }
        }
    }
}

/// Wherever in putting it off the power fails, for the first time or the next: what runs is started
/// again as long as the slot takes no change, and then the exchange is made as it was asked for. A test
/// stays a test.
#[test]
fn power_cuts_while_an_exchange_is_put_off_cost_nothing() {
    let mut cuts = 0;
    for shape in SWAPS {
        for ((swap, after), earlier) in ASKED.into_iter().flat_map(|asked| [(asked, 0), (asked, 1)])
        {
            for n in 0.. {
                let mut cut = false;
                for torn in TEARS {
                    let place = format!("{shape:?}, {swap:?}, {earlier} before, cut {n} {torn:?}");
                    let mut board = asked(shape, swap, Strictness::Strict);
                    for _ in 0..earlier {
                        boot_refusing(&mut board, Refuses::In(SECONDARY)).0.unwrap();
                    }
                    board.flash.supply().cut_at(n, torn);
                    let _ = boot_refusing(&mut board, Refuses::In(SECONDARY));
                    cut |= !board.flash.supply().is_on();
                    board.flash.supply().power_on();
                    let good = board.clone();
                    let (booted, events) = boot_refusing(&mut board, Refuses::In(SECONDARY));
                    let booted =
                        booted.unwrap_or_else(|error| panic!("{place}: {error}, {events:?}"));
                    assert_eq!(booted.header.version.major, 1, "{place}");
                    for mut board in [board, good] {
                        assert_eq!(runs_next(&mut board), after, "{place}");
                    }
                    cuts += 1;
                }
                if !cut {
                    assert!(n > 3, "{shape:?}");
                    break;
                }
            }
        }
    }
    println!("{cuts} cuts");
}

/// Wherever in an exchange the power fails, and the slot takes no change at the boot after that: the
/// exchange is made as it was asked for as soon as it does.
#[test]
fn a_slot_that_refuses_changes_after_a_power_cut_costs_neither_image() {
    let mut cuts = 0;
    for shape in SWAPS {
        for (swap, after) in ASKED {
            let start = asked(shape, swap, Strictness::Strict);
            let total = {
                let mut board = start.clone();
                let before = board.flash.supply().operations();
                runs(&mut board);
                board.flash.supply().operations() - before
            };
            for n in 0..total {
                for torn in TEARS {
                    let place = format!("{shape:?}, {swap:?}, cut {n}/{total} {torn:?}");
                    let mut board = start.clone();
                    board.flash.supply().cut_at(n, torn);
                    board.boot().unwrap_err();
                    board.flash.supply().power_on();
                    let (booted, _) = boot_refusing(&mut board, Refuses::In(SECONDARY));
                    let meanwhile = booted.map(|booted| booted.header.version.major);
                    let next = runs_next(&mut board);
                    // With the last cut, or without another change to that slot, the test has begun.
                    let tested = swap == SwapType::Test && (n + 1 == total || meanwhile == Ok(2));
                    assert!(
                        next == after || (tested && next == [1, 1]),
                        "{place}: {meanwhile:?}, {next:?}"
                    );
                    cuts += 1;
                }
            }
        }
    }
    println!("{cuts} cuts");
}

/// A request that was about to be erased may have lost its kind: what was to stay would be tested.
#[test]
fn a_permanent_upgrade_is_not_put_off_as_a_test() {
    let mut torn_requests = 0;
    for shape in SWAPS {
        let start = asked(shape, SwapType::Permanent, Strictness::Strict);
        let size = start.flash.info(SECONDARY).unwrap().size;
        let trailer = start.flash.sector_at(SECONDARY, size - 1).unwrap().offset;
        let mut board = start.clone();
        board.flash.supply().record(true);
        runs(&mut board);
        let log = board.flash.take_log();
        let erases_request =
            |op: &AreaOp| op.kind == OpKind::Erase && op.area == SECONDARY && op.offset == trailer;
        let Some(erased) = log.iter().position(erases_request) else {
            assert!(matches!(shape.layout, Layout::Status), "{shape:?}");
            continue;
        };
        for seed in 0..200 {
            for torn in [Torn::OneBit(seed), Torn::AllButOneBit(seed), Torn::Bits(seed)] {
                let mut board = start.clone();
                board.flash.supply().cut_at(erased as u64, torn);
                board.boot().unwrap_err();
                board.flash.supply().power_on();
                let _ = boot_refusing(&mut board, Refuses::In(SECONDARY));
                assert_eq!(runs_next(&mut board), [2, 2], "{shape:?}, {torn:?}");
                torn_requests += 1;
            }
        }
    }
    println!("{torn_requests} torn requests");
}

/// Wherever in an exchange flash stops taking changes: what runs then is whole, and once flash takes
/// them again the exchange is made as it was asked for.
#[test]
fn flash_that_refuses_changes_from_some_moment_on_costs_neither_image() {
    for shape in SWAPS {
        for (swap, after) in ASKED {
            let mut put_off = 0;
            for allowed in 0.. {
                let place = format!("{shape:?}, {swap:?}, {allowed}");
                let mut board = asked(shape, swap, Strictness::Strict);
                let (booted, events) = boot_refusing(&mut board, Refuses::After(allowed));
                if events.iter().any(|event| matches!(event, Event::Installed(_))) {
                    assert!(allowed > 10, "{place}");
                    break;
                }
                if let Ok(booted) = booted {
                    assert_eq!(booted.header.version.major, 1, "{place}");
                    put_off += 1;
                }
                assert_eq!(runs_next(&mut board), after, "{place}");
            }
            assert!(put_off > 0, "{shape:?}");
        }
    }
}

/// One change fails, of which there is another try: nothing is lost by that.
#[test]
fn a_change_that_fails_once_costs_neither_image() {
    for shape in SWAPS {
        for (swap, after) in ASKED {
            for failing in 0.. {
                let place = format!("{shape:?}, {swap:?}, {failing}");
                let mut board = asked(shape, swap, Strictness::Strict);
                let (booted, events) = boot_refusing(&mut board, Refuses::Only(failing));
                if events.iter().any(|event| matches!(event, Event::Installed(_))) {
                    assert!(failing > 10, "{place}");
                    break;
                }
                if let Ok(booted) = booted {
                    assert_eq!(booted.header.version.major, 1, "{place}");
                }
                assert_eq!(runs_next(&mut board), after, "{place}");
            }
        }
    }
}

/// Where nothing runs there is nothing to go on with: the update is not given up.
#[test]
fn an_exchange_with_an_empty_slot_is_not_put_off() {
    for shape in SWAPS {
        let mut board = Board::new(shape);
        board.upload(&image(2, 3000)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        let (booted, events) = boot_refusing(&mut board, Refuses::In(SECONDARY));
        assert!(matches!(booted, Err(BootError::Flash(_))), "{shape:?}: {booted:?}");
        assert_eq!(events, [], "{shape:?}");
        assert_eq!(runs(&mut board), 2, "{shape:?}");
    }
}

/// An update on top of an image under test goes back to that, tested and reverted or put off.
#[test]
fn an_image_under_test_is_what_an_exchange_that_is_put_off_goes_back_to() {
    for shape in SWAPS {
        let mut board = asked(shape, SwapType::Test, Strictness::Strict);
        assert_eq!(runs(&mut board), 2);
        board.upload(&image(3, 3000)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        for _ in 0..2 {
            let booted = boot_refusing(&mut board, Refuses::In(SECONDARY)).0.unwrap();
            assert_eq!(booted.header.version.major, 2, "{shape:?}");
        }
        let after = [runs(&mut board), runs(&mut board), runs(&mut board)];
        assert_eq!(after, [3, 2, 2], "{shape:?}");
    }
}

/// The counter of what goes on must not bar the update that waits: it was good enough before.
#[test]
fn the_security_counter_does_not_rise_while_an_update_waits() {
    let counting = |major, value: u32| {
        image_with(major, 2500, &[(TlvType::SEC_CNT, value.to_le_bytes().to_vec())])
    };
    for shape in SWAPS {
        let mut counter = Counter(4);
        let mut board = Board::new(shape);
        board.program(&counting(1, 4));
        board.upload(&counting(2, 5)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        let mut boot = |board: &mut Board, changes| {
            let booted = boot_counting(board, changes, &mut counter).0.unwrap();
            (booted.header.version.major, counter.0)
        };
        assert_eq!(boot(&mut board, Refuses::Only(u32::MAX)), (2, 4), "{shape:?}");
        board.upload(&counting(3, 4)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        assert_eq!(boot(&mut board, Refuses::In(SECONDARY)), (2, 4), "{shape:?}");
        assert_eq!(boot(&mut board, Refuses::Only(u32::MAX)), (3, 4), "{shape:?}");
    }
}
