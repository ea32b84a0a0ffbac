//! Power cuts at every operation, torn in every way, and cuts during the recovery.

use crate::board::{
    Board, Firmware, Layout, PRIMARY, Part, SCRATCH, SECONDARY, SWAP_SCRATCH, Shape, image_of,
};
use updraft_boot::{AnyStrategy, Overwrite, Strategy, SwapMove, SwapOffset};
use updraft_flash::FlashMap;
use updraft_image::{KeyLength, SwapType, TlvType, TrailerKeys, WrapFormat, magic_bytes};
use updraft_sim::flash::{AreaOp, OpKind, Torn};

const CLASSES: [Torn; 6] =
    [Torn::Skip, Torn::Half, Torn::AllButOneBit(1), Torn::Bits(2), Torn::Bits(3), Torn::Bits(4)];

/// Slots of `count` equal sectors for swap-move, writes of `write_size` bytes.
const fn swap_move(count: u32, sector: u32, write_size: u32) -> Shape {
    Shape {
        strategy: AnyStrategy::SwapMove(SwapMove),
        sector,
        sectors: [count, count],
        write_size,
        max_align: if write_size > 8 { write_size } else { 8 },
        max_sectors: count,
        erased: 0xff,
        layout: Layout::Even,
    }
}

const MOVES: [Shape; 9] = [
    swap_move(8, 512, 1),
    swap_move(12, 512, 4),
    Shape { erased: 0x00, ..swap_move(8, 1024, 8) },
    swap_move(16, 512, 16),
    swap_move(10, 1024, 32),
    Shape { sectors: [5, 4], max_align: 16, ..swap_move(5, 4096, 8) },
    Shape { max_align: 32, erased: 0x00, ..swap_move(3, 8192, 4) },
    // Trailers over several sectors: the status alone takes more than one.
    Shape { max_sectors: 64, ..swap_move(12, 512, 8) },
    // Magic and flags in sectors of their own.
    Shape { max_align: 16, erased: 0x00, ..swap_move(40, 64, 4) },
];

/// The same for swap-offset, with one sector more in the secondary slot.
const fn swap_offset(count: u32, sector: u32, write_size: u32) -> Shape {
    Shape {
        strategy: AnyStrategy::SwapOffset(SwapOffset),
        sectors: [count, count + 1],
        ..swap_move(count, sector, write_size)
    }
}

const OFFSETS: [Shape; 10] = [
    swap_offset(8, 512, 1),
    swap_offset(12, 512, 4),
    Shape { erased: 0x00, ..swap_offset(8, 1024, 8) },
    swap_offset(16, 512, 16),
    swap_offset(10, 1024, 32),
    Shape { sectors: [5, 5], max_align: 16, ..swap_offset(5, 4096, 8) },
    Shape { max_align: 32, erased: 0x00, ..swap_offset(3, 8192, 4) },
    // One sector for the image, one for the trailer.
    swap_offset(2, 4096, 8),
    // Trailers over several sectors: the status alone takes more than one.
    Shape { max_sectors: 64, ..swap_offset(12, 512, 8) },
    // Magic and flags in sectors of their own.
    Shape { max_align: 16, erased: 0x00, ..swap_offset(40, 64, 4) },
];

/// The same for swap-scratch, with a scratch area of `scratch` sectors.
const fn swap_scratch(count: u32, sector: u32, write_size: u32, scratch: u32) -> Shape {
    Shape {
        strategy: SWAP_SCRATCH,
        layout: Layout::Scratch(scratch),
        ..swap_move(count, sector, write_size)
    }
}

/// Areas with sectors and writes of their own.
const fn apart(max_sectors: u32, max_align: u32, parts: [Part; 3]) -> Shape {
    let shape = swap_scratch(1, 1, 8, 1);
    Shape { max_sectors, max_align, layout: Layout::Apart(parts), ..shape }
}

const fn part(write_size: u32, runs: [(u32, u32); 3]) -> Part {
    Part { runs, write_size }
}

const NO: (u32, u32) = (0, 0);

