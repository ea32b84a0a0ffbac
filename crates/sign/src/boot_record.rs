//! The boot record: one software component of a PSA attestation token, in CBOR.
//!
//! ```text
//! map(5) 1: type  4: version  5: signer id  6: hash name  2: hash
//! ```
//! The hash is zero in the image, which it cannot contain; the bootloader puts it in, which is why
//! it comes last. Source: Arm's PSA Attestation API 1.0, software components.

use updraft_image::{Digest, HashKind, Version};

const TEXT: u8 = 0x60;
const BYTES: u8 = 0x40;

/// The record of an image called `sw_type` in attestation tokens. `signer` is the hash of the
/// signing key; zeros if there is none.
pub fn boot_record(
    sw_type: &str,
    version: Version,
    hash: HashKind,
    signer: Option<&Digest>,
) -> Vec<u8> {
    let Version { major, minor, revision, .. } = version;
    let name = hash.tlv().name().unwrap_or_default();
    let mut out = vec![0xa5];
    let mut entry = |key: u8, major_type: u8, bytes: &[u8]| {
        out.push(key);
        match bytes.len() as u8 {
            len @ 0..24 => out.push(major_type | len),
            len => out.extend([major_type | 24, len]),
        }
        out.extend_from_slice(bytes);
    };
    entry(1, TEXT, sw_type.as_bytes());
    entry(4, TEXT, format!("{major}.{minor}.{revision}").as_bytes());
    entry(5, BYTES, signer.map_or(&[0; 32], |signer| signer.as_bytes()));
    entry(6, TEXT, name.as_bytes());
    entry(2, BYTES, &[0; 64][..hash.size()]);
    out
}
