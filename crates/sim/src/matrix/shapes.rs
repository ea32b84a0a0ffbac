//! The geometries.

/// A run of sectors: how many, and how long each is in bytes.
type Run = (u32, u32);

/// What a pair of slots lies on.
#[derive(Debug)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// Sectors of the primary and of the secondary slot.
    pub slots: [&'static [Run]; 2],
    /// Whether one of the slots has a sector more, in modes that work with a spare one.
    pub spare: bool,
    /// Bytes that are written at once, on the device of each slot.
    pub write_size: [u32; 2],
    /// What erased bytes read as, on the device of each slot.
    pub erased: [u8; 2],
    /// Spacing of the trailer's fields in bytes.
    pub max_align: u32,
    /// Sectors that trailers have records for.
    pub max_sectors: u32,
    /// Bytes that are exchanged at once, where that is not a sector.
    pub logical: Option<u32>,
    /// Whether the slots lie on two devices.
    pub two_devices: bool,
    /// How far into a sector each slot begins, in bytes.
    pub offset: [u32; 2],
    /// Bytes of the scratch area; 0 for none.
    pub scratch: u32,
    /// Whether all pairs of cuts are within reach.
    pub is_small: bool,
}

/// `count` sectors of `size` bytes in both slots, written `write` bytes at once.
const fn even(name: &'static str, slot: &'static [Run], write: u32) -> Shape {
    let (count, size) = slot[0];
    Shape {
        name,
        slots: [slot, slot],
        spare: false,
        write_size: [write, write],
        erased: [0xff, 0xff],
        max_align: if write <= 8 {
            8
        } else if write <= 16 {
            16
        } else {
            32
        },
        max_sectors: count,
        logical: None,
        two_devices: false,
        offset: [0; 2],
        scratch: size,
        is_small: false,
    }
}

/// Rows of `size` bytes.
const fn rows(name: &'static str, slot: &'static [Run]) -> Shape {
    even(name, slot, slot[0].1)
}