const SCRATCHES: [Shape; 15] = [
    swap_scratch(8, 512, 1, 1),
    swap_scratch(12, 512, 4, 3),
    Shape { erased: 0x00, ..swap_scratch(8, 1024, 8, 1) },
    swap_scratch(16, 512, 16, 2),
    // The first sector of the trailer holds less of it than the scratch area's trailer takes.
    swap_scratch(10, 1024, 32, 1),
    Shape { max_align: 32, erased: 0x00, ..swap_scratch(3, 8192, 4, 1) },
    // Everything in one round.
    swap_scratch(4, 1024, 8, 4),
    Shape { erased: 0x00, ..swap_scratch(4, 512, 4, 6) },
    // Trailers over several sectors: the status alone takes more than one.
    Shape { max_sectors: 64, ..swap_scratch(12, 512, 8, 1) },
    // Magic and flags in sectors of their own.
    Shape { max_align: 16, erased: 0x00, ..swap_scratch(40, 64, 4, 2) },
    // Sectors that differ, now in the one slot and now in the other.
    apart(
        16,
        8,
        [
            part(8, [(4, 512), (3, 1024), NO]),
            part(8, [(3, 1024), (4, 512), NO]),
            part(8, [(2, 1024), NO, NO]),
        ],
    ),
    apart(
        16,
        8,
        [part(4, [(12, 512), NO, NO]), part(1, [(3, 2048), NO, NO]), part(4, [(1, 2048), NO, NO])],
    ),
    Shape {
        erased: 0x00,
        ..apart(
            16,
            16,
            [
                part(8, [(3, 2048), NO, NO]),
                part(16, [(12, 512), NO, NO]),
                part(4, [(5, 512), NO, NO]),
            ],
        )
    },
    // The secondary trailer takes more sectors than the primary.
    apart(
        24,
        32,
        [
            part(4, [(2, 1024), (8, 512), NO]),
            part(32, [(4, 512), (4, 1024), NO]),
            part(4, [(1, 4096), NO, NO]),
        ],
    ),
    apart(
        20,
        32,
        [
            part(32, [(2, 256), (5, 512), (2, 1024)]),
            part(32, [(8, 256), (3, 1024), NO]),
            part(16, [(8, 256), NO, NO]),
        ],
    ),
];

/// The shapes of all modes that swap.
pub fn swapping_shapes() -> impl Iterator<Item = Shape> {
    MOVES.into_iter().chain(OFFSETS).chain(SCRATCHES)
}

fn overwrites() -> impl Iterator<Item = Shape> {
    let shapes = [
        swap_move(2, 4096, 8),
        Shape { sectors: [8, 10], ..swap_move(8, 512, 1) },
        Shape { erased: 0x00, ..swap_move(4, 1024, 32) },
        Shape { max_sectors: 64, ..swap_move(12, 512, 8) },
        Shape { max_align: 32, ..swap_move(40, 64, 4) },
    ];
    let variants = [Overwrite::Image, Overwrite::Slot].map(AnyStrategy::Overwrite);
    shapes.into_iter().flat_map(move |shape| {
        variants.map(|strategy| Shape { strategy, max_sectors: shape.max_sectors.max(16), ..shape })
    })
}

/// The story that power cuts are put into.
pub struct Story {
    pub shape: Shape,
    pub start: Board,
    old: Firmware,
    new: Firmware,
    swap: SwapType,
}

impl Story {
    /// A device that has been upgraded before, so that old trailers lie about, and is asked to
    /// upgrade to an image of `part` per cent of the largest size; for a revert it has, and
    /// nobody confirmed.
    fn new(shape: Shape, swap: SwapType, parts: [u32; 2]) -> Self {
        let start = Board::new(shape);
        let images = Self::sized(&start, parts, Firmware::plain);
        Self::on(start, shape, swap, images)
    }

    /// The same with encrypted images.
    fn encrypted(shape: Shape, swap: SwapType, parts: [u32; 2], keys: TrailerKeys) -> Self {
        let start = Board::decrypting(shape, keys);
        let images = Self::sized(&start, parts, Firmware::encrypted);
        Self::on(start, shape, swap, images)
    }

