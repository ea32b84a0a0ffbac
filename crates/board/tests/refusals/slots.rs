use super::*;

#[test]
fn writes_wider_than_the_trailer_fields_are_apart() {
    assert_eq!(
        refusal(&[("write_size = 1\n", "write_size = 16\n")]),
        "boot.max_align: \"second\" is written 16 bytes at a time, more than the 8 that \
             trailer fields are apart"
    );
}

#[test]
fn more_sectors_than_the_swap_status_has_records_for() {
    let problems = refusals(&[("max_sectors = 64", "max_sectors = 31")]);
    assert_eq!(
        problems[0],
        "boot.max_sectors: \"first\" has 32 sectors (32 × 4096), 1 more than the 31 that \
             the swap status has records for"
    );
    assert_eq!(problems.len(), 2, "one for each slot");
}

#[test]
fn slots_too_small_for_their_trailer() {
    let problems = refusals(&[("max_sectors = 64", "max_sectors = 6000")]);
    assert_eq!(
        problems[0],
        "area[1].size: the trailer of \"first\" takes 6000 sectors × 3 records × 8 bytes \
             + 48 = 144048 bytes, the area has 131072"
    );
}

#[test]
fn modes_without_the_areas_they_need() {
    assert_eq!(
        refusal(&[("role = \"secondary\"", "role = \"storage\"")]),
        "area: swap-move needs a secondary area for image 0, there is none"
    );
    assert_eq!(
        refusal(&[("swap-move", "swap-scratch"), ("role = \"scratch\"", "role = \"reserved\"")]),
        "area: swap-scratch needs a scratch area, there is none"
    );
}

#[test]
fn images_that_leave_a_number_out() {
    let problems = refusals(&[("role = \"primary\"", "role = \"primary\"\nimage = 1")]);
    assert_eq!(
        problems,
        [
            "area: swap-move needs a primary area for image 0, there is none",
            "area: swap-move needs a secondary area for image 1, there is none"
        ]
    );
}

#[test]
fn code_on_flash_that_is_not_mapped() {
    assert_eq!(
        refusal(&[("swap-move", "direct-xip")]),
        "area[2].flash: direct-xip runs code from \"second\", but flash \"external\" is \
             not mapped: it has no `base`"
    );
}

#[test]
fn swap_move_over_sectors_of_different_size() {
    assert_eq!(
        refusal(&[(
            "1\nsectors = [{ size = \"4K\", count = 128 }]",
            "1\nsectors = [{ size = \"8K\", count = 64 }]"
        )]),
        "area[2].size: swap-move needs sectors of one size in \"first\" and \"second\": \
             32 × 4096 against 16 × 8192"
    );
}

#[test]
fn swap_move_with_a_primary_two_sectors_larger() {
    assert_eq!(
        refusal(&[("size = 0x20000", "size = 0x1e000")]),
        "area[2].size: swap-move needs as many sectors in both slots, or one for the spare \
             sector more: primary = secondary (+ 1); \"first\" and \"second\" have 32 and 30"
    );
    load(&[("size = 0x20000", "size = 0x1f000")]);
}

#[test]
fn swap_offset_with_a_larger_primary() {
    let problem = refusal(&[("swap-move", "swap-offset"), ("size = 0x20000", "size = 0x1f000")]);
    assert!(problem.contains("secondary = primary (+ 1)"), "{problem}");
    let larger = [("swap-move", "swap-offset"), ("size = 0x20000", "size = 0x21000")];
    load(&larger);
}

#[test]
fn overwriting_a_slot_of_another_size() {
    for mode in ["overwrite-only", "swap-scratch"] {
        assert_eq!(
            refusal(&[("swap-move", mode), ("size = 0x20000", "size = 0x1f000")]),
            format!(
                "area[2].size: {mode} needs slots of one size; \"first\" and \"second\" \
                     have 0x20000 and 0x1f000 bytes, 0x1000 apart"
            )
        );
    }
}

#[test]
fn sectors_that_do_not_meet() {
    assert_eq!(
        refusal(&[
            ("swap-move", "overwrite-only"),
            (
                "1\nsectors = [{ size = \"4K\", count = 128 }]",
                "1\nsectors = [{ size = \"24K\", count = 1 }, { size = \"8K\", count = 13 }]"
            ),
            (
                "8\nsectors = [{ size = \"4K\", count = 128 }]",
                "8\nsectors = [{ size = \"16K\", count = 32 }]"
            ),
            ("\"176K\"\nsize = \"8K\"", "\"176K\"\nsize = \"16K\""),
        ]),
        "area[2].size: the sectors of \"first\" and \"second\" do not meet: at 0x0, 2 \
             sectors of the one and 2 of the other make up 0x8000 bytes, one of them has to be 1"
    );
}

#[test]
fn scratch_smaller_than_a_chunk() {
    assert_eq!(
        refusal(&[
            ("swap-move", "swap-scratch"),
            (
                "1\nsectors = [{ size = \"4K\", count = 128 }]",
                "1\nsectors = [{ size = \"16K\", count = 32 }]"
            ),
        ]),
        "area[3].size: \"first\" and \"second\" are exchanged 0x4000 bytes at a time at \
             0x0, \"exchange\" has 0x2000: 0x2000 too few"
    );
}

#[test]
fn scratch_with_room_for_a_part_of_a_chunk() {
    assert_eq!(
        refusal(&[
            ("swap-move", "swap-scratch"),
            (
                "1\nsectors = [{ size = \"4K\", count = 128 }]",
                "1\nsectors = [{ size = \"8K\", count = 64 }]"
            ),
            ("\"176K\"\nsize = \"8K\"", "\"176K\"\nsize = \"12K\""),
        ]),
        "area[3].size: \"exchange\" has room for some of the 2 sectors of 0x2000 bytes in all \
             that \"first\" and \"second\" have at 0x0, next to what comes before: they can only \
             be exchanged together"
    );
}

#[test]
fn scratch_with_much_narrower_writes_than_the_primary_slot() {
    assert_eq!(
        refusal(&[
            ("swap-move", "swap-scratch"),
            ("\"internal\"\noffset = \"176K\"", "\"external\"\noffset = \"176K\""),
        ]),
        "area[3].flash: status records would be 8 bytes apart as on \"first\", but \
             \"exchange\" has room for records of 1 bytes"
    );
}

#[test]
fn scratch_with_wider_writes_than_the_primary_slot() {
    assert_eq!(
        refusal(&[
            ("swap-move", "swap-scratch"),
            ("write_size = 1\n", "write_size = 8\n"),
            (
                "write_size = 8\nsectors = [{ size = \"4K\", count = 128 }]\n\n[[flash]]",
                "write_size = 4\nsectors = [{ size = \"4K\", count = 128 }]\n\n[[flash]]"
            ),
            ("\"internal\"\noffset = \"176K\"", "\"external\"\noffset = \"176K\""),
        ]),
        "area[3].flash: status records would be 8 bytes apart as on \"exchange\", but \
             \"first\" has room for records of 4 bytes"
    );
}