/// Every geometry.
pub static SHAPES: [Shape; 37] = [
    Shape { is_small: true, ..even("6 × 512 B, writes of 4", &[(6, 512)], 4) },
    even("8 × 512 B, writes of 1", &[(8, 512)], 1),
    even("8 × 512 B, writes of 2", &[(8, 512)], 2),
    even("12 × 512 B, writes of 4", &[(12, 512)], 4),
    even("16 × 512 B, writes of 16", &[(16, 512)], 16),
    even("10 × 1 KiB, writes of 32", &[(10, 1024)], 32),
    Shape { erased: [0x00; 2], ..even("8 × 1 KiB, writes of 8, erased to 0x00", &[(8, 1024)], 8) },
    Shape {
        erased: [0x00; 2],
        max_align: 32,
        ..even("8 × 512 B, writes of 1, fields 32 apart, erased to 0x00", &[(8, 512)], 1)
    },
    Shape {
        spare: true,
        max_align: 16,
        scratch: 0,
        ..even("4 × 4 KiB and a spare sector, writes of 8", &[(4, 4096)], 8)
    },
    even("2 × 4 KiB, writes of 8", &[(2, 4096)], 8),
    Shape {
        spare: true,
        is_small: true,
        ..even("2 × 1 KiB and a spare sector, writes of 8", &[(2, 1024)], 8)
    },
    Shape {
        max_align: 32,
        erased: [0x00; 2],
        ..even("3 × 8 KiB, writes of 4, fields 32 apart, erased to 0x00", &[(3, 8192)], 4)
    },
    Shape {
        max_sectors: 64,
        ..even("12 × 512 B, writes of 8, trailers over several sectors", &[(12, 512)], 8)
    },
    Shape {
        max_align: 16,
        erased: [0x00; 2],
        scratch: 512,
        ..even("40 × 64 B, writes of 4, fields in sectors of their own", &[(40, 64)], 4)
    },
    even("24 × 512 B, writes of 8", &[(24, 512)], 8),
    Shape { scratch: 2048, ..even("12 × 512 B, writes of 8, 2 KiB of scratch", &[(12, 512)], 8) },
    Shape {
        slots: [&[(4, 1024)], &[(8, 512)]],
        max_sectors: 8,
        ..even("4 × 1 KiB against 8 × 512 B, writes of 4", &[(8, 1024)], 4)
    },
    Shape {
        slots: [&[(16, 256)], &[(2, 2048)]],
        max_sectors: 16,
        is_small: true,
        ..even("16 × 256 B against 2 × 2 KiB, writes of 8", &[(16, 2048)], 8)
    },
    Shape {
        slots: [&[(4, 512), (2, 1024), (2, 2048)], &[(2, 1024), (2, 1024), (2, 2048)]],
        max_sectors: 8,
        ..even("uneven sectors, different ones in each slot, writes of 4", &[(8, 2048)], 4)
    },
    Shape {
        slots: [&[(2, 512), (1, 1024), (3, 2048)]; 2],
        max_sectors: 6,
        erased: [0x00; 2],
        ..even("uneven sectors, the same in both slots, writes of 8", &[(6, 2048)], 8)
    },
    Shape {
        logical: Some(1024),
        max_sectors: 8,
        scratch: 1024,
        ..even("32 × 256 B, exchanged 1 KiB at a time, writes of 4", &[(32, 256)], 4)
    },
    Shape {
        slots: [&[(16, 512)], &[(8, 1024)]],
        logical: Some(1024),
        max_sectors: 8,
        ..even("16 × 512 B against 8 × 1 KiB, exchanged 1 KiB at a time", &[(8, 1024)], 8)
    },
    Shape {
        offset: [512; 2],
        max_sectors: 9,
        ..even("8 × 1 KiB, beginning inside a sector, writes of 8", &[(8, 1024)], 8)
    },
    Shape {
        offset: [64; 2],
        max_sectors: 7,
        erased: [0x00; 2],
        ..even("6 × 2 KiB, beginning 64 B into a sector, writes of 1", &[(6, 2048)], 1)
    },
    Shape {
        slots: [&[(16, 512)], &[(4, 2048)]],
        offset: [0, 512],
        max_sectors: 16,
        two_devices: true,
        ..even("16 × 512 B against 4 × 2 KiB, one beginning 512 B into a sector", &[(16, 2048)], 8)
    },
    Shape {
        two_devices: true,
        write_size: [8, 1],
        ..even("8 × 1 KiB on two devices, writes of 8 and of 1", &[(8, 1024)], 8)
    },
    Shape {
        two_devices: true,
        write_size: [4, 32],
        max_align: 32,
        ..even("8 × 1 KiB on two devices, writes of 4 and of 32", &[(8, 1024)], 4)
    },
    Shape {
        two_devices: true,
        erased: [0xff, 0x00],
        ..even("8 × 512 B on two devices that erase to 0xff and to 0x00", &[(8, 512)], 8)
    },
    Shape {
        erased: [0x00; 2],
        max_align: 8,
        ..rows("rows of 512 B, fields 8 apart, erased to 0x00", &[(16, 512)])
    },
    rows("rows of 256 B, fields 32 apart", &[(24, 256)]),
    Shape {
        erased: [0x00; 2],
        scratch: 0,
        ..rows("rows of 128 B without a scratch area, erased to 0x00", &[(32, 128)])
    },
    Shape {
        max_align: 8,
        scratch: 256,
        is_small: true,
        ..rows("rows of 64 B, fields 8 apart", &[(32, 64)])
    },
    Shape {
        slots: [&[(8, 512)], &[(32, 128)]],
        max_align: 16,
        max_sectors: 32,
        two_devices: true,
        write_size: [512, 128],
        ..rows("rows of 512 B and of 128 B on two devices", &[(8, 512)])
    },
    Shape {
        logical: Some(512),
        max_sectors: 8,
        scratch: 512,
        erased: [0x00; 2],
        ..rows("rows of 32 B, exchanged 512 B at a time, erased to 0x00", &[(128, 32)])
    },
    Shape {
        logical: Some(512),
        max_sectors: 6,
        scratch: 512,
        is_small: true,
        ..rows("rows of 16 B, exchanged 512 B at a time", &[(192, 16)])
    },
    Shape {
        logical: Some(256),
        max_sectors: 12,
        scratch: 256,
        ..rows("rows of 8 B, exchanged 256 B at a time", &[(384, 8)])
    },
    Shape {
        scratch: 4096,
        is_small: true,
        ..even("4 × 1 KiB, writes of 8, exchanged at once", &[(4, 1024)], 8)
    },
];