    /// The same with images that have most of their sectors in common, encrypted or not.
    pub fn resembling(shape: Shape, swap: SwapType, parts: [u32; 2], encrypted: bool) -> Self {
        let (start, build): (_, fn(u8, u32) -> Firmware) = match encrypted {
            true => {
                let keys = TrailerKeys::Plain(KeyLength::Aes128);
                (Board::decrypting(shape, keys), Firmware::encrypted_resembling)
            }
            false => (Board::new(shape), Firmware::resembling),
        };
        let images = Self::sized(&start, parts, build);
        Self::on(start, shape, swap, images)
    }

    /// The same with images of one's own, the last of them the one that the story is about.
    fn of(shape: Shape, swap: SwapType, images: [Vec<u8>; 3]) -> Self {
        let images = images.map(|plain| Firmware { uploaded: plain.clone(), plain });
        Self::on(Board::new(shape), shape, swap, images)
    }

    fn sized(board: &Board, [old, new]: [u32; 2], build: fn(u8, u32) -> Firmware) -> [Firmware; 3] {
        let max = board.max_image_size();
        let sized = |major, part: u32| build(major, (max * part / 100).max(108));
        [sized(1, 40), sized(2, old), sized(3, new)]
    }

    fn on(
        mut start: Board,
        shape: Shape,
        swap: SwapType,
        [first, old, new]: [Firmware; 3],
    ) -> Self {
        start.program(&first.plain);
        start.upload(&old.uploaded).unwrap();
        assert!(start.request(SwapType::Permanent).unwrap());
        assert_eq!(start.boot().unwrap().header.version.major, 2, "{shape:?}");
        start.upload(&new.uploaded).unwrap();
        let request = if swap == SwapType::Revert { SwapType::Test } else { swap };
        assert!(start.request(request).unwrap());
        if swap == SwapType::Revert {
            assert_eq!(start.boot().unwrap().header.version.major, 3, "{shape:?}");
        }
        Self { shape, start, old, new, swap }
    }

    fn swaps(&self) -> bool {
        self.shape.strategy.mode().swaps()
    }

    /// How many operations the boot takes that is to be cut.
    fn operations(&self) -> u64 {
        operations(&mut self.start.clone())
    }

    /// Checks a device whose boot was cut and has power again. `last` tells that one of the cuts
    /// was in the last operation.
    fn check(&self, mut board: Board, last: bool, place: &dyn Fn() -> String) {
        let boot = board.boot().unwrap_or_else(|error| panic!("{}: {error}", place()));
        let major = boot.header.version.major;
        let slot = |board: &Board, area, image: &[u8]| board.flash.bytes(area).starts_with(image);
        let running_new = major == 3;
        let image = if running_new { &self.new } else { &self.old };
        assert!(slot(&board, PRIMARY, &image.plain), "{}: the primary slot", place());
        match self.swap {
            SwapType::Revert => assert!(!running_new, "{}: not reverted", place()),
            // A torn end of the swap counts as its end, and the next boot reverts.
            SwapType::Test if self.swaps() && last && !running_new => {}
            _ => assert!(running_new, "{}: version {major}", place()),
        }
        if self.swaps() && running_new {
            assert!(slot(&board, SECONDARY, &self.old.uploaded), "{}: the old image", place());
        }
        if self.swap == SwapType::Test && self.swaps() && running_new {
            let mut confirmed = board.clone();
            assert!(confirmed.confirm().unwrap(), "{}", place());
            assert_settled(&mut confirmed, 3, place);
            let boot = board.boot().unwrap_or_else(|error| panic!("{}: {error}", place()));
            assert_eq!(boot.swap, SwapType::Revert, "{}: unconfirmed", place());
            assert_settled(&mut board, 2, place);
        } else {
            assert_settled(&mut board, major, place);
        }
    }

