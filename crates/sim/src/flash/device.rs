//! One flash device and its rules.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use updraft_flash::{Device, Geometry, Kind, SectorRun};

use crate::flash::contents::Contents;
use crate::flash::supply::Fate;
use crate::flash::{Op, OpKind, Supply};

/// What a device is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its physics.
    pub kind: Kind,
    /// Bytes that a write has to be a multiple of.
    pub write_size: u32,
    /// What erased bytes read as: 0xff or 0x00.
    pub erased: u8,
    /// Its sectors in address order.
    pub sectors: Vec<SectorRun>,
    /// How long its operations take.
    pub timings: Timings,
}

impl DeviceSpec {
    /// NOR flash of `count` sectors of `size` bytes that erases to 0xff.
    pub fn nor(count: u32, size: u32, write_size: u32) -> Self {
        let sectors = vec![SectorRun { count, size }];
        Self { kind: Kind::Nor, write_size, erased: 0xff, sectors, timings: Timings::default() }
    }

    /// The same, as the trait wants it.
    pub fn geometry(&self) -> Geometry<'_> {
        let Self { kind, write_size, erased, ref sectors, .. } = *self;
        Geometry { kind, write_size, erased, sectors }
    }

    /// Bytes of the whole device.
    pub fn size(&self) -> u32 {
        self.geometry().size().unwrap_or(0)
    }
}

/// How long operations take, in microseconds of simulated time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Erasing one sector.
    pub erase_us: u64,
    /// Programming one write unit.
    pub write_us: u64,
}

/// What was done to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sectors erased.
    pub erases: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes erased.
    pub bytes_erased: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// Why the model refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimError {
    /// The power is off, or failed during this operation.
    PowerCut,
    /// The write would turn a programmed bit back, which only erasing can.
    NotErased {
        /// Address of the first such byte.
        address: u32,
        /// What stands there.
        cell: u8,
        /// What was to be written.
        data: u8,
    },
    /// Address or length are not multiples of the write size, or no sector boundaries.
    Misaligned {
        /// The address.
        address: u32,
        /// The length in bytes.
        len: u32,
    },
    /// The access passes the end of the device.
    OutOfBounds {
        /// The address.
        address: u32,
        /// The length in bytes.
        len: u32,
    },
    /// The file behind the device failed.
    File(io::ErrorKind),
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerCut => f.write_str("the power is off"),
            Self::NotErased { address, cell, data } => {
                write!(f, "writing {data:#04x} over {cell:#04x} at {address:#x} without erasing")
            }
            Self::Misaligned { address, len } => {
                write!(f, "{len} bytes at {address:#x} are not aligned to the device")
            }
            Self::OutOfBounds { address, len } => {
                write!(f, "{len} bytes at {address:#x} pass the end of the device")
            }
            Self::File(kind) => write!(f, "the flash file failed: {kind}"),
        }
    }
}

impl std::error::Error for SimError {}

/// A device of the model.
#[derive(Clone, Debug)]
pub struct SimDevice {
    spec: DeviceSpec,
    index: usize,
    contents: Contents,
    counts: Counts,
    wear: Vec<u32>,
    supply: Arc<Mutex<Supply>>,
}

impl SimDevice {
    /// An erased device in memory, with a power supply of its own.
    pub fn new(spec: DeviceSpec) -> Self {
        let contents = Contents::in_memory(vec![spec.erased; spec.size() as usize]);
        Self::on(spec, 0, contents, Arc::default())
    }

    pub(crate) fn on(
        spec: DeviceSpec,
        index: usize,
        contents: Contents,
        supply: Arc<Mutex<Supply>>,
    ) -> Self {
        let sectors = spec.sectors.iter().map(|run| run.count as usize).sum();
        Self { spec, index, contents, counts: Counts::default(), wear: vec![0; sectors], supply }
    }

    pub(crate) fn connect(&mut self, supply: Arc<Mutex<Supply>>) {
        self.supply = supply;
    }

    /// What the device is made of.
    pub fn spec(&self) -> &DeviceSpec {
        &self.spec
    }

    /// The power supply.
    pub fn supply(&self) -> MutexGuard<'_, Supply> {
        // A panic elsewhere leaves the supply as it was: nothing in it can be half changed.
        self.supply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done since the counts were last reset.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Erases of every sector since the counts were last reset.
    pub fn wear(&self) -> &[u32] {
        &self.wear
    }

    /// Sets every count to 0.
    pub fn reset_counts(&mut self) {
        self.counts = Counts::default();
        self.wear.fill(0);
    }

    /// The contents, power or not.
    pub fn bytes(&self) -> &[u8] {
        self.contents.bytes()
    }

    /// Puts `data` at `address`, as a programmer on the bench would: no rules, nothing counted.
    pub fn load(&mut self, address: u32, data: &[u8]) -> Result<(), SimError> {
        let range = self.range(address, data.len())?;
        self.contents
            .change(range.start, range.len(), |cells| cells.copy_from_slice(data))
            .map_err(|error| SimError::File(error.kind()))
    }

    fn range(&self, address: u32, len: usize) -> Result<Range<usize>, SimError> {
        let start = address as usize;
        let size = self.contents.bytes().len();
        match start.checked_add(len) {
            Some(end) if end <= size => Ok(start..end),
            _ => Err(SimError::OutOfBounds { address, len: len as u32 }),
        }
    }

