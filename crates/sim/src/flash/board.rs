//! A board's flash: devices under one power supply, and the areas on them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use updraft_flash::{
    AreaEntry, AreaId, AreaInfo, Areas, Device, Error, FlashMap, Sector, StatusFormat, StatusMap,
};

use crate::flash::contents::Contents;
use crate::flash::pages::{Pages, combined};
use crate::flash::{Counts, DeviceSpec, Op, OpKind, SimDevice, SimError, Supply};

/// An operation, told by area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaOp {
    /// The area.
    pub area: AreaId,
    /// Where in it, in bytes.
    pub offset: u32,
    /// How long, in bytes.
    pub len: u32,
    /// What.
    pub kind: OpKind,
}

/// What the file holds of each device.
fn read(path: &Path, specs: &[DeviceSpec]) -> io::Result<Vec<Pages>> {
    let mut file = File::open(path)?;
    let expected: u64 = specs.iter().map(|spec| u64::from(spec.size())).sum();
    let found = file.metadata()?.len();
    if found != expected {
        let text = format!("{found} bytes long, but the devices have {expected}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut device = |spec: &DeviceSpec| {
        let mut bytes = vec![0; spec.size() as usize];
        file.read_exact(&mut bytes)?;
        let mut pages = Pages::filled(spec.erased, bytes.len());
        pages.write(0, &bytes);
        Ok(pages)
    };
    specs.iter().map(&mut device).collect()
}

/// A board's flash. A clone is a snapshot in memory with a power supply of its own; it shares with
/// the original what neither of them changes.
#[derive(Debug)]
pub struct SimFlash {
    map: Map,
    supply: Arc<Mutex<Supply>>,
}

type SimAreas = Areas<SimDevice, Vec<SimDevice>, Arc<[AreaEntry]>>;

/// What bootloader and application see.
#[derive(Clone, Debug)]
enum Map {
    Areas(SimAreas),
    Status(Box<StatusMap<SimAreas>>),
}

impl Map {
    fn areas(&self) -> &SimAreas {
        match self {
            Self::Areas(areas) => areas,
            Self::Status(map) => map.inner(),
        }
    }

    fn areas_mut(&mut self) -> &mut SimAreas {
        match self {
            Self::Areas(areas) => areas,
            Self::Status(map) => map.inner_mut(),
        }
    }
}

impl Clone for SimFlash {
    fn clone(&self) -> Self {
        let supply = Arc::new(Mutex::new(self.supply().clone()));
        let mut map = self.map.clone();
        for device in map.areas_mut().devices_mut() {
            device.connect(Arc::clone(&supply));
        }
        Self { map, supply }
    }
}

impl SimFlash {
    /// Erased devices in memory, and areas on them.
    pub fn new(specs: Vec<DeviceSpec>, table: Vec<AreaEntry>) -> Self {
        let contents = |spec: &DeviceSpec| {
            Contents::in_memory(Pages::filled(spec.erased, spec.size() as usize))
        };
        let contents = specs.iter().map(contents).collect();
        Self::with_contents(specs, contents, table)
    }

    /// More of the same board: erased devices in memory that have their power, and their count of
    /// operations, in common with these. Who holds one part need not hold the other.
    pub fn beside(&self, specs: Vec<DeviceSpec>, table: Vec<AreaEntry>) -> Self {
        let mut more = Self::new(specs, table);
        for device in more.map.areas_mut().devices_mut() {
            device.connect(Arc::clone(&self.supply));
        }
        more.supply = Arc::clone(&self.supply);
        more
    }

    /// Devices whose contents are in the file `path`, one behind the other. A new file is filled
    /// with erased flash; one that exists must have the length of the devices together. As long as
    /// the devices live, nobody else can open the file.
    pub fn open(path: &Path, specs: Vec<DeviceSpec>, table: Vec<AreaEntry>) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "it is the flash of a device that is running";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if file.metadata()?.len() == 0 {
            for spec in &specs {
                file.write_all(&vec![spec.erased; spec.size() as usize])?;
            }
        }
        let mut contents = Vec::new();
        let mut start = 0;
        for pages in read(path, &specs)? {
            let len = pages.len() as u64;
            contents.push(Contents::in_file(pages, file.try_clone()?, start));
            start += len;
        }
        Ok(Self::with_contents(specs, contents, table))
    }

    /// A copy in memory of devices whose contents are in the file `path`, also while they run.
    pub fn copy_of(path: &Path, specs: Vec<DeviceSpec>, table: Vec<AreaEntry>) -> io::Result<Self> {
        let contents = read(path, &specs)?.into_iter().map(Contents::in_memory).collect();
        Ok(Self::with_contents(specs, contents, table))
    }

    fn with_contents(
        specs: Vec<DeviceSpec>,
        contents: Vec<Contents>,
        table: Vec<AreaEntry>,
    ) -> Self {
        let supply = Arc::<Mutex<Supply>>::default();
        let devices = specs.into_iter().zip(contents).enumerate();
        let devices = devices
            .map(|(index, (spec, contents))| {
                SimDevice::on(spec, index, contents, Arc::clone(&supply))
            })
            .collect();
        Self { map: Map::Areas(Areas::new(devices, table.into())), supply }
    }

    /// Refuses from now on whatever would change `area`, except for a programmer on the bench.
    pub fn make_read_only(&mut self, area: AreaId) -> bool {
        self.map.areas_mut().make_read_only(area)
    }

    /// Shows sectors in groups, as [`Areas::group_sectors`].
    pub fn group_sectors(&mut self, size: u32) {
        self.map.areas_mut().group_sectors(size);
    }

    /// Shows trailers from a status area, as a [`StatusMap`]. What a programmer does on the bench,
    /// and what is recorded, stays about the areas as they are.
    pub fn show_status(self, format: StatusFormat) -> Self {
        // Not a copy: that would not reach the file.
        let areas = match self.map {
            Map::Areas(areas) => areas,
            Map::Status(map) => map.into_inner(),
        };
        let map = Map::Status(Box::new(StatusMap::reopen(areas, format)));
        Self { map, supply: self.supply }
    }

    /// What a bootloader does first after a reset, as [`StatusMap::settle`]; nothing without a
    /// status area.
    pub fn settle_status(&mut self) -> Result<(), Error<SimError>> {
        match &mut self.map {
            Map::Areas(_) => Ok(()),
            Map::Status(map) => map.settle(),
        }
    }

    /// The power supply of all devices.
    pub fn supply(&self) -> MutexGuard<'_, Supply> {
        // As in `SimDevice::supply`.
        self.supply.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The devices.
    pub fn devices(&self) -> &[SimDevice] {
        self.map.areas().devices()
    }

    /// The area table.
    pub fn table(&self) -> &[AreaEntry] {
        self.map.areas().table()
    }

    /// What was done to all devices since the counts were last reset.
    pub fn counts(&self) -> Counts {
        self.devices().iter().map(SimDevice::counts).fold(Counts::default(), |a, b| Counts {
            erases: a.erases + b.erases,
            writes: a.writes + b.writes,
            bytes_erased: a.bytes_erased + b.bytes_erased,
            bytes_written: a.bytes_written + b.bytes_written,
        })
    }

    /// Sets every count to 0.
    pub fn reset_counts(&mut self) {
        self.map.areas_mut().devices_mut().iter_mut().for_each(SimDevice::reset_counts);
    }

    fn entry(&self, area: AreaId) -> Option<AreaEntry> {
        self.table().iter().find(|entry| entry.id == area).copied()
    }

    /// The contents of `area`, power or not; empty if there is no such area. What flawed cells
    /// give is as in [`SimDevice::bytes`].
    pub fn bytes(&self, area: AreaId) -> Vec<u8> {
        let Some((pages, start, size)) = self.pages(area) else { return Vec::new() };
        pages.to_vec(start, size)
    }

    /// Whether `data` stands in `area` from `offset` on. Cheaper than looking at its bytes.
    pub fn holds(&self, area: AreaId, offset: u32, data: &[u8]) -> bool {
        let Some((pages, start, size)) = self.pages(area) else { return false };
        let offset = offset as usize;
        if offset.checked_add(data.len()).is_none_or(|end| end > size) {
            return false;
        }
        let mut rest = data;
        pages.pieces(start + offset, data.len()).all(|piece| {
            let (now, later) = rest.split_at(piece.len());
            rest = later;
            now == piece
        })
    }

    fn pages(&self, area: AreaId) -> Option<(&Pages, usize, usize)> {
        let entry = self.entry(area)?;
        let pages = self.devices().get(entry.device)?.pages();
        let (start, size) = (entry.offset as usize, entry.size as usize);
        (start + size <= pages.len()).then_some((pages, start, size))
    }

    /// 128 bits that stand for everything that decides what accesses will do, as
    /// [`SimDevice::fingerprint`] of all devices.
    pub fn fingerprint(&self) -> u128 {
        combined(self.devices().iter().map(SimDevice::fingerprint))
    }

    /// Puts `data` into `area` from `offset` on, as a programmer on the bench would: no rules,
    /// nothing counted.
    pub fn load(&mut self, area: AreaId, offset: u32, data: &[u8]) -> Result<(), SimError> {
        let out = SimError::OutOfBounds { address: offset, len: data.len() as u32 };
        let entry = self.entry(area).ok_or(out)?;
        let end = (offset as usize).checked_add(data.len());
        if end.is_none_or(|end| end > entry.size as usize) {
            return Err(out);
        }
        let device = self.map.areas_mut().devices_mut().get_mut(entry.device).ok_or(out)?;
        device.load(entry.offset + offset, data)
    }

    /// The same at `address` of a device, whatever areas are there.
    pub fn load_device(
        &mut self,
        device: usize,
        address: u32,
        data: &[u8],
    ) -> Result<(), SimError> {
        let out = SimError::OutOfBounds { address, len: data.len() as u32 };
        let found = self.map.areas_mut().devices_mut().get_mut(device).ok_or(out)?;
        let end = u64::from(address) + data.len() as u64;
        if end > u64::from(found.spec().size()) {
            return Err(out);
        }
        found.load(address, data)
    }

    /// Erases what a status area tells of `area`, as a programmer does who puts something new
    /// there.
    pub(crate) fn forget_status(&mut self, area: AreaId) -> Result<(), SimError> {
        let Map::Status(map) = &self.map else { return Ok(()) };
        let Some((status, offset, len)) = map.table(area) else { return Ok(()) };
        let erased = map.inner().info(status).map_or(0xff, |info| info.erased);
        self.load(status, offset, &vec![erased; len as usize])
    }

    /// Carries out an operation that was recorded on a copy of this flash.
    pub fn redo(&mut self, op: &Op) -> Result<(), SimError> {
        let out = SimError::OutOfBounds { address: op.address, len: op.len };
        let device = self.map.areas_mut().devices_mut().get_mut(op.device).ok_or(out)?;
        match &op.kind {
            OpKind::Erase => device.erase(op.address, op.len),
            OpKind::Write(data) => device.write(op.address, data),
        }
    }

    /// The operations recorded so far, told by area; recording goes on. Those outside every area
    /// are left out, and so is what an erase takes besides.
    pub fn take_log(&mut self) -> Vec<AreaOp> {
        let log = self.supply().take_log();
        let by_area = |op: Op| {
            let op_end = op.address.saturating_add(op.len);
            let end_of = |entry: &AreaEntry| entry.offset.saturating_add(entry.size);
            let entry = self.table().iter().find(|entry| {
                let meets = op.address < end_of(entry) && entry.offset < op_end;
                entry.device == op.device && meets
            })?;
            let start = op.address.max(entry.offset);
            let (offset, len) = (start - entry.offset, op_end.min(end_of(entry)) - start);
            Some(AreaOp { area: entry.id, offset, len, kind: op.kind })
        };
        log.into_iter().filter_map(by_area).collect()
    }
}

impl FlashMap for SimFlash {
    type Error = Error<SimError>;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        match &self.map {
            Map::Areas(areas) => areas.info(id),
            Map::Status(map) => map.info(id),
        }
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        match &self.map {
            Map::Areas(areas) => areas.sector_at(id, offset),
            Map::Status(map) => map.sector_at(id, offset),
        }
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error> {
        match &mut self.map {
            Map::Areas(areas) => areas.read(id, offset, buf),
            Map::Status(map) => map.read(id, offset, buf),
        }
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Self::Error> {
        match &mut self.map {
            Map::Areas(areas) => areas.write(id, offset, data),
            Map::Status(map) => map.write(id, offset, data),
        }
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Self::Error> {
        match &mut self.map {
            Map::Areas(areas) => areas.erase(id, offset, len),
            Map::Status(map) => map.erase(id, offset, len),
        }
    }
}