    /// Every cut, in every class; and one more cut, somewhere in each recovery.
    pub fn sweep(&self) -> usize {
        let total = self.operations();
        let mut cuts = 0;
        for n in 0..total {
            for (class, torn) in CLASSES.into_iter().enumerate() {
                let torn = reseeded(torn, n);
                let mut board = self.start.clone();
                board.flash.supply().cut_at(n, torn);
                let place =
                    || format!("{:?}, {:?}, cut {n}/{total} {torn:?}", self.shape, self.swap);
                assert!(board.boot().is_err(), "{}", place());
                board.flash.supply().power_on();
                let recovery = operations(&mut board.clone());
                if recovery > 0 {
                    let m = (n * 7 + class as u64 * 13 + 5) % recovery;
                    let again = reseeded(CLASSES[(n as usize + class) % CLASSES.len()], m);
                    let mut twice = board.clone();
                    twice.flash.supply().cut_at(m, again);
                    let place = || format!("{}, then {m}/{recovery} {again:?}", place());
                    assert!(twice.boot().is_err(), "{}", place());
                    twice.flash.supply().power_on();
                    self.check(twice, n + 1 == total || m + 1 == recovery, &place);
                    cuts += 1;
                }
                self.check(board, n + 1 == total, &place);
                cuts += 1;
            }
        }
        cuts
    }
}

fn reseeded(torn: Torn, seed: u64) -> Torn {
    match torn {
        Torn::AllButOneBit(class) => Torn::AllButOneBit(seed * 8 + class),
        Torn::Bits(class) => Torn::Bits(seed * 8 + class),
        torn => torn,
    }
}

fn operations(board: &mut Board) -> u64 {
    let before = board.flash.supply().operations();
    board.boot().expect("an undisturbed boot");
    let after = board.flash.supply().operations();
    after - before
}

/// Nothing is left to do: the same version boots, without a single flash operation.
fn assert_settled(board: &mut Board, major: u8, place: &dyn Fn() -> String) {
    for _ in 0..2 {
        let before = board.flash.supply().operations();
        let boot = board.boot().unwrap_or_else(|error| panic!("{}: {error}", place()));
        assert_eq!(boot.header.version.major, major, "{}", place());
        let after = board.flash.supply().operations();
        if before == after {
            assert!(!board.has_scratch_record(), "{}: a record is left", place());
            return;
        }
    }
    panic!("{}: every boot writes", place());
}

#[test]
fn swap_move_survives_every_cut_of_a_test() {
    let cuts = MOVES.map(|shape| Story::new(shape, SwapType::Test, [70, 45]).sweep());
    println!("swap-move, test: {cuts:?} cuts");
}

#[test]
fn swap_move_survives_every_cut_of_a_permanent_upgrade() {
    let cuts = MOVES.map(|shape| Story::new(shape, SwapType::Permanent, [33, 100]).sweep());
    println!("swap-move, permanent: {cuts:?} cuts");
}

#[test]
fn swap_move_survives_every_cut_of_a_revert() {
    let cuts = MOVES.map(|shape| Story::new(shape, SwapType::Revert, [60, 25]).sweep());
    println!("swap-move, revert: {cuts:?} cuts");
}

#[test]
fn swap_offset_survives_every_cut_of_a_test() {
    let cuts = OFFSETS.map(|shape| Story::new(shape, SwapType::Test, [70, 45]).sweep());
    println!("swap-offset, test: {cuts:?} cuts");
}

#[test]
fn swap_offset_survives_every_cut_of_a_permanent_upgrade() {
    let cuts = OFFSETS.map(|shape| Story::new(shape, SwapType::Permanent, [33, 100]).sweep());
    println!("swap-offset, permanent: {cuts:?} cuts");
}

#[test]
fn swap_offset_survives_every_cut_of_a_revert() {
    let cuts = OFFSETS.map(|shape| Story::new(shape, SwapType::Revert, [60, 25]).sweep());
    println!("swap-offset, revert: {cuts:?} cuts");
}

#[test]
fn swap_scratch_survives_every_cut_of_a_test() {
    let cuts = SCRATCHES.map(|shape| Story::new(shape, SwapType::Test, [70, 45]).sweep());
    println!("swap-scratch, test: {cuts:?} cuts");
    let cuts = SCRATCHES.map(|shape| Story::new(shape, SwapType::Test, [100, 95]).sweep());
    println!("swap-scratch, test of large images: {cuts:?} cuts");
}

#[test]
fn swap_scratch_survives_every_cut_of_a_permanent_upgrade() {
    let cuts = SCRATCHES.map(|shape| Story::new(shape, SwapType::Permanent, [33, 100]).sweep());
    println!("swap-scratch, permanent: {cuts:?} cuts");
    let cuts = SCRATCHES.map(|shape| Story::new(shape, SwapType::Permanent, [30, 60]).sweep());
    println!("swap-scratch, permanent, of small images: {cuts:?} cuts");
}

