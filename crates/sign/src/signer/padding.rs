//! What follows an image up to the end of its slot, in a file and for a programmer.

use updraft_image::{Flag, TrailerLayout, UpgradeMode, magic_bytes};

use super::SignError;
use crate::hex::Segment;
use crate::options::{Endian, Padding, SignOptions};

/// What a programmer writes of an unpadded `image` that lies at `address`: the image, and of its
/// padding only what is not erased flash, the image_ok flag and the magic.
pub fn segments(
    image: Vec<u8>,
    options: &SignOptions,
    address: u32,
) -> Result<Vec<Segment>, SignError> {
    let padded = options.padding != Padding::None;
    let len = if padded { options.slot_size.into() } else { image.len() as u64 };
    if u64::from(address) + len > 1 << 32 {
        return Err(SignError::Address { address, len });
    }
    let mut segments = vec![Segment { address, bytes: image }];
    if padded {
        let trailer = trailer(options)?;
        if writes_image_ok(options) {
            let mut bytes = vec![options.erased; trailer.max_align() as usize];
            if options.padding == Padding::Confirmed {
                bytes[0] = Flag::SET;
            }
            segments.push(Segment { address: address + trailer.image_ok(), bytes });
        }
        let bytes = magic(options).to_vec();
        segments.push(Segment { address: address + trailer.magic(), bytes });
    }
    Ok(segments)
}

/// Nothing reads image_ok where nothing is ever swapped back.
fn writes_image_ok(options: &SignOptions) -> bool {
    matches!(options.padding, Padding::Confirmed | Padding::Test)
        && options.mode != UpgradeMode::OverwriteOnly
}

/// What ends the trailer. Its alignment is a number, and stands in the order of the others.
fn magic(options: &SignOptions) -> [u8; 16] {
    let align = options.trailer_align();
    let mut magic = magic_bytes(align);
    if options.endian == Endian::Big && align > 8 {
        magic[..2].reverse();
    }
    magic
}

pub(super) fn too_large(image: usize, options: &SignOptions) -> SignError {
    let (trailer, slot) = (options.trailer_size(), options.slot_size.into());
    SignError::TooLarge { image: image as u64, trailer, slot }
}

pub(super) fn check_size(len: usize, options: &SignOptions) -> Result<(), SignError> {
    let image = len as u64;
    if image + options.trailer_size() > options.slot_size.into() {
        return Err(too_large(len, options));
    }
    match options.max_image.map(u64::from) {
        Some(max) if image > max => Err(SignError::TooLargeForMode { image, max }),
        _ => Ok(()),
    }
}

/// Fills an `image` that was made with `options` but without padding up to the slot, and writes
/// the trailer, if the options say so.
pub fn pad(image: &mut Vec<u8>, options: &SignOptions) -> Result<(), SignError> {
    if options.padding == Padding::None {
        return Ok(());
    }
    check_size(image.len(), options)?;
    let trailer = trailer(options)?;
    image.resize(trailer.slot_size() as usize, options.erased);
    image[trailer.magic() as usize..].copy_from_slice(&magic(options));
    if writes_image_ok(options) && options.padding == Padding::Confirmed {
        image[trailer.image_ok() as usize] = Flag::SET;
    }
    Ok(())
}

/// Where the bootloader looks for what padding writes.
fn trailer(options: &SignOptions) -> Result<TrailerLayout, SignError> {
    let (slot, align, max_align) = (options.slot_size, options.align, options.trailer_align());
    if align > max_align {
        return Err(SignError::Align { align, max_align });
    }
    if !slot.is_multiple_of(max_align) {
        return Err(SignError::SlotAlign { slot, max_align });
    }
    // Fields that padding writes are where they are in every mode; overwrite-only has the fewest.
    TrailerLayout::new(slot, UpgradeMode::OverwriteOnly, 0, 1, max_align)
        .ok_or(SignError::Align { align, max_align })
}
