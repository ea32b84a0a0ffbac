use super::*;

#[test]
fn areas_that_overlap() {
    assert_eq!(
        refusal(&[("offset = \"48K\"", "offset = \"44K\"")]),
        "area[1].offset: \"first\" (0xb000 to 0x2b000) and \"loader\" (0x0 to 0xc000) \
             overlap by 0x1000 bytes on flash \"internal\""
    );
}

#[test]
fn areas_past_the_end_of_their_device() {
    assert_eq!(
        refusal(&[("size = \"8K\"", "size = \"512K\"")]),
        "area[3].size: \"exchange\" ends at 0xac000 (0x2c000 + 0x80000), 0x2c000 bytes \
             past the end of flash \"internal\" at 0x80000"
    );
}

#[test]
fn areas_that_share_a_sector() {
    assert_eq!(
        refusal(&[("size = \"48K\"", "size = 0xbe00"), ("offset = \"48K\"", "offset = 0xbf00")]),
        "area[1].offset: \"first\" begins at 0xbf00, inside the 4096-byte sector from 0xb000 \
             to 0xc000 that \"loader\" has a part of: erasing the one would erase the other; move \
             \"first\" to 0xc000, or end \"loader\" at 0xb000"
    );
}

#[test]
fn areas_of_no_whole_writes() {
    assert_eq!(
        refusal(&[("size = \"48K\"", "size = 0xbe04")]),
        "area[0].size: \"loader\" ends at 0xbe04, 0x4 bytes into what is written at once: \
             flash \"internal\" writes 8"
    );
}

/// Its part of the first sector is a sector of another size.
#[test]
fn moved_slots_that_begin_inside_a_sector() {
    let offset = [("size = \"48K\"", "size = \"44K\""), ("offset = \"48K\"", "offset = 0xb200")];
    assert_eq!(
        refusal(&offset),
        "area[2].size: swap-move needs sectors of one size in \"first\" and \"second\": 1 × \
             3584 + 31 × 4096 + 1 × 512 against 32 × 4096; \"first\" begins 0x200 bytes into a \
             sector: move it to 0xc000"
    );
}

#[test]
fn empty_areas() {
    assert_eq!(refusal(&[("size = \"8K\"", "size = 0")]), "area[3].size: \"exchange\" is empty");
}

#[test]
fn areas_on_a_device_that_is_not_there() {
    assert_eq!(
        refusal(&[("flash = \"external\"", "flash = \"extern\"")]),
        "area[2].flash: there is no flash \"extern\"; there are: internal, external"
    );
}

#[test]
fn names_and_roles_given_twice() {
    assert_eq!(
        refusal(&[("name = \"second\"", "name = \"first\"")]),
        "area[2].name: a second area \"first\""
    );
    assert_eq!(
        refusal(&[("role = \"scratch\"", "role = \"primary\"")]),
        "area[3].role: \"exchange\" is a second primary area beside \"first\""
    );
}

#[test]
fn image_numbers_where_they_make_no_sense() {
    assert_eq!(
        refusal(&[("role = \"scratch\"", "role = \"scratch\"\nimage = 1")]),
        "area[3].image: a scratch area belongs to no image"
    );
    assert_eq!(
        refusal(&[("role = \"scratch\"", "role = \"primary\"\nimage = 7")]),
        "area[3].image: image 7 is above 6"
    );
}
