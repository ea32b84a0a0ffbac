//! Security counters: where they are kept, and what they keep out.

use crate::board::{Board, Layout, PRIMARY, Report, SECONDARY, Shape, image, image_with};
use updraft_boot::{
    AnyStrategy, CounterFault, Downgrade, Event, FlashCounters, Overwrite, Platform,
    SecurityCounters, SwapMove,
};
use updraft_flash::{AreaEntry, AreaId, FlashMap, Kind};
use updraft_image::{HashOnly, Refusal, SwapType, TlvType};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const AREA: AreaId = AreaId(7);

const CLASSES: [Torn; 6] =
    [Torn::Skip, Torn::Half, Torn::AllButOneBit(1), Torn::Bits(2), Torn::Bits(3), Torn::Bits(4)];

/// Two sectors of `sector` bytes.
fn store(sector: u32, write_size: u32, erased: u8) -> SimFlash {
    on(DeviceSpec { erased, ..DeviceSpec::nor(2, sector, write_size) })
}

/// All of a device.
fn on(spec: DeviceSpec) -> SimFlash {
    let table = vec![AreaEntry { id: AREA, device: 0, offset: 0, size: spec.size() }];
    SimFlash::new(vec![spec], table)
}

/// Flash of every kind: what is written once, twice or as words with a code, and rows that erase
/// themselves.
fn of_every_kind() -> Vec<SimFlash> {
    let nor = DeviceSpec::nor(2, 256, 8);
    let limited = Kind::NorLimited { word: 4, programs: 2 };
    vec![
        on(DeviceSpec::nor(2, 256, 1)),
        on(DeviceSpec { erased: 0x00, ..DeviceSpec::nor(2, 512, 16) }),
        on(DeviceSpec { kind: limited, ..DeviceSpec::nor(2, 256, 4) }),
        on(DeviceSpec { kind: Kind::EccWords, ..nor }),
        // One write a row.
        on(DeviceSpec {
            kind: Kind::SelfErasingRows,
            erased: 0x00,
            ..DeviceSpec::nor(24, 512, 512)
        }),
        on(DeviceSpec { kind: Kind::SelfErasingRows, ..DeviceSpec::nor(40, 64, 64) }),
    ]
}

fn read(flash: &mut SimFlash, image: u8) -> u32 {
    FlashCounters::new(AREA).read(flash, image).unwrap().unwrap()
}

fn raise(flash: &mut SimFlash, image: u8, value: u32) -> Result<(), CounterFault> {
    FlashCounters::new(AREA).raise(flash, image, value)
}

#[test]
fn counters_only_rise_and_each_image_has_its_own() {
    for (sector, write_size, erased) in [(256, 1, 0xff), (512, 8, 0x00), (4096, 32, 0xff)] {
        let mut flash = store(sector, write_size, erased);
        assert_eq!([0, 1, 7].map(|image| read(&mut flash, image)), [0; 3]);
        for (image, value, expected) in
            [(0, 3, [3, 0]), (1, 9, [3, 9]), (0, 2, [3, 9]), (0, 4, [4, 9]), (1, 9, [4, 9])]
        {
            raise(&mut flash, image, value).unwrap();
            assert_eq!([0, 1].map(|image| read(&mut flash, image)), expected);
        }
        let before = flash.supply().operations();
        raise(&mut flash, 0, 4).unwrap();
        assert_eq!(flash.supply().operations(), before, "what is known is not written");
        assert_eq!(raise(&mut flash, 8, 1), Err(CounterFault));
    }
}

#[test]
fn a_store_can_be_raised_for_ever_and_wears_evenly() {
    for mut flash in of_every_kind() {
        flash.reset_counts();
        for value in 1..=1000 {
            raise(&mut flash, (value % 3) as u8, value).unwrap();
        }
        assert_eq!([0, 1, 2].map(|image| read(&mut flash, image)), [999, 1000, 998]);
        let parts: Vec<_> = flash.devices()[0].wear().iter().filter(|wear| **wear > 0).collect();
        let [least, most] = [parts.iter().min(), parts.iter().max()].map(|wear| **wear.unwrap());
        assert!(most - least <= 1 && most < 251, "{parts:?}");
    }
}

/// One header, records right behind it.
#[test]
fn counters_that_an_earlier_version_has_kept_are_read_and_raised() {
    fn entry(words: [u32; 2]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let crc = !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))
        });
        bytes.extend(crc.to_le_bytes());
        bytes.resize(16, 0xff);
        bytes
    }
    let mut flash = store(256, 8, 0xff);
    let entries = [[0x6373_5055, 3], [0x5ec0_0000, 7], [0x5ec0_0001, 4]].map(entry);
    flash.load(AREA, 256, &entries.concat()).unwrap();
    assert_eq!([0, 1].map(|image| read(&mut flash, image)), [7, 4]);
    for (value, expected) in [(7, [7, 4]), (6, [7, 4]), (8, [8, 4]), (30, [30, 4])] {
        raise(&mut flash, 0, value).unwrap();
        assert_eq!([0, 1].map(|image| read(&mut flash, image)), expected);
    }
    for value in 31..60 {
        raise(&mut flash, 0, value).unwrap();
        assert_eq!([0, 1].map(|image| read(&mut flash, image)), [value, 4]);
    }
}

/// Otherwise the first value would be lost without a word.
#[test]
fn an_area_without_room_for_two_parts_keeps_no_counter() {
    let rows = DeviceSpec { kind: Kind::SelfErasingRows, ..DeviceSpec::nor(23, 512, 512) };
    for mut flash in [on(rows), on(DeviceSpec::nor(1, 4096, 8)), store(128, 16, 0xff)] {
        assert_eq!(raise(&mut flash, 0, 3), Err(CounterFault));
        assert_eq!(FlashCounters::new(AREA).read(&mut flash, 0), Err(CounterFault));
        assert_eq!(flash.supply().operations(), 0);
    }
}

