//! One flash device and its rules.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use updraft_flash::{Device, Geometry, Kind, SectorRun};

use crate::flash::cells::Cells;
use crate::flash::contents::Contents;
use crate::flash::pages::Pages;
use crate::flash::supply::Fate;
use crate::flash::{Op, OpKind, SimError, Supply};

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

/// A device of the model. A clone shares what neither of them has changed since, and the supply.
#[derive(Clone, Debug)]
pub struct SimDevice {
    spec: Arc<DeviceSpec>,
    index: usize,
    cells: Cells,
    counts: Counts,
    wear: Arc<Vec<u32>>,
    supply: Arc<Mutex<Supply>>,
}

impl SimDevice {
    /// An erased device in memory, with a power supply of its own.
    pub fn new(spec: DeviceSpec) -> Self {
        let pages = Pages::filled(spec.erased, spec.size() as usize);
        Self::on(spec, 0, Contents::in_memory(pages), Arc::default())
    }

    pub(crate) fn on(
        spec: DeviceSpec,
        index: usize,
        contents: Contents,
        supply: Arc<Mutex<Supply>>,
    ) -> Self {
        let sectors: u32 = spec.sectors.iter().map(|run| run.count).sum();
        let cells = Cells::new(&spec, contents);
        let wear = Arc::new(vec![0; sectors as usize]);
        Self { spec: Arc::new(spec), index, cells, counts: Counts::default(), wear, supply }
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

    /// How often every sector was worn since the counts were last reset: by an erase, or by the
    /// write of a row that erases itself.
    pub fn wear(&self) -> &[u32] {
        &self.wear
    }

    /// Sets every count to 0.
    pub fn reset_counts(&mut self) {
        self.counts = Counts::default();
        if self.wear.iter().any(|wear| *wear != 0) {
            Arc::make_mut(&mut self.wear).fill(0);
        }
    }

    /// The contents, power or not. Unstable cells give one of their values, words that cannot be
    /// read what is left in them.
    pub fn bytes(&self) -> Vec<u8> {
        self.pages().to_vec(0, self.pages().len())
    }

    pub(crate) fn pages(&self) -> &Pages {
        self.cells.pages()
    }

    /// 128 bits that stand for the contents and for everything else that decides what accesses
    /// will do: unstable and unreadable cells, writes left until the next erase. Wear and power are
    /// not part of it. The same on every machine and in every run.
    pub fn fingerprint(&self) -> u128 {
        self.cells.hash()
    }

    /// Puts `data` at `address`, as a programmer on the bench would: no rules, nothing counted.
    pub fn load(&mut self, address: u32, data: &[u8]) -> Result<(), SimError> {
        self.bounds(address, data.len())?;
        self.cells.load(address, data).map_err(|error| SimError::File(error.kind()))
    }

    fn bounds(&self, address: u32, len: usize) -> Result<(), SimError> {
        match (address as usize).checked_add(len) {
            Some(end) if end <= self.pages().len() => Ok(()),
            _ => Err(SimError::OutOfBounds { address, len: len as u32 }),
        }
    }

    fn powered(&self) -> Result<(), SimError> {
        if self.supply().is_on() { Ok(()) } else { Err(SimError::PowerCut) }
    }

    /// Carries out one operation: a write of `data`, or the erase of a sector.
    fn operate(&mut self, address: u32, len: u32, data: Option<&[u8]>) -> Result<(), SimError> {
        let DeviceSpec { write_size, timings, .. } = *self.spec;
        let (device, time_us) = match data {
            Some(_) => (self.index, timings.write_us * u64::from(len / write_size.max(1))),
            None => (self.index, timings.erase_us),
        };
        let kind = || data.map_or(OpKind::Erase, |data| OpKind::Write(data.to_vec()));
        let fate = self.supply().begin(|| Op { device, address, len, kind: kind() }, time_us);
        let done = match (fate, data) {
            (Fate::Off, _) => Ok(()),
            (Fate::Cut(torn), _) => self.cells.tear(torn, address, len, data),
            (Fate::Done, Some(data)) => self.cells.write(address, data),
            (Fate::Done, None) => self.cells.erase(address, len),
        };
        done.map_err(|error| SimError::File(error.kind()))?;
        if matches!(fate, Fate::Done) { Ok(()) } else { Err(SimError::PowerCut) }
    }

    fn wear_out(&mut self, address: u32) {
        let index = sector_index(&self.spec.sectors, address);
        Arc::make_mut(&mut self.wear)[index] += 1;
    }
}

impl Device for SimDevice {
    type Error = SimError;

    fn geometry(&self) -> Geometry<'_> {
        self.spec.geometry()
    }

    fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), SimError> {
        self.bounds(address, buf.len())?;
        self.powered()?;
        self.cells.read(address, buf)
    }

    fn write(&mut self, address: u32, data: &[u8]) -> Result<(), SimError> {
        self.bounds(address, data.len())?;
        let len = data.len() as u32;
        let unit = self.spec.write_size.max(1);
        if !address.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(SimError::Misaligned { address, len });
        }
        self.powered()?;
        self.cells.admits(address, data)?;
        // Rows are erased and programmed one after another, each for itself.
        let replaces = self.spec.kind.writes_replace();
        let once = if replaces { unit } else { len.max(1) };
        for (at, data) in (address..).step_by(once as usize).zip(data.chunks(once as usize)) {
            self.counts.writes += 1;
            self.counts.bytes_written += data.len() as u64;
            if replaces {
                self.wear_out(at);
            }
            self.operate(at, data.len() as u32, Some(data))?;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, len: u32) -> Result<(), SimError> {
        self.bounds(address, len as usize)?;
        let end = address + len;
        let mut at = address;
        while at < end {
            let sector = self.geometry().sector_at(at);
            let sector = sector.filter(|sector| sector.offset == at && sector.end() <= end);
            let sector = sector.ok_or(SimError::Misaligned { address, len })?;
            self.powered()?;
            self.counts.erases += 1;
            self.counts.bytes_erased += u64::from(sector.size);
            self.wear_out(at);
            self.operate(at, sector.size, None)?;
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
