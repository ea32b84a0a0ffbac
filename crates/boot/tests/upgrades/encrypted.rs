//! Encrypted updates. How they come through power cuts is with the other power cuts.

use crate::board::{
    Board, Firmware, Layout, PRIMARY, Report, SCRATCH, SECONDARY, SWAP_SCRATCH, Shape, content_key,
    image,
};
use crate::power_cuts::swapping_shapes;
use updraft_boot::{AnyStrategy, Event, SwapMove, SwapOffset};
use updraft_flash::AreaId;
use updraft_image::encryption::AesKeyWrap;
use updraft_image::{
    Flags, HeaderError, KeyLength, KeySlot, Refusal, SavedKey, SwapType, TlvType, TrailerKeys,
    UnwrapError, WrapFormat,
};
use updraft_sim::flash::{OpKind, Torn};

const PLAIN: TrailerKeys = TrailerKeys::Plain(KeyLength::Aes128);

fn wrapped() -> TrailerKeys {
    TrailerKeys::Wrapped(WrapFormat::new(TlvType::ENCKW, KeyLength::Aes128).unwrap())
}

fn shape(strategy: AnyStrategy) -> Shape {
    Shape {
        strategy,
        sector: 1024,
        sectors: [8, 9],
        write_size: 8,
        max_align: 8,
        max_sectors: 16,
        erased: 0xff,
        layout: Layout::Even,
    }
}

/// Eight sectors of 1 KiB, swap-move.
fn moving() -> Shape {
    Shape { sectors: [8, 8], ..shape(AnyStrategy::SwapMove(SwapMove)) }
}

/// The same with two sectors of scratch area, swap-scratch.
fn scratched() -> Shape {
    Shape { strategy: SWAP_SCRATCH, layout: Layout::Scratch(2), ..moving() }
}

fn shapes() -> [Shape; 3] {
    [moving(), shape(AnyStrategy::SwapOffset(SwapOffset)), scratched()]
}

/// Whether `needle` lies anywhere in the area.
fn holds(board: &Board, area: AreaId, needle: &[u8]) -> bool {
    board.flash.bytes(area).windows(needle.len()).any(|window| window == needle)
}

/// What of an image nobody may read.
fn secret(firmware: &Firmware) -> Vec<&[u8]> {
    firmware.plain[32..firmware.plain.len() - 80].chunks_exact(32).collect()
}

#[test]
fn plaintext_is_nowhere_but_in_the_primary_slot() {
    for shape in shapes() {
        for keys in [PLAIN, wrapped()] {
            let mut start = Board::decrypting(shape, keys);
            let max = start.max_image_size();
            let [old, new] = [Firmware::encrypted(1, max), Firmware::encrypted(2, max / 2)];
            start.program(&old.plain);
            start.upload(&new.uploaded).unwrap();
            start.request(SwapType::Test).unwrap();
            let scratch = shape.strategy == SWAP_SCRATCH;
            for n in 0.. {
                let mut board = start.clone();
                board.flash.supply().cut_at(n, Torn::Half);
                let ended = board.boot().is_ok();
                for block in secret(&old).into_iter().chain(secret(&new)) {
                    assert!(!holds(&board, SECONDARY, block), "{shape:?}, cut {n}");
                    assert!(!scratch || !holds(&board, SCRATCH, block), "{shape:?}, cut {n}");
                }
                if keys == wrapped() {
                    for key in [1, 2].map(content_key) {
                        let key = key.as_bytes();
                        assert!(!holds(&board, PRIMARY, key), "{shape:?}, cut {n}");
                        assert!(!scratch || !holds(&board, SCRATCH, key), "{shape:?}, cut {n}");
                    }
                }
                if ended {
                    break;
                }
            }
        }
    }
}

