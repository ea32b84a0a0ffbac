//! Flash that nobody can look into at compile time.

use core::fmt;
use core::hint::black_box;

use updraft_image::{Describe, Text};
use updraft_flash::{
    AreaEntry, AreaId, Areas, Brief, Device, Fault, FlashError, Geometry, Kind, SectorRun, SlotPair,
};

pub const SLOTS: SlotPair = SlotPair { image: 0, primary: AreaId(1), secondary: AreaId(2) };
#[cfg(feature = "counters")]
pub const COUNTERS: AreaId = AreaId(17);
#[cfg(feature = "rollback")]
pub const FACTORY: AreaId = AreaId(16);

const fn area(id: u8, offset: u32, size: u32) -> AreaEntry {
    AreaEntry { id: AreaId(id), device: 0, offset, size }
}

static TABLE: [AreaEntry; 4] = [
    area(1, 0xc000, 0x40000),
    area(2, 0x4c000, 0x40000),
    area(16, 0x8c000, 0x40000),
    area(17, 0xcc000, 0x2000),
];
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

pub type Flash = Brief<Areas<Chip, [Chip; 1], &'static [AreaEntry]>>;

pub fn flash() -> Flash {
    Brief::new(Areas::new([Chip], black_box(&TABLE)))
}
