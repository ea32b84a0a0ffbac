use super::*;

#[test]
fn a_class_needs_a_vendor() {
    assert_eq!(
        refusal(&[("vendor = \"vendor.example\"\n", "")]),
        "class: the class `test` is a name, and names count within a vendor: none was given"
    );
    assert_eq!(
        refusal(&[("vendor.example", "a\\u001b[2Jb")]),
        "vendor: `a\\u{1b}[2Jb` is neither a UUID nor a name of printable characters"
    );
}

#[test]
fn ram_past_the_address_space() {
    assert_eq!(
        refusal(&[("base = 0x20000000", "base = 0xffff_ffff")]),
        "ram[0]: 0xffffffff + 0x10000 bytes is no region below 4 GiB"
    );
}

#[test]
fn vector_alignment_that_no_chip_has() {
    assert_eq!(
        refusal(&[("vector_align = 0x100", "vector_align = 100")]),
        "core[0].vector_align: 0x64 is no power of two from 4 on"
    );
}