/// A torn erase of the primary trailer may leave everything of an older record but what has to be
/// gone; images just as large make it look like that of the swap that is asked for.
#[test]
fn keys_of_an_older_swap_are_not_used() {
    for shape in shapes() {
        let mut board = Board::decrypting(shape, PLAIN);
        let size = board.max_image_size() / 2;
        let [old, new] = [Firmware::encrypted(2, size), Firmware::encrypted(3, size)];
        board.program(&old.plain);
        board.upload(&new.uploaded).unwrap();
        board.request(SwapType::Permanent).unwrap();
        let [primary, _] = board.trailers();
        let start = board.clone();
        // The record of the swap that is asked for, with the keys of other images.
        board.flash.supply().record(true);
        board.boot().unwrap();
        let log = board.flash.take_log();
        let layout = primary.layout();
        let mut stale = start.clone();
        for op in log.iter().filter(|op| op.area == PRIMARY && op.offset >= layout.status()) {
            let field = [KeySlot::Primary, KeySlot::Secondary].map(|slot| layout.key(slot));
            let bytes = match &op.kind {
                OpKind::Write(_) if field.contains(&Some(op.offset)) => {
                    vec![0x77; SavedKey::absent(PLAIN).as_bytes().len()]
                }
                OpKind::Write(bytes) => bytes.clone(),
                OpKind::Erase => continue,
            };
            stale.flash.load(PRIMARY, op.offset, &bytes).unwrap();
            if op.offset == layout.magic_cell() {
                break;
            }
        }
        for n in 0.. {
            let mut board = stale.clone();
            board.flash.supply().cut_at(n, Torn::Skip);
            let ended = board.boot().is_ok();
            board.flash.supply().power_on();
            let boot = board.boot().unwrap_or_else(|error| panic!("{shape:?}, cut {n}: {error}"));
            assert_eq!(boot.header.version.major, 3, "{shape:?}, cut {n}");
            assert!(board.flash.bytes(SECONDARY).starts_with(&old.uploaded), "{shape:?}, cut {n}");
            if ended {
                break;
            }
        }
    }
}

#[test]
fn an_update_for_another_device_is_refused() {
    let mut board = Board::decrypting(moving(), PLAIN);
    let other = AesKeyWrap::from_slice(&[0x0d; 16]).unwrap();
    board.program(&Firmware::encrypted(1, 2000).plain);
    board.upload(&Firmware::wrapped_by(&other, 2, 2000).uploaded).unwrap();
    board.request(SwapType::Test).unwrap();
    let (boot, events) = board.boot_reporting();
    assert_eq!(boot.unwrap().header.version.major, 1);
    let refused = Refusal::ContentKey(UnwrapError::Tag);
    assert_eq!(events, [Event::SecondaryRefused(refused)]);
    assert!(board.flash.bytes(SECONDARY).iter().all(|byte| *byte == 0xff));
}

/// It would have to be copied to the secondary slot as it is, for everybody to read.
#[test]
fn an_image_that_cannot_be_encrypted_again_stays() {
    let mut board = Board::decrypting(moving(), PLAIN);
    let other = AesKeyWrap::from_slice(&[0x0d; 16]).unwrap();
    let running = Firmware::wrapped_by(&other, 1, 2000);
    board.program(&running.plain);
    board.upload(&Firmware::encrypted(2, 2000).uploaded).unwrap();
    board.request(SwapType::Test).unwrap();
    let (boot, events) = board.boot_reporting();
    assert_eq!(boot.unwrap().header.version.major, 1);
    let unwrap = Refusal::ContentKey(UnwrapError::Tag);
    assert_eq!(events, [Event::CannotEncrypt(unwrap)]);
    let (boot, events) = board.boot_reporting();
    assert!(boot.is_ok() && events.is_empty(), "the request is cleared: {events:?}");
}

#[test]
fn an_encrypted_image_replaces_a_plain_one_and_the_reverse() {
    for shape in swapping_shapes().filter(|shape| shape.slot_size() > 4096) {
        let [plain, encrypted] = [Firmware::plain(1, 700), Firmware::encrypted(2, 900)];
        for [old, new] in [[&plain, &encrypted], [&encrypted, &plain]] {
            let mut board = Board::decrypting(shape, wrapped());
            board.program(&old.plain);
            board.upload(&new.uploaded).unwrap();
            board.request(SwapType::Test).unwrap();
            board.boot().unwrap();
            assert!(board.flash.bytes(PRIMARY).starts_with(&new.plain), "{shape:?}");
            assert!(board.flash.bytes(SECONDARY).starts_with(&old.uploaded), "{shape:?}");
            board.boot().unwrap();
            assert!(board.flash.bytes(PRIMARY).starts_with(&old.plain), "{shape:?}");
        }
    }
}

/// Without room for its keys in the trailer, a swap could not be resumed.
#[test]
fn a_swap_needs_room_for_keys() {
    let mut board = Board::configured(moving(), |config| {
        config.rules.supported = Flags::ENCRYPTED_AES128;
    });
    board.program(&image(1, 2000));
    board.upload(&Firmware::encrypted(2, 2000).uploaded).unwrap();
    board.request(SwapType::Test).unwrap();
    let (boot, events) = board.boot_reporting();
    assert_eq!(boot.unwrap().header.version.major, 1);
    let [Report::SecondaryRefused(Refusal::Header(HeaderError::Flags { .. }))] = &events[..] else {
        panic!("{events:?}");
    };
}
