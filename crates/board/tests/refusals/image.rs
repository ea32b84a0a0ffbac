use super::*;

#[test]
fn headers_smaller_than_the_header() {
    let problems = refusals(&[("header_size = 0x200", "header_size = 16")]);
    assert_eq!(problems[0], "image.header_size: 16 bytes are 16 too few for the header of 32");
}

#[test]
fn headers_that_put_the_vector_table_off_its_alignment() {
    assert_eq!(
        refusal(&[("header_size = 0x200", "header_size = 0x20")]),
        "image.header_size: the body of image 0 begins at 0x800c020 (0x800c000 + 0x20), \
             0x20 past a multiple of the 0x100 that its vector table needs"
    );
}

#[test]
fn headers_that_no_word_follows() {
    let problems = refusals(&[("header_size = 0x200", "header_size = 0x201")]);
    assert_eq!(problems[0], "image.header_size: 513 is no multiple of 4: 1 over");
}

#[test]
fn headers_too_large_for_their_field() {
    assert_eq!(
        refusal(&[("header_size = 0x200", "header_size = 0x10000")]),
        "image.header_size: 0x10000 does not fit the header's 16-bit field"
    );
}

#[test]
fn headers_that_leave_nothing_of_the_slot() {
    let small = [("size = \"128K\"", "size = \"12K\""), ("size = 0x20000", "size = 0x2000")];
    let problem = refusal(&[small[0], small[1], ("header_size = 0x200", "header_size = 0x1000")]);
    assert_eq!(
        problem,
        "image.header_size: the header of 4096 bytes leaves nothing of image 0's largest \
             size, 4 KiB: min(3 − 1 − 1, 2 − 1) sectors × 4096 = 4096; 1 spare in the \
             primary slot, trailer of 1584 B in 1"
    );
}

#[test]
fn confirmed_images_without_a_trailer() {
    assert_eq!(
        refusal(&[("header_size = 0x200", "confirm = true")]),
        "image.confirm: only padded images have a trailer to confirm: add `pad = true`"
    );
}
