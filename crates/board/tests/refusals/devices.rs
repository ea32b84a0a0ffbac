use super::*;

#[test]
fn erased_values_other_than_all_ones_or_zeros() {
    assert_eq!(
        refusal(&[("base = 0x08000000", "base = 0x08000000\nerased = 0xf0")]),
        "flash[0].erased: flash erases to 0xff or 0x00, not 0xf0"
    );
}

#[test]
fn write_sizes_that_are_no_power_of_two() {
    assert_eq!(
        refusal(&[(
            "write_size = 8\nsectors = [{ size = \"4K\"",
            "write_size = 12\nsectors = [{ size = \"12K\""
        )]),
        "flash[0].write_size: 12 is no power of two"
    );
}

#[test]
fn sectors_that_no_whole_writes_fill() {
    assert_eq!(
        refusal(&[("8\nsectors = [{ size = \"4K\"", "8\nsectors = [{ size = 4100")]),
        "flash[0].sectors[0]: a sector of 4100 bytes is no multiple of the 8-byte write \
             size: 4 over"
    );
    assert_eq!(
        refusal(&[("8\nsectors = [{ size = \"4K\"", "8\nsectors = [{ size = 0")]),
        "flash[0].sectors[0]: 128 sectors of 0 bytes are nothing"
    );
}

#[test]
fn devices_past_the_address_space() {
    assert_eq!(
        refusal(&[("base = 0x08000000", "base = 0xffff_0000")]),
        "flash[0].sectors: flash \"internal\" of 0x80000 bytes ends at 0x100070000, past \
             4 GiB"
    );
}

#[test]
fn jedec_ids_that_are_none() {
    assert_eq!(
        refusal(&[("write_size = 1\n", "write_size = 1\njedec = [\"ef40\"]\n")]),
        "flash[1].jedec: \"ef40\" is no JEDEC id of six hex digits"
    );
}

#[test]
fn names_given_twice() {
    assert_eq!(
        refusal(&[
            ("name = \"external\"", "name = \"internal\""),
            ("\"external\"\noffset", "\"internal\"\noffset")
        ]),
        "flash[1].name: a second flash device \"internal\""
    );
}
