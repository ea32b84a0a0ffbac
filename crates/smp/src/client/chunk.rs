//! Upload requests: how many image bytes fit a message, and the message itself.
//!
//! ```text
//! every chunk  8 header, 1 map, 4 + o `off`, 5 + d `data`, the bytes
//! first chunk  also 6 + i `image`, 4 + l `len`, 38 `sha`, 9 `upgrade`, as far as given
//! ```
//! o, i and l are the 1 to 5 bytes of a CBOR integer, d the 1 to 3 bytes of a byte string's head.

use super::UploadOptions;
use super::request::{BufferTooSmall, encode};
use crate::{Header, Op, group, image};

/// Largest payload that the header's length field can say.
const PAYLOAD_MAX: usize = u16::MAX as usize;

/// Bytes of an unsigned integer in CBOR.
pub(super) const fn uint_len(value: u32) -> usize {
    match value {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// Bytes of an upload request without the byte string's head and content.
fn overhead(options: &UploadOptions, off: u32, len: u32) -> usize {
    let every = Header::SIZE + 1 + 4 + uint_len(off) + 5;
    if off > 0 {
        return every;
    }
    every
        + options.image.map_or(0, |image| 6 + uint_len(image))
        + 4
        + uint_len(len)
        + options.sha256.map_or(0, |_| 4 + 2 + 32)
        + if options.upgrade { 8 + 1 } else { 0 }
}

/// Bytes of image data that a request at `off` of `len` can carry.
pub(super) fn capacity(options: &UploadOptions, off: u32, len: u32) -> usize {
    let limit = options.limits.frame.min(Header::SIZE + PAYLOAD_MAX);
    longest_content(limit.saturating_sub(overhead(options, off, len)))
}

/// Bytes of the longest byte string whose head and content fit `room`.
pub(super) fn longest_content(room: usize) -> usize {
    // The head grows with the content; the longest content over all heads wins.
    [(1, 23), (2, 0xff), (3, 0xffff)]
        .into_iter()
        .map(|(head, most)| room.saturating_sub(head).min(most))
        .max()
        .unwrap_or(0)
}

/// Builds the upload request for `data` at `off` of `len` in `buffer`; returns its length.
pub(super) fn write(
    options: &UploadOptions,
    sequence: u8,
    (off, len): (u32, u32),
    data: &[u8],
    buffer: &mut [u8],
) -> Result<usize, BufferTooSmall> {
    let command = (group::IMAGE, image::UPLOAD);
    let header = Header::request(options.version, Op::Write, command.0, command.1, sequence);
    encode(buffer, header, |c| {
        if off > 0 {
            return c.map(2)?.str("off")?.u32(off)?.str("data")?.bytes(data)?.ok();
        }
        let optional = [options.image.is_some(), options.sha256.is_some(), options.upgrade];
        c.map(3 + optional.into_iter().map(u64::from).sum::<u64>())?;
        if let Some(image) = options.image {
            c.str("image")?.u32(image)?;
        }
        c.str("len")?.u32(len)?.str("off")?.u32(0)?;
        if let Some(sha256) = &options.sha256 {
            c.str("sha")?.bytes(sha256)?;
        }
        if options.upgrade {
            c.str("upgrade")?.bool(true)?;
        }
        c.str("data")?.bytes(data)?.ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Limits;

    #[test]
    fn a_full_chunk_fills_the_frame_to_the_byte() {
        let mut buffer = [0; 70_000];
        let data = [0xa5; 70_000];
        for frame in 100..1500_usize {
            for (image, sha256, upgrade) in
                [(None, None, false), (Some(1), Some([7; 32]), true), (None, Some([7; 32]), false)]
            {
                let limits = Limits { frame, window: 1 };
                let options =
                    UploadOptions { image, sha256, upgrade, ..UploadOptions::new(limits) };
                for off in [0, 5, 100, 40_000, 65_536] {
                    let len = 300_000;
                    let room = capacity(&options, off, len);
                    let mut message =
                        |n| write(&options, 0, (off, len), &data[..n], &mut buffer).expect("fits");
                    assert!(message(room) <= frame);
                    assert!(message(room + 1) > frame, "frame {frame} off {off} room {room}");
                }
            }
        }
    }

    #[test]
    fn the_overhead_past_64_kib_is_26_bytes() {
        let options = UploadOptions::new(Limits { frame: 1024, window: 1 });
        assert_eq!(capacity(&options, 65_536, 300_000), 1024 - 26);
    }
}
