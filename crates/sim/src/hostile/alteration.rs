//! What is done to the flash of a device.

use updraft_board::{Area, Board, Role};
use updraft_image::{Header, KeySlot, TrailerLayout, magic_bytes};

use crate::flash::SimFlash;

/// Chance that can be replayed: Steele's SplitMix.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((self.any() >> 32) % u64::from(bound.max(1))) as u32
    }

    /// One of `items`.
    pub fn of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len() as u32) as usize).copied()
    }

    fn bytes(&mut self, len: u32) -> Vec<u8> {
        (0..len).map(|_| self.any() as u8).collect()
    }

    /// A number that somebody may have forgotten to think of.
    fn telling(&mut self, size: u32) -> u32 {
        let any = self.any() as u32;
        let numbers = [
            0,
            1,
            15,
            16,
            31,
            32,
            size,
            size.wrapping_sub(1),
            size / 2,
            0xffff,
            0x7fff_ffff,
            u32::MAX,
            any,
        ];
        self.of(&numbers).unwrap_or(any)
    }
}

/// Overwrites bytes as if they had always been there. What would pass the end of the area is left
/// out.
fn put(flash: &mut SimFlash, area: &Area, at: u32, bytes: &[u8]) {
    let room = area.size.saturating_sub(at) as usize;
    let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
    if !bytes.is_empty() {
        flash.load(area.id, at, bytes).expect("inside the area");
    }
}

/// Alters something of `flash`.
pub(super) fn alter(board: &Board, flash: &mut SimFlash, random: &mut Random) {
    let concerned = |area: &&Area| {
        matches!(area.role, Role::Primary | Role::Secondary | Role::Scratch | Role::Status)
    };
    let areas: Vec<&Area> = board.areas().iter().filter(concerned).collect();
    let Some(area) = random.of(&areas) else { return };
    let erased = board.device(area).erased;
    match random.below(10) {
        0..=3 if area.role == Role::Status => row(board, flash, area, random),
        0..=3 => trailer(board, flash, area, random),
        4 => header(board, flash, area, random),
        5 => tlvs(flash, area, random),
        6 => {
            let len = 1 + random.below(64);
            let bytes = random.bytes(len);
            put(flash, area, random.below(area.size), &bytes);
        }
        7 => {
            // A block from anywhere to anywhere.
            let Some(from) = random.of(&areas) else { return };
            let content = flash.bytes(from.id);
            let unit = random.of(&[16, 64, 512, 4096]).unwrap_or(16);
            let start = random.below(from.size) / unit * unit;
            let end = content.len().min((start + unit * (1 + random.below(4))) as usize);
            let block = content.get(start as usize..end).unwrap_or_default().to_vec();
            let to = if random.below(2) == 0 { start } else { random.below(area.size) };
            put(flash, area, to, &block);
        }
        8 => {
            let (at, len) = (random.below(area.size), 1 + random.below(area.size));
            put(flash, area, at, &vec![erased; len as usize]);
        }
        _ => {
            let (at, len) = (random.below(area.size), 1 + random.below(2048));
            let fill = random.of(&[0x00, 0x01, 0x02, 0x03, 0xff]).unwrap_or(0);
            put(flash, area, at, &vec![fill; len as usize]);
        }
    }
}

/// A field of a trailer, or some of its status records.
fn trailer(board: &Board, flash: &mut SimFlash, area: &Area, random: &mut Random) {
    let Some(layout) = board.trailer(area) else { return };
    let erased = board.device(area).erased;
    let any = random.any() as u8;
    let byte = random.of(&[erased, 0, 1, 2, 3, 4, 0x12, 0xff, any]).unwrap_or(any);
    match random.below(8) {
        0 | 1 => {
            let mut magic = magic_bytes(layout.max_align());
            match random.below(4) {
                0 => magic = [erased; 16],
                1 => magic[random.below(16) as usize] = any,
                _ => {}
            }
            put(flash, area, layout.magic(), &magic);
        }
        2 => put(flash, area, layout.image_ok(), &[byte]),
        3 => put(flash, area, layout.copy_done(), &[byte]),
        4 => put(flash, area, layout.swap_info(), &[byte]),
        5 => put(flash, area, layout.swap_size(), &random.telling(area.size).to_le_bytes()),
        6 => {
            let keys = [KeySlot::Primary, KeySlot::Secondary].map(|slot| layout.key(slot));
            let fields = [layout.tlv_sizes(), keys[0], keys[1]];
            if let Some(Some(at)) = random.of(&fields) {
                let bytes = random.bytes(4);
                put(flash, area, at, &bytes);
            }
        }
        _ => records(board, flash, area, &layout, random),
    }
}

