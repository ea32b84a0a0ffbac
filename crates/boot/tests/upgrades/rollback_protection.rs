//! Security counters in every way in which an image comes to run: what is kept out, when the store
//! is raised, and that it is locked before anything starts.

use crate::board::{
    FlashFault, PRIMARY, Report, SCRATCH, SECONDARY, SWAP_SCRATCH, image_with, with_header,
};
use updraft_boot::factory::{Rollback, RollbackError};
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, CounterFault, Downgrade, EqualSlots, Event,
    FirmwareLoader, Images, InPlace, InRam, LoadRegion, Overwrite, Platform, SecurityCounters,
    SingleSlot, Strategy as _, SwapMove, SwapOffset, Validate,
};
use updraft_flash::{AreaEntry, AreaId, AreaInfo, FlashMap, Sector, SlotPair, TrailerFormat};
use updraft_image::{Flags, HashOnly, Header, Refusal, Rules, TlvType, UpgradeMode};
use updraft_sim::flash::{DeviceSpec, SimFlash};

const SECTOR: u32 = 512;
const SLOT: u32 = 8 * SECTOR;
const RAM: u32 = 0x2000_0000;
const FACTORY: AreaId = AreaId(9);
const PAIR: SlotPair = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
/// Another image.
const OTHER: SlotPair = SlotPair { image: 1, primary: AreaId(4), secondary: AreaId(5) };

/// A way in which images come to run.
#[derive(Clone, Copy, Debug)]
enum Way {
    Upgraded(AnyStrategy),
    InPlace,
    InRam,
    SingleSlot,
    BesideLoader,
    Factory,
}

const WAYS: [Way; 10] = [
    Way::Upgraded(AnyStrategy::SwapMove(SwapMove)),
    Way::Upgraded(AnyStrategy::SwapOffset(SwapOffset)),
    Way::Upgraded(SWAP_SCRATCH),
    Way::Upgraded(AnyStrategy::Overwrite(Overwrite::Image)),
    Way::Upgraded(AnyStrategy::Overwrite(Overwrite::Slot)),
    Way::InPlace,
    Way::InRam,
    Way::SingleSlot,
    Way::BesideLoader,
    Way::Factory,
];

/// What a store was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read(u8),
    Raised(u8, u32),
    Locked(u8),
}

/// A store that writes down what it is asked for.
#[derive(Clone, Debug, Default)]
struct Store {
    /// What it says when it is read: the first value first, the last one from then on.
    values: Vec<u32>,
    locks: bool,
    is_spent: bool,
    asked: Vec<Asked>,
}

impl Store {
    fn holding(value: u32) -> Self {
        Self { values: vec![value], locks: true, ..Self::default() }
    }
}

impl SecurityCounters for Store {
    fn read<M: FlashMap>(&mut self, _: &mut M, image: u8) -> Result<Option<u32>, CounterFault> {
        let reads = self.asked.iter().filter(|asked| **asked == Asked::Read(image)).count();
        self.asked.push(Asked::Read(image));
        Ok(Some(self.values[reads.min(self.values.len() - 1)]))
    }

    fn raise<M: FlashMap>(&mut self, _: &mut M, image: u8, to: u32) -> Result<(), CounterFault> {
        self.asked.push(Asked::Raised(image, to));
        Ok(())
    }

    fn can_be_raised<M: FlashMap>(&mut self, _: &mut M, _: u8) -> bool {
        !self.is_spent
    }

    fn lock<M: FlashMap>(&mut self, _: &mut M, image: u8) -> Result<(), CounterFault> {
        self.asked.push(Asked::Locked(image));
        if self.locks { Ok(()) } else { Err(CounterFault) }
    }
}

/// A device of two images with a scratch area and a factory image.
fn flash() -> SimFlash {
    let area = |id, at| AreaEntry { id, device: 0, offset: at * SLOT, size: SLOT };
    let ids = [PRIMARY, SECONDARY, SCRATCH, FACTORY, OTHER.primary, OTHER.secondary];
    let table = ids.into_iter().zip(0..).map(|(id, at)| area(id, at)).collect();
    SimFlash::new(vec![DeviceSpec::nor(48, SECTOR, 8)], table)
}

fn config() -> Config {
    Config { max_sectors: 8, ..Config::new(PAIR, Rules::default()) }
}

/// An image with a security counter that can be loaded to RAM too.
fn counted(major: u8, counter: u32) -> Vec<u8> {
    let plain = image_with(major, 1500, &[(TlvType::SEC_CNT, counter.to_le_bytes().to_vec())]);
    with_header(&plain, |header| {
        header.flags = Flags::RAM_LOAD;
        header.load_addr = RAM;
    })
}

