//! Where the fields of a slot's trailer lie: numbers checked against bootloaders in the field.

use updraft_image::{
    Flag, Magic, SwapInfo, SwapType, TrailerLayout, TrailerState, UpgradeMode, align_down,
    align_up, magic_bytes,
};

const SLOT: u32 = 0x2_0000;

/// Distances from the end of the slot: magic, image_ok, copy_done, swap_info, swap_size.
fn from_end(mode: UpgradeMode, max_align: u32) -> [u32; 5] {
    let layout = TrailerLayout::new(SLOT, mode, 128, 8, max_align).unwrap();
    [layout.magic(), layout.image_ok(), layout.copy_done(), layout.swap_info(), layout.swap_size()]
        .map(|offset| SLOT - offset)
}

#[test]
fn fields_are_an_alignment_apart_below_the_magic() {
    assert_eq!(from_end(UpgradeMode::SwapMove, 8), [16, 24, 32, 40, 48]);
    assert_eq!(from_end(UpgradeMode::SwapMove, 16), [16, 32, 48, 64, 80]);
    assert_eq!(from_end(UpgradeMode::SwapMove, 32), [16, 64, 96, 128, 160]);
}

#[test]
fn swap_offset_keeps_the_tlv_sizes_above_the_swap_size() {
    assert_eq!(from_end(UpgradeMode::SwapOffset, 8), [16, 24, 32, 40, 56]);
    let layout = TrailerLayout::new(SLOT, UpgradeMode::SwapOffset, 128, 8, 8).unwrap();
    assert_eq!(layout.tlv_sizes(), Some(SLOT - 48));
    let layout = TrailerLayout::new(SLOT, UpgradeMode::SwapMove, 128, 8, 8).unwrap();
    assert_eq!(layout.tlv_sizes(), None);
}

#[test]
fn the_trailer_is_status_records_and_fields() {
    let size = |mode, sectors, write, align| {
        TrailerLayout::new(SLOT, mode, sectors, write, align).unwrap().size()
    };
    for mode in [
        UpgradeMode::SwapMove,
        UpgradeMode::SwapScratch,
        UpgradeMode::OverwriteOnly,
        UpgradeMode::DirectXip,
        UpgradeMode::RamLoad,
    ] {
        assert_eq!(size(mode, 128, 8, 8), 3072 + 48, "{mode}");
    }
    assert_eq!(size(UpgradeMode::SwapOffset, 128, 8, 8), 2048 + 56);
    assert_eq!(size(UpgradeMode::SingleSlot, 128, 8, 8), 48);
    assert_eq!(size(UpgradeMode::FirmwareLoader, 128, 8, 8), 48);
    // The scratch area holds the records of one round.
    assert_eq!(size(UpgradeMode::SwapScratch, 1, 8, 8), 24 + 48);
    assert_eq!(size(UpgradeMode::SwapMove, 128, 4, 8), 1536 + 48);
    assert_eq!(size(UpgradeMode::SwapMove, 32, 16, 16), 1536 + 80);
    assert_eq!(size(UpgradeMode::SwapMove, 32, 32, 32), 3072 + 160);
}

#[test]
fn the_magic_is_written_as_one_aligned_cell() {
    for (max_align, cell) in [(8, 16), (16, 16), (32, 32)] {
        let layout = TrailerLayout::new(SLOT, UpgradeMode::SwapMove, 128, 8, max_align).unwrap();
        assert_eq!(SLOT - layout.magic_cell(), cell);
        assert_eq!(layout.magic_cell() % max_align, 0);
        assert!(layout.image_ok() + max_align <= layout.magic_cell());
    }
}

#[test]
fn impossible_trailers_are_refused() {
    let new = |slot, sectors, write, align| {
        TrailerLayout::new(slot, UpgradeMode::SwapMove, sectors, write, align)
    };
    assert_eq!(new(3119, 128, 8, 8), None);
    assert!(new(3120, 128, 8, 8).is_some());
    assert_eq!(new(SLOT, 128, 8, 64), None);
    assert_eq!(new(SLOT, 128, 8, 4), None);
    assert_eq!(new(SLOT, u32::MAX, 8, 8), None);
    assert_eq!(new(u32::MAX, u32::MAX / 3, 1, 32), None);
}