#[test]
fn swap_scratch_survives_every_cut_of_a_revert() {
    let cuts = SCRATCHES.map(|shape| Story::new(shape, SwapType::Revert, [60, 25]).sweep());
    println!("swap-scratch, revert: {cuts:?} cuts");
    let cuts = SCRATCHES.map(|shape| Story::new(shape, SwapType::Revert, [60, 100]).sweep());
    println!("swap-scratch, revert of large images: {cuts:?} cuts");
}

/// The record of a top chunk that shares a sector with the primary trailer has had its use once the
/// chunk is in its place. Its trailer goes first then, after a power cut too: to the original a magic
/// there is a record, whatever else has been erased around it.
#[test]
fn a_record_in_the_scratch_area_is_erased_before_the_area_is_used_again() {
    let mut seen = 0;
    for shape in SCRATCHES {
        let story = Story::new(shape, SwapType::Permanent, [33, 100]);
        let ends = |op: &AreaOp, area| {
            op.area == area && op.offset + op.len == story.start.flash.info(area).unwrap().size
        };
        let erases = |op: &AreaOp, area| op.area == area && op.kind == OpKind::Erase;
        let recorded = |board: &mut Board| {
            board.flash.supply().record(true);
            board.boot().unwrap();
            board.flash.take_log()
        };
        let log = recorded(&mut story.start.clone());
        // The primary trailer's magic, the record of the chunk, the mark of a record that is done with.
        let taken_over = log.windows(4).position(|ops| {
            let [magic, step, mark, erase] = ops else { return false };
            ends(magic, PRIMARY)
                && [magic, step, mark].iter().all(|op| op.kind != OpKind::Erase)
                && (step.area, mark.area) == (PRIMARY, SCRATCH)
                && erases(erase, SCRATCH)
        });
        let Some(magic) = taken_over else { continue };
        for torn in CLASSES {
            let mut board = story.start.clone();
            board.flash.supply().cut_at(magic as u64 + 3, torn);
            assert!(board.boot().is_err());
            board.flash.supply().power_on();
            if board.has_scratch_record() {
                let next = recorded(&mut board).remove(0);
                let place = format!("{shape:?}, {torn:?}: {next:?}");
                assert!(erases(&next, SCRATCH) && ends(&next, SCRATCH), "{place}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

/// The original takes what passes through the scratch area for a record, if there is a magic at the
/// right place.
#[test]
fn images_that_contain_the_magic_are_swapped_like_any_other() {
    for scratch in [1, 2] {
        let shape = swap_scratch(8, 512, 8, scratch);
        let magic = magic_bytes(8);
        // At the end of every sector, with a swap of the same kind before it.
        let body = |major: u8| {
            move |at: u32| match 512 - at % 512 {
                end @ 1..=16 => magic[16 - end as usize],
                40 => 2,
                24 | 32 => 1,
                _ => (at.wrapping_mul(31 + 2 * u32::from(major)) >> 3) as u8,
            }
        };
        let of = |major, size| image_of(major, size, &[], body(major));
        for swap in [SwapType::Test, SwapType::Permanent, SwapType::Revert] {
            let images = [of(1, 1500), of(2, 2600), of(3, 3700)];
            let cuts = Story::of(shape, swap, images).sweep();
            println!("swap-scratch with magics, {swap:?}: {cuts} cuts");
        }
    }
}

#[test]
fn overwrite_survives_every_cut() {
    for swap in [SwapType::Test, SwapType::Permanent] {
        let sweep = |shape| Story::new(shape, swap, [100, 70]).sweep();
        let cuts: Vec<_> = overwrites().map(sweep).collect();
        println!("overwrite, {swap:?}: {cuts:?} cuts");
    }
}

/// Encrypted images come out of every cut as they went in: the old one is in the secondary slot
/// just as it was uploaded, whatever the trailer keeps of the keys.
#[test]
fn encrypted_images_survive_every_cut() {
    let format = WrapFormat::new(TlvType::ENCKW, KeyLength::Aes128).unwrap();
    let kept = [TrailerKeys::Plain(KeyLength::Aes128), TrailerKeys::Wrapped(format)];
    let mut stories = Vec::new();
    for (at, shape) in swapping_shapes().enumerate().filter(|(_, shape)| has_room(shape)) {
        let swaps = [SwapType::Test, SwapType::Permanent, SwapType::Revert];
        let parts = [[70, 45], [33, 100], [60, 60]];
        for (swap, parts) in swaps.into_iter().zip(parts) {
            stories.push(Story::encrypted(shape, swap, parts, kept[at % 2]));
        }
    }
    for shape in overwrites() {
        stories.push(Story::encrypted(shape, SwapType::Permanent, [100, 70], kept[0]));
    }
    let cuts: Vec<_> = stories.iter().map(Story::sweep).collect();
    println!("encrypted: {} stories, {} cuts", cuts.len(), cuts.iter().sum::<usize>());
}

/// Whether the trailer has room for keys.
pub fn has_room(shape: &Shape) -> bool {
    shape.slot_size() > 3 * 1024
}

/// The request is erased when the swap has been recorded. Whatever a cut leaves of it, it is not
/// read again: a permanent upgrade does not become a test, nor a revert an upgrade.
#[test]
fn a_half_erased_request_keeps_its_kind() {
    for shape in swapping_shapes() {
        for swap in [SwapType::Permanent, SwapType::Revert] {
            let story = Story::new(shape, swap, [33, 60]);
            let mut recording = story.start.clone();
            recording.flash.supply().record(true);
            recording.boot().unwrap();
            let log = recording.flash.take_log();
            let size = recording.flash.info(SECONDARY).unwrap().size;
            let last_sector = recording.flash.sector_at(SECONDARY, size - 1).unwrap().offset;
            let erased = log.iter().rposition(|op| {
                op.kind == OpKind::Erase && op.area == SECONDARY && op.offset == last_sector
            });
            let n = erased.expect("the request is erased") as u64;
            for seed in 0..400 {
                let mut board = story.start.clone();
                board.flash.supply().cut_at(n, Torn::Bits(seed));
                assert!(board.boot().is_err());
                board.flash.supply().power_on();
                story.check(board, false, &|| format!("{shape:?}, {swap:?}, seed {seed}"));
            }
        }
    }
}

/// A request or a confirmation that is cut is either made or not, and every boot sees the same.
#[test]
fn a_cut_request_or_confirmation_is_decided_once() {
    for shape in swapping_shapes() {
        let test = Story::new(shape, SwapType::Test, [70, 45]);
        let revert = Story::new(shape, SwapType::Revert, [70, 45]);
        for seed in 0..64 {
            for torn in CLASSES.map(|torn| reseeded(torn, seed)) {
                for (swap, n) in [(SwapType::Test, 0), (SwapType::Test, 1)]
                    .into_iter()
                    .chain([0, 1, 2].map(|n| (SwapType::Permanent, n)))
                {
                    let place = || format!("{shape:?}, {swap:?} requested, write {n} {torn:?}");
                    let mut board = test.start.clone();
                    board.upload(&test.new.uploaded).unwrap();
                    board.flash.supply().cut_at(n, torn);
                    assert!(board.request(swap).is_err(), "{}", place());
                    board.flash.supply().power_on();
                    let first = board.boot().unwrap_or_else(|e| panic!("{}: {e}", place()));
                    match (first.swap, n) {
                        (SwapType::None, 0) => assert_settled(&mut board, 2, &place),
                        (SwapType::Test, _) => assert_settled(&mut board, 2, &place),
                        (SwapType::Permanent, 1..) => assert_settled(&mut board, 3, &place),
                        (found, _) => panic!("{}: {found:?}", place()),
                    }
                }
                let place = || format!("{shape:?}, confirmation {torn:?}");
                let mut board = revert.start.clone();
                board.flash.supply().cut_at(0, torn);
                assert!(board.confirm().is_err());
                board.flash.supply().power_on();
                let first = board.boot().unwrap_or_else(|error| panic!("{}: {error}", place()));
                let major = if first.swap == SwapType::Revert { 2 } else { 3 };
                assert_settled(&mut board, major, &place);
            }
        }
    }
}
