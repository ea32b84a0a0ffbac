//! Flash that nobody can look into at compile time.

use core::fmt;
use core::hint::black_box;

use updraft_flash::{
    AreaEntry, AreaId, Areas, Brief, Device, Fault, FlashError, Geometry, Kind, SectorRun, SlotPair,
};
use updraft_image::{Describe, Text};

pub const SLOTS: SlotPair = SlotPair { image: 0, primary: AreaId(1), secondary: AreaId(2) };
#[cfg(feature = "two-images")]
pub const FURTHER: SlotPair = SlotPair { image: 1, primary: AreaId(4), secondary: AreaId(5) };
#[cfg(feature = "counters")]
pub const COUNTERS: AreaId = AreaId(17);
#[cfg(feature = "rollback")]
pub const FACTORY: AreaId = AreaId(16);

const fn area(id: u8, offset: u32, size: u32) -> AreaEntry {
    AreaEntry { id: AreaId(id), device: 0, offset, size }
}

#[cfg(any(feature = "swap-scratch", feature = "swap-status"))]
pub const SCRATCH: AreaId = AreaId(3);
#[cfg(feature = "swap-status")]
pub const STATUS: AreaId = AreaId(18);

static TABLE: [AreaEntry; TABLE_LEN] = [
    area(1, 0xc000, 0x40000),
    area(2, 0x4c000, 0x40000),
    area(16, 0x8c000, 0x40000),
    area(17, 0xcc000, 0x2000),
    #[cfg(any(feature = "swap-scratch", feature = "swap-status"))]
    area(3, 0xd0000, 0x1000),
    #[cfg(feature = "swap-status")]
    area(18, 0xd1000, 0xc000),
    #[cfg(feature = "two-images")]
    area(4, 0xe0000, 0x8000),
    #[cfg(feature = "two-images")]
    area(5, 0xe8000, 0x8000),
];
const TABLE_LEN: usize = 4
    + cfg!(any(feature = "swap-scratch", feature = "swap-status")) as usize
    + cfg!(feature = "swap-status") as usize
    + 2 * cfg!(feature = "two-images") as usize;
static SECTORS: [SectorRun; 1] = [SectorRun { count: 256, size: 4096 }];

pub struct Chip;

#[derive(Clone, Copy, Debug)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the flash failed")
    }
}

impl Describe for Failed {
    fn describe(&self, to: &mut Text<'_>) {
        to.say("the flash failed");
    }
}

impl FlashError for Failed {
    fn fault(&self) -> Fault {
        Fault::Device
    }
}

impl Device for Chip {
    type Error = Failed;

    fn geometry(&self) -> Geometry<'_> {
        Geometry { kind: Kind::Nor, write_size: 8, erased: 0xff, sectors: &SECTORS }
    }

    #[inline(never)]
    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), Failed> {
        done(black_box((address, &buf)).0)?;
        buf.fill(black_box(0));
        Ok(())
    }

    #[inline(never)]
    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), Failed> {
        done(black_box((address, data)).0)
    }

    #[inline(never)]
    fn erase(&mut self, address: u32, len: u32) -> Result<(), Failed> {
        done(black_box((address, len)).0)
    }
}

fn done(code: u32) -> Result<(), Failed> {
    if black_box(code) == 0 { Ok(()) } else { Err(Failed) }
}

type Plain = Brief<Areas<Chip, [Chip; 1], &'static [AreaEntry]>>;

#[cfg(not(feature = "swap-status"))]
pub type Flash = Plain;
#[cfg(feature = "swap-status")]
pub type Flash = updraft_flash::StatusMap<Plain>;

fn plain() -> Plain {
    Brief::new(Areas::new([Chip], black_box(&TABLE)))
}

#[cfg(not(feature = "swap-status"))]
pub fn flash() -> Flash {
    plain()
}

#[cfg(feature = "swap-status")]
pub fn flash() -> Flash {
    use updraft_flash::{StatusFormat, StatusMap, TrailerFormat};

    let mode = updraft_image::UpgradeMode::StatusPartition;
    let trailers = TrailerFormat { mode, max_align: 8, max_sectors: 128, keys: None };
    let format = StatusFormat::new(STATUS, SCRATCH, trailers, &[SLOTS]);
    let opened = format.and_then(|format| StatusMap::open(plain(), format).ok());
    match opened {
        Some(map) => map,
        None => loop {},
    }
}