/// A cut leaves the counter as it was or as it was to be, from one time to the next if it left bits that
/// cannot be relied on; the others do not change. Once it is raised again, it stays.
#[test]
fn no_cut_turns_a_counter_back() {
    const READS: usize = 12;
    let mut cuts = 0;
    for (number, mut flash) in of_every_kind().into_iter().enumerate() {
        for value in 1..60 {
            let image = (value % 2) as u8;
            let before = [0, 1].map(|image| read(&mut flash, image));
            let mut after = before;
            after[usize::from(image)] = value;
            let mut whole = flash.clone();
            let start = whole.supply().operations();
            raise(&mut whole, image, value).unwrap();
            let total = whole.supply().operations() - start;
            for n in 0..total {
                // A new part is begun once in a while only.
                let seeds = if total > 2 && value < 30 { 60 } else { 2 };
                let seeds = (0..seeds).map(|seed| u64::from(value) << 16 | n << 8 | seed);
                let hard = seeds.flat_map(|seed| [Torn::Unstable(seed), Torn::Unreadable(seed)]);
                for torn in CLASSES.into_iter().chain(hard) {
                    let place = format!("flash {number}, {value}, {n} {torn:?}");
                    let mut cut = flash.clone();
                    cut.supply().cut_at(n, torn);
                    raise(&mut cut, image, value).unwrap_err();
                    cut.supply().power_on();
                    for _ in 0..READS {
                        let found = [0, 1].map(|image| read(&mut cut, image));
                        assert!(found == before || found == after, "{place}: {found:?}");
                    }
                    raise(&mut cut, image, value).unwrap();
                    for _ in 0..READS {
                        let found = [0, 1].map(|image| read(&mut cut, image));
                        assert_eq!(found, after, "{place}");
                    }
                    cuts += 1;
                }
            }
            flash = whole;
        }
    }
    println!("counter store: {cuts} cuts");
}

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

fn counted(major: u8, counter: u32) -> Vec<u8> {
    image_with(major, 2000, &[(TlvType::SEC_CNT, counter.to_le_bytes().to_vec())])
}

#[test]
fn an_image_may_be_kept_out_by_its_own_counter() {
    let overwrite = Shape { strategy: AnyStrategy::Overwrite(Overwrite::Image), ..SWAP };
    for shape in [SWAP, overwrite] {
        for (running, offered, refused) in [
            (counted(5, 3), counted(1, 3), false),
            (counted(5, 3), counted(6, 2), true),
            (counted(5, 3), image(6, 2000), true),
            (image(5, 2000), counted(1, 1), false),
            (image(5, 2000), image(1, 1500), false),
        ] {
            let mut board = Board::configured(shape, |config| {
                config.downgrade = Downgrade::ByCounter;
            });
            board.program(&running);
            board.upload(&offered).unwrap();
            assert!(board.request(SwapType::Permanent).unwrap());
            let (boot, events) = board.boot_reporting();
            assert!(boot.is_ok());
            let told = events.iter().any(|event| matches!(event, Event::CounterRefused { .. }));
            assert_eq!(told, refused, "{events:?}");
            let expected = if refused { &running } else { &offered };
            assert!(board.flash.bytes(PRIMARY).starts_with(expected));
        }
    }
}

/// A store that has been raised as often as it can be.
struct UsedUp(u32);

impl SecurityCounters for UsedUp {
    fn read<M: FlashMap>(&mut self, _: &mut M, _: u8) -> Result<Option<u32>, CounterFault> {
        Ok(Some(self.0))
    }

    fn raise<M: FlashMap>(&mut self, _: &mut M, _: u8, value: u32) -> Result<(), CounterFault> {
        if value > self.0 { Err(CounterFault) } else { Ok(()) }
    }

    fn can_be_raised<M: FlashMap>(&mut self, _: &mut M, _: u8) -> bool {
        false
    }
}

#[test]
fn a_store_that_is_used_up_holds_back_what_would_need_it() {
    for (offered, event) in [(4, Some(Event::CounterExhausted)), (3, None)] {
        let mut board = Board::new(SWAP);
        board.program(&counted(1, 3));
        board.upload(&counted(2, offered)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        let loader = *board.loader();
        let mut events = Vec::new();
        let hooks = |_: u8, event: Report| events.push(event);
        let platform = Platform::new(&mut board.flash, HashOnly);
        let mut platform = platform.with_counters(UsedUp(3)).with_hooks(hooks);
        let boot = loader.boot(&mut platform).unwrap();
        let runs = if event.is_some() { 1 } else { 2 };
        assert_eq!(boot.header.version.major, runs);
        assert_eq!(events.iter().any(|told| Some(*told) == event), event.is_some());
    }
}

#[test]
fn an_image_below_the_stored_counter_does_not_boot() {
    let mut flash = Board::new(SWAP).flash;
    flash.load(PRIMARY, 0, &counted(1, 3)).unwrap();
    flash.load(SECONDARY, 0, &counted(2, 2)).unwrap();
    let loader = *Board::new(SWAP).loader();
    let boot = |flash: &mut SimFlash, stored| {
        loader.boot(&mut Platform::new(flash, HashOnly).with_counters(UsedUp(stored)))
    };
    assert!(boot(&mut flash, 3).is_ok());
    let refused = Refusal::SecurityCounter { found: 3, minimum: 4 };
    assert_eq!(boot(&mut flash, 4).unwrap_err(), updraft_boot::BootError::Refused(refused));
}