impl Way {
    /// Boots what runs first in this way.
    fn boot(self, flash: &mut SimFlash, store: &mut Store) -> (Booted, Vec<Report>) {
        let mut events = Vec::new();
        let hooks = |_: u8, event: Report| events.push(event);
        let platform = Platform::new(flash, HashOnly).with_counters(store);
        let mut platform = platform.with_hooks(hooks);
        let mut ram = [0; SLOT as usize];
        let booted = match self {
            Self::Upgraded(strategy) => Bootloader::new(config(), strategy).boot(&mut platform),
            Self::InPlace => {
                EqualSlots::new(config(), InPlace { revert: false }).boot(&mut platform)
            }
            Self::InRam => {
                let region = LoadRegion { address: RAM, bytes: &mut ram };
                EqualSlots::new(config(), InRam::new(region, false)).boot(&mut platform)
            }
            Self::SingleSlot => SingleSlot::new(config(), Validate::Always).boot(&mut platform),
            Self::BesideLoader => {
                FirmwareLoader::new(config(), Validate::Always, false).boot(&mut platform, false)
            }
            Self::Factory => {
                let mode = UpgradeMode::SwapMove;
                let config = config();
                Rollback { slots: PAIR, factory: FACTORY, config, mode, runs_at: None }
                    .roll_back(&mut platform)
                    .map_err(|error| match error {
                        RollbackError::NotReady => BootError::Tampered,
                        error => error.into(),
                    })
            }
        };
        (booted, events)
    }

    /// Where the image lies that this way starts.
    fn area(self) -> AreaId {
        if let Self::Factory = self { FACTORY } else { PRIMARY }
    }

    /// A device with the image that this way starts, and no other.
    fn device(self, image: &[u8]) -> SimFlash {
        let mut flash = flash();
        flash.load(self.area(), 0, image).unwrap();
        flash
    }
}

type Booted = Result<Boot, BootError<FlashFault>>;

#[test]
fn an_image_below_the_stored_counter_never_starts() {
    for way in WAYS {
        for (stored, starts) in [(0, true), (3, true), (4, false), (u32::MAX, false)] {
            let mut flash = way.device(&counted(1, 3));
            let (booted, events) = way.boot(&mut flash, &mut Store::holding(stored));
            assert_eq!(booted.is_ok(), starts, "{way:?}: {stored}");
            let refusal = Refusal::SecurityCounter { found: 3, minimum: stored };
            match booted {
                Ok(boot) => assert_eq!(boot.validated.unwrap().security_counter, Some(3)),
                Err(BootError::NoImage) => {
                    assert_eq!(events, [Event::SlotRefused(PRIMARY, refusal)], "{way:?}");
                }
                Err(error) => assert_eq!(error, BootError::Refused(refusal), "{way:?}"),
            }
        }
    }
}

/// A factory image raises nothing: it has to stay possible to go back to it.
#[test]
fn the_store_is_raised_to_what_runs_for_good() {
    for way in WAYS {
        let mut store = Store::holding(1);
        way.boot(&mut way.device(&counted(1, 3)), &mut store).0.unwrap();
        let raised: Vec<_> =
            store.asked.iter().filter(|asked| matches!(asked, Asked::Raised(..))).collect();
        match way {
            Way::Factory => assert!(raised.is_empty(), "{raised:?}"),
            _ => assert_eq!(raised, [&Asked::Raised(0, 3)], "{way:?}"),
        }
    }
}

/// What runs next may be under test, or mean ill.
#[test]
fn the_store_is_locked_last_of_all_and_whatever_runs() {
    for way in WAYS {
        let device = way.device(&counted(1, 3));
        let mut store = Store::holding(1);
        way.boot(&mut device.clone(), &mut store).0.unwrap();
        let locks = store.asked.iter().filter(|asked| **asked == Asked::Locked(0)).count();
        assert_eq!((locks, store.asked.last()), (1, Some(&Asked::Locked(0))), "{way:?}");
        // One that does not lock is one that what runs next may raise.
        let mut store = Store { locks: false, ..Store::holding(1) };
        let booted = way.boot(&mut device.clone(), &mut store).0;
        assert_eq!(booted, Err(BootError::Counter), "{way:?}");
    }
}

