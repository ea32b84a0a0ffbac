//! From a board to the options that its images are signed with.

use updraft_board::Signing;
use updraft_image::Version;
use updraft_sign::{Padding, SignOptions};

/// How version `version` is signed for the board that `signing` was read from.
pub fn for_board(signing: &Signing, version: Version) -> SignOptions {
    SignOptions {
        pad_header: signing.pad_header,
        align: signing.align,
        max_align: Some(signing.max_align),
        max_sectors: signing.max_sectors,
        mode: signing.mode,
        erased: signing.erased,
        pure: signing.pure,
        // A pure signature fixes the hash by itself.
        hash: (!signing.pure).then_some(signing.hash),
        vendor_id: signing.ids.and_then(|ids| ids.vendor),
        class_id: signing.ids.and_then(|ids| ids.class),
        max_image: Some(signing.max_image),
        padding: match (signing.pad, signing.confirm) {
            (_, true) => Padding::Confirmed,
            (true, false) => Padding::Pending,
            (false, false) => Padding::None,
        },
        ..SignOptions::new(version, signing.header_size, signing.slot_size)
    }
}
