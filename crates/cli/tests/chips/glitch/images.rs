//! A small application, and what somebody without the key can make of its image.

use updraft_image::{HashKind, Hasher};

/// Bytes of the application, and where in it the vector table ends.
const SIZE: usize = 768;
const ENTRY: usize = 64;
/// Its last instruction but one, from the beginning of the program: a loop that never ends.
pub const END: u32 = SIZE as u32 - 4;
const NO_OPERATION: u16 = 0xbf00;
/// Another instruction that does nothing.
const YIELD: u16 = 0xbf10;
const LOOP: u16 = 0xe7fe;

/// A program that slides to its end from wherever it is entered, linked for `address`.
pub fn slide(address: u32) -> Vec<u8> {
    let stack = 0x2000_2000_u32;
    let entry = address + ENTRY as u32 + 1;
    let words = [stack].into_iter().chain([entry; ENTRY / 4 - 1]);
    let mut program: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    while program.len() < SIZE {
        let instruction = if program.len() < END as usize { NO_OPERATION } else { LOOP };
        program.extend(instruction.to_le_bytes());
    }
    program
}

/// What was done to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tampering {
    /// A byte of the body is another one.
    Body,
    /// The same, and the hash was made to fit.
    BodyAndHash,
    /// It is signed with a key that the bootloader does not know.
    OtherKey,
    /// The same, and said to be signed with the one that it does.
    OtherKeyDisguised,
    /// The signature is gone, and which key it was from.
    NoSignature,
    /// It is signed as it should be, and made for another board.
    OtherBoard,
}

impl Tampering {
    pub const ALL: [Self; 6] = [
        Self::Body,
        Self::BodyAndHash,
        Self::OtherKey,
        Self::OtherKeyDisguised,
        Self::NoSignature,
        Self::OtherBoard,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Body => "a byte of the body changed",
            Self::BodyAndHash => "a byte of the body changed, the hash adapted",
            Self::OtherKey => "signed with an unknown key",
            Self::OtherKeyDisguised => "signed with an unknown key, the key's hash adapted",
            Self::NoSignature => "no signature",
            Self::OtherBoard => "for another board",
        }
    }

    /// The image made of `good`, or of `other`, the same program signed with another key or for
    /// another board.
    pub fn apply(self, good: &[u8], other: &[u8]) -> Vec<u8> {
        let mut image = match self {
            Self::OtherKey | Self::OtherKeyDisguised | Self::OtherBoard => other.to_vec(),
            _ => good.to_vec(),
        };
        let body = usize::from(half(&image, 8));
        match self {
            Self::Body | Self::BodyAndHash => {
                let place = body + SIZE / 2;
                assert_eq!(half(&image, place), NO_OPERATION);
                image[place..place + 2].copy_from_slice(&YIELD.to_le_bytes());
                if self == Self::BodyAndHash {
                    let mut hasher = Hasher::new(HashKind::Sha256);
                    hasher.update(&image[..unprotected(&image)]);
                    replace(&mut image, HASH, hasher.finish().as_bytes());
                }
            }
            Self::OtherKey | Self::OtherBoard => {}
            Self::OtherKeyDisguised => {
                let payload = entries(good).find(|entry| entry.0 == KEY_HASH).unwrap().1;
                let hash = good[payload..payload + 32].to_vec();
                replace(&mut image, KEY_HASH, &hash);
            }
            Self::NoSignature => {
                let start = unprotected(&image);
                let (_, at) = entries(&image).find(|entry| entry.0 == KEY_HASH).unwrap();
                image.truncate(at - 4);
                let total = (image.len() - start) as u16;
                image[start + 2..start + 4].copy_from_slice(&total.to_le_bytes());
            }
        }
        image
    }
}

const HASH: u16 = 0x10;
const KEY_HASH: u16 = 0x01;

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

/// Where the unprotected TLVs begin.
fn unprotected(image: &[u8]) -> usize {
    let body = u32::from_le_bytes(image[12..16].try_into().unwrap()) as usize;
    usize::from(half(image, 8)) + body + usize::from(half(image, 10))
}

/// The unprotected TLVs: what they are, and where their payload is.
fn entries(image: &[u8]) -> impl Iterator<Item = (u16, usize)> {
    let start = unprotected(image);
    let end = start + usize::from(half(image, start + 2));
    let mut at = start + 4;
    std::iter::from_fn(move || {
        (at + 4 <= end).then(|| {
            let entry = (half(image, at), at + 4);
            at += 4 + usize::from(half(image, at + 2));
            entry
        })
    })
}

fn replace(image: &mut [u8], kind: u16, payload: &[u8]) {
    let (_, at) = entries(image).find(|entry| entry.0 == kind).unwrap();
    image[at..at + payload.len()].copy_from_slice(payload);
}