    /// Carries out one operation that turns the cells from `address` on into `wanted`.
    fn operate(
        &mut self,
        address: u32,
        wanted: &[u8],
        kind: impl FnOnce() -> OpKind,
        time_us: u64,
        write_size: Option<u32>,
    ) -> Result<(), SimError> {
        let device = self.index;
        let len = wanted.len() as u32;
        let op = || Op { device, address, len, kind: kind() };
        let fate = self.supply().begin(op, time_us);
        if matches!(fate, Fate::Off) {
            return Err(SimError::PowerCut);
        }
        let changed = self.contents.change(address as usize, wanted.len(), |cells| match fate {
            Fate::Cut(torn) => torn.apply(cells, wanted, write_size),
            _ => cells.copy_from_slice(wanted),
        });
        changed.map_err(|error| SimError::File(error.kind()))?;
        if matches!(fate, Fate::Done) { Ok(()) } else { Err(SimError::PowerCut) }
    }
}

impl Device for SimDevice {
    type Error = SimError;

    fn geometry(&self) -> Geometry<'_> {
        self.spec.geometry()
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), SimError> {
        let range = self.range(address, buf.len())?;
        if !self.supply().is_on() {
            return Err(SimError::PowerCut);
        }
        buf.copy_from_slice(&self.contents.bytes()[range]);
        Ok(())
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), SimError> {
        let range = self.range(address, data.len())?;
        let len = data.len() as u32;
        let unit = self.spec.write_size.max(1);
        if !address.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(SimError::Misaligned { address, len });
        }
        let erased = self.spec.erased;
        let cells = &self.contents.bytes()[range];
        // A bit that is not erased any more has to stay as it is.
        let back = |cell: u8, data: u8| (cell ^ erased) & (cell ^ data) != 0;
        if let Some(at) = cells.iter().zip(data).position(|(cell, data)| back(*cell, *data)) {
            let address = address + at as u32;
            return Err(SimError::NotErased { address, cell: cells[at], data: data[at] });
        }
        let time_us = self.spec.timings.write_us * u64::from(len / unit);
        self.counts.writes += 1;
        self.counts.bytes_written += u64::from(len);
        self.operate(address, data, || OpKind::Write(data.to_vec()), time_us, Some(unit))
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), SimError> {
        self.range(address, len as usize)?;
        let end = address + len;
        let mut at = address;
        while at < end {
            let sector = self.geometry().sector_at(at);
            let sector = sector.filter(|sector| sector.offset == at && sector.end() <= end);
            let sector = sector.ok_or(SimError::Misaligned { address, len })?;
            let index = sector_index(&self.spec.sectors, at);
            self.counts.erases += 1;
            self.counts.bytes_erased += u64::from(sector.size);
            self.wear[index] += 1;
            let wanted = vec![self.spec.erased; sector.size as usize];
            self.operate(at, &wanted, || OpKind::Erase, self.spec.timings.erase_us, None)?;
            at = sector.end();
        }
        Ok(())
    }
}

/// The number of the sector that begins at `address`.
fn sector_index(runs: &[SectorRun], address: u32) -> usize {
    let mut start = 0;
    let mut index = 0;
    for run in runs {
        let len = run.count * run.size;
        if address < start + len {
            return (index + (address - start) / run.size.max(1)) as usize;
        }
        start += len;
        index += run.count;
    }
    index as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::Torn;

    #[test]
    fn programming_moves_bits_one_way_only() {
        for (erased, first, second, back) in [(0xff, 0xf0, 0x30, 0x3f), (0x00, 0x0f, 0xcf, 0xc0)] {
            let mut device = SimDevice::new(DeviceSpec { erased, ..DeviceSpec::nor(2, 64, 1) });
            device.write(3, &[first]).unwrap();
            device.write(3, &[second]).unwrap();
            let refused = Err(SimError::NotErased { address: 3, cell: second, data: back });
            assert_eq!(device.write(3, &[back]), refused);
            device.erase(0, 64).unwrap();
            device.write(3, &[back]).unwrap();
        }
    }

    #[test]
    fn alignment_and_bounds_are_enforced() {
        let mut device = SimDevice::new(DeviceSpec::nor(2, 64, 8));
        assert!(matches!(device.write(4, &[0; 8]), Err(SimError::Misaligned { .. })));
        assert!(matches!(device.write(8, &[0; 4]), Err(SimError::Misaligned { .. })));
        assert!(matches!(device.erase(0, 32), Err(SimError::Misaligned { .. })));
        assert!(matches!(device.erase(8, 64), Err(SimError::Misaligned { .. })));
        assert!(matches!(device.write(128, &[0; 8]), Err(SimError::OutOfBounds { .. })));
        assert_eq!(device.counts(), Counts::default());
    }

    #[test]
    fn after_a_cut_everything_fails_until_the_power_is_back() {
        let mut device = SimDevice::new(DeviceSpec::nor(2, 64, 8));
        device.supply().cut_at(1, Torn::Half);
        device.write(0, &[1; 8]).unwrap();
        assert_eq!(device.write(8, &[2; 16]), Err(SimError::PowerCut));
        assert_eq!(device.read(0, &mut [0; 8]), Err(SimError::PowerCut));
        assert_eq!(device.erase(64, 64), Err(SimError::PowerCut));
        device.supply().power_on();
        let mut found = [0; 24];
        device.read(0, &mut found).unwrap();
        assert_eq!(found[..16], [[1; 8], [2; 8]].concat());
        assert_eq!(found[16..], [0xff; 8]);
    }

    #[test]
    fn wear_and_time_add_up() {
        let timings = Timings { erase_us: 1000, write_us: 10 };
        let mut device = SimDevice::new(DeviceSpec { timings, ..DeviceSpec::nor(3, 64, 8) });
        device.erase(64, 128).unwrap();
        device.erase(64, 64).unwrap();
        device.write(64, &[0; 24]).unwrap();
        assert_eq!(device.wear(), [0, 2, 1]);
        assert_eq!(device.supply().time_us(), 3 * 1000 + 3 * 10);
        assert_eq!(device.supply().operations(), 4);
    }
}