#[test]
fn every_field_of_every_possible_trailer_lies_between_status_and_magic() {
    for mode in UpgradeMode::ALL {
        for max_align in TrailerLayout::MAX_ALIGNS {
            for slot in 48..600 {
                let Some(layout) = TrailerLayout::new(slot, mode, 2, 8, max_align) else {
                    continue;
                };
                let fields = [
                    layout.swap_size(),
                    layout.tlv_sizes().unwrap_or(layout.swap_info() - max_align),
                    layout.swap_info(),
                    layout.copy_done(),
                    layout.image_ok(),
                ];
                let apart = fields.windows(2).all(|pair| pair[0] + max_align >= pair[1]);
                assert!(apart, "{mode} {max_align} {slot}");
                assert!(layout.image_ok() + max_align <= layout.magic_cell());
                // A slot end off the alignment costs the fields up to one alignment of the
                // records, as in the original.
                assert!(layout.swap_size() + max_align > layout.status());
                if slot % max_align == 0 {
                    assert!(layout.swap_size() >= layout.status());
                }
            }
        }
    }
}

#[test]
fn fields_decode_as_unset_set_or_bad() {
    assert_eq!(
        magic_bytes(8),
        [
            0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6,
            0x79, 0x80
        ]
    );
    assert_eq!(magic_bytes(16)[..4], [0x10, 0, 0x2d, 0xe1]);
    assert_eq!(magic_bytes(32)[..4], [0x20, 0, 0x2d, 0xe1]);
    assert_eq!(Magic::decode(&magic_bytes(8), 8, 0xff), Magic::Good);
    assert_eq!(Magic::decode(&magic_bytes(16), 8, 0xff), Magic::Bad);
    assert_eq!(Magic::decode(&[0xff; 16], 8, 0xff), Magic::Unset);
    assert_eq!(Magic::decode(&[0; 16], 8, 0xff), Magic::Bad);
    assert_eq!(Magic::decode(&[0; 16], 8, 0), Magic::Unset);
    assert_eq!(
        [1, 0xff, 0, 3].map(|byte| Flag::decode(byte, 0xff)),
        [Flag::Set, Flag::Unset, Flag::Bad, Flag::Bad]
    );
    assert_eq!(Flag::decode(0, 0), Flag::Unset);
    let none = SwapInfo { swap_type: SwapType::None, image: 0 };
    for byte in [0xff, 0x15, 0x00, 0x0f] {
        assert_eq!(SwapInfo::decode(byte, 0xff), none, "{byte:#x}");
    }
    let second = SwapInfo { swap_type: SwapType::Permanent, image: 1 };
    assert_eq!(second.encode(), 0x13);
    assert_eq!(SwapInfo::decode(0x13, 0xff), second);
}

#[test]
fn the_two_trailers_decide_the_swap_type() {
    let state = |magic, image_ok, copy_done| TrailerState {
        magic,
        image_ok,
        copy_done,
        ..TrailerState::UNSET
    };
    let magics = [Magic::Good, Magic::Bad, Magic::Unset];
    let flags = [Flag::Set, Flag::Bad, Flag::Unset];
    let states = || {
        magics.into_iter().flat_map(move |magic| {
            flags
                .into_iter()
                .flat_map(move |ok| flags.into_iter().map(move |done| (magic, ok, done)))
        })
    };
    let modes = [UpgradeMode::SwapMove, UpgradeMode::SwapScratch, UpgradeMode::SwapOffset];
    let cases = modes.into_iter().flat_map(|mode| states().map(move |state| (mode, state)));
    for (mode, (magic, ok, done)) in cases {
        let primary = state(magic, ok, done);
        for (magic, ok, done) in states() {
            let secondary = state(magic, ok, done);
            let offset = mode == UpgradeMode::SwapOffset;
            let expected = if magic == Magic::Good && ok == Flag::Unset {
                // Only swap-offset asks for a revert in the secondary trailer.
                let revert = offset && done == Flag::Set;
                if revert { SwapType::Revert } else { SwapType::Test }
            } else if magic == Magic::Good && ok == Flag::Set {
                SwapType::Permanent
            } else if primary.magic == Magic::Good
                && primary.image_ok == Flag::Unset
                && primary.copy_done == Flag::Set
            {
                SwapType::Revert
            } else {
                SwapType::None
            };
            assert_eq!(TrailerState::swap_type(mode, &primary, &secondary), expected);
        }
    }
}

#[test]
fn alignment_rounds_and_does_not_overflow() {
    assert_eq!(align_down(4095, 4096), 0);
    assert_eq!(align_down(4096, 4096), 4096);
    assert_eq!(align_up(4097, 4096), Some(8192));
    assert_eq!(align_up(u32::MAX, 2), None);
    assert_eq!(align_up(5, 0), Some(5));
}