/// Bytes of a row of a status area behind its payload: magic, counter, checksum.
const ROW_END: usize = 12;

/// A row of a status area, whose checksum is made good again more often than not.
fn row(board: &Board, flash: &mut SimFlash, area: &Area, random: &mut Random) {
    let (Some(size), erased) =
        (board.sectors(area).first().map(|run| run.size), board.device(area).erased)
    else {
        return;
    };
    let place = |random: &mut Random| random.below(area.size / size) * size;
    let at = place(random);
    let content = flash.bytes(area.id);
    let Some(mut row) = content.get(at as usize..(at + size) as usize).map(<[u8]>::to_vec) else {
        return;
    };
    let payload = row.len() - ROW_END;
    let any = random.any() as u8;
    let byte = random.of(&[erased, 0, 1, 2, 3, 4, 0x12, 0xff, any]).unwrap_or(any);
    match random.below(8) {
        // The fields end with the payload, the states of rounds begin with it.
        0 | 1 => row[payload - 1 - random.below(payload.min(64) as u32) as usize] = byte,
        2 => row[payload - (17 + random.below(7)).min(payload as u32) as usize] = byte,
        3 => row[..payload].fill(byte),
        4 => {
            let len = 1 + random.below(payload as u32) as usize;
            row[..len].fill(byte);
        }
        5 => {
            let counter = u32::from_le_bytes(row[payload + 4..][..4].try_into().unwrap_or([0; 4]));
            let next = [counter.wrapping_add(1), counter.wrapping_sub(1), random.telling(counter)];
            let counter = random.of(&next).unwrap_or(counter);
            row[payload + 4..][..4].copy_from_slice(&counter.to_le_bytes());
        }
        6 => {
            // A row that was valid in another place.
            let from = place(random) as usize;
            row.copy_from_slice(&content[from..][..size as usize]);
        }
        _ => row.fill(erased),
    }
    if random.below(4) > 0 && row.iter().any(|byte| *byte != erased) {
        row[payload..][..4].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
        let sum = crc32c(&row[..payload + 8]);
        row[payload + 8..].copy_from_slice(&sum.to_le_bytes());
    }
    put(flash, area, at, &row);
}

/// The checksum of rows, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// A run of status records, or one that is missing in it.
fn records(
    board: &Board,
    flash: &mut SimFlash,
    area: &Area,
    layout: &TrailerLayout,
    random: &mut Random,
) {
    let width = board.device(area).write_size.clamp(1, layout.max_align());
    let erased = board.device(area).erased;
    let end = layout.swap_size();
    let count = end.saturating_sub(layout.status()) / width;
    let (first, len) = (random.below(count), 1 + random.below(count));
    let first = if random.below(2) == 0 { 0 } else { first };
    let value = random.of(&[erased, 1, 2, 3]).unwrap_or(1);
    for index in first..(first + len).min(count) {
        put(flash, area, layout.status() + index * width, &[value]);
    }
}

/// A field of the header at the beginning of an area or of one of its first sectors.
fn header(board: &Board, flash: &mut SimFlash, area: &Area, random: &mut Random) {
    let sector = board.device(area).sectors.first().map_or(512, |run| run.size);
    let start = random.of(&[0, 0, sector]).unwrap_or(0);
    let at = start + random.below(Header::SIZE as u32 / 4) * 4;
    let value = random.telling(area.size).to_le_bytes();
    let width = random.of(&[1, 2, 4]).unwrap_or(4);
    put(flash, area, at, value.get(..width).unwrap_or_default());
}

/// Somewhere in the TLVs behind the image of an area.
fn tlvs(flash: &mut SimFlash, area: &Area, random: &mut Random) {
    let mut head = flash.bytes(area.id);
    head.truncate(Header::SIZE);
    let header = head.first_chunk::<{ Header::SIZE }>().and_then(|head| Header::parse(head).ok());
    let Some(end) = header.and_then(|header| header.tlv_offset().ok()) else { return };
    let value = random.telling(area.size).to_le_bytes();
    let width = random.of(&[1, 2, 4]).unwrap_or(2);
    put(flash, area, end.saturating_add(random.below(48)), &value[..width]);
}
