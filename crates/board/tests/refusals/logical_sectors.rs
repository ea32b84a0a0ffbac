use super::*;

fn logical(size: &str) -> String {
    format!("max_sectors = 64\nlogical_sector = {size}")
}

#[test]
fn slots_are_counted_in_them() {
    let board = load(&[("max_sectors = 64", &logical("\"8K\""))]);
    // 16 logical sectors of 8 KiB, one to move into and one for the trailer.
    assert_eq!(board.capacity(0).max_image, 14 * 8192);
    let problems = refusals(&[("max_sectors = 64", "max_sectors = 15\nlogical_sector = 8192")]);
    assert_eq!(
        problems[0],
        "boot.max_sectors: \"first\" has 16 sectors (16 × 8192), 1 more than the 15 that the \
             swap status has records for"
    );
}

#[test]
fn sizes_that_are_none() {
    assert_eq!(
        refusal(&[("max_sectors = 64", &logical("12288"))]),
        "boot.logical_sector: 12288 is no power of two"
    );
}

#[test]
fn boundaries_that_are_inside_a_sector() {
    let problems = refusals(&[("max_sectors = 64", &logical("2048"))]);
    assert_eq!(
        problems[0],
        "boot.logical_sector: \"first\" cannot be exchanged 2048 bytes at a time: 0x800 lies \
             inside the 4096-byte sector from 0x0 to 0x1000"
    );
}

#[test]
fn slots_that_are_not_whole_ones() {
    let problems =
        refusals(&[("size = \"128K\"", "size = \"124K\""), ("max_sectors = 64", &logical("8192"))]);
    assert_eq!(
        problems[0],
        "boot.logical_sector: \"first\" of 0x1f000 bytes is not whole logical sectors of \
             8192: 4096 over"
    );
}

#[test]
fn modes_that_exchange_nothing_have_none() {
    assert_eq!(
        refusal(&[("swap-move", "overwrite-only"), ("max_sectors = 64", &logical("8192"))]),
        "boot.logical_sector: overwrite-only exchanges nothing: leave it out"
    );
}