#[test]
fn the_counters_of_all_images_are_locked() {
    let mut flash = flash();
    flash.load(PAIR.primary, 0, &counted(1, 3)).unwrap();
    flash.load(OTHER.primary, 0, &counted(1, 2)).unwrap();
    let images = Images::new(&[PAIR, OTHER]).unwrap();
    let config = Config { images, ..config() };
    let locked = |boot: &dyn Fn(&mut Platform<&mut SimFlash, HashOnly, &mut Store>) -> Booted| {
        let mut store = Store::holding(1);
        let mut copy = flash.clone();
        boot(&mut Platform::new(&mut copy, HashOnly).with_counters(&mut store)).unwrap();
        let locks = store.asked.iter().filter(|asked| matches!(asked, Asked::Locked(_)));
        assert_eq!(locks.collect::<Vec<_>>(), [&Asked::Locked(0), &Asked::Locked(1)]);
    };
    let strategy = AnyStrategy::SwapMove(SwapMove);
    locked(&|platform| Bootloader::new(config, strategy).boot(platform));
    locked(&|platform| EqualSlots::new(config, InPlace { revert: false }).boot(platform));
    locked(&|platform| SingleSlot::new(config, Validate::Always).boot(platform));
}

/// A processor that was disturbed may have read the counter wrongly, or jumped over its comparison.
#[test]
fn the_counter_is_compared_again_right_before_the_start() {
    for way in WAYS {
        let device = way.device(&counted(1, 3));
        let mut store = Store::holding(1);
        way.boot(&mut device.clone(), &mut store).0.unwrap();
        let reads = store.asked.iter().filter(|asked| **asked == Asked::Read(0)).count();
        // All but the last one read too low.
        let values = [vec![0; reads - 1], vec![4]].concat();
        let mut store = Store { values, ..Store::holding(4) };
        let booted = way.boot(&mut device.clone(), &mut store).0;
        assert_eq!(booted, Err(BootError::Tampered), "{way:?}");
    }
}

/// Its image could never be confirmed in the store, so it is left out, and the one that can be runs.
#[test]
fn a_store_that_is_used_up_leaves_out_the_slot_that_would_need_it() {
    for way in [Way::InPlace, Way::InRam] {
        for (offered, runs) in [(4, 1), (3, 2)] {
            let mut flash = flash();
            flash.load(PRIMARY, 0, &counted(1, 3)).unwrap();
            flash.load(SECONDARY, 0, &counted(2, offered)).unwrap();
            let mut store = Store { is_spent: true, ..Store::holding(3) };
            let (booted, events) = way.boot(&mut flash, &mut store);
            assert_eq!(booted.unwrap().header.version.major, runs, "{way:?}");
            let expected = if runs == 1 { vec![Event::CounterExhausted] } else { vec![] };
            assert_eq!(events, expected, "{way:?}");
            // It may still be asked for by another device's store: nothing is erased.
            assert!(flash.bytes(SECONDARY).starts_with(&counted(2, offered)));
        }
    }
}

/// Flash of which one read of the running image's header gives another version, after so many others: a
/// processor that was disturbed once.
struct Misread<'f>(&'f mut SimFlash, usize);

impl FlashMap for Misread<'_> {
    type Error = FlashFault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), FlashFault> {
        self.0.read(id, offset, buf)?;
        if (id, offset, buf.len()) == (PRIMARY, 0, Header::SIZE) {
            if self.1 == 0 {
                // The major version.
                buf[20] = 0;
            }
            self.1 = self.1.wrapping_sub(1);
        }
        Ok(())
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), FlashFault> {
        self.0.write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), FlashFault> {
        self.0.erase(id, offset, len)
    }
}

#[test]
fn one_misread_version_does_not_bring_an_older_image_in() {
    for way in WAYS {
        let Way::Upgraded(strategy) = way else { continue };
        let config = Config { downgrade: Downgrade::Refused, ..config() };
        let mode = strategy.mode();
        let format = TrailerFormat { mode, max_align: 8, max_sectors: 8, keys: None };
        let mut start = flash();
        start.load(PRIMARY, 0, &counted(2, 1)).unwrap();
        let offset = if mode == UpgradeMode::SwapOffset { SECTOR } else { 0 };
        start.load(SECONDARY, offset, &counted(1, 1)).unwrap();
        format.trailers(&start, &PAIR).unwrap()[1].write_magic(&mut start).unwrap();
        for others in 0..40 {
            let mut copy = start.clone();
            let mut platform = Platform::new(Misread(&mut copy, others), HashOnly);
            let _ = Bootloader::new(config, strategy).boot(&mut platform);
            assert!(copy.bytes(PRIMARY).starts_with(&counted(2, 1)), "{way:?}, {others}");
        }
    }
}
