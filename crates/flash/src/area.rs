//! Areas: named parts of devices, and the flash map that gives access to them.

use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU32;

use updraft_image::{Describe, Text, text};

use crate::{Device, Error, Fault, FlashError, Geometry, Kind, Sector};

/// The number of an area. Which number means what is the board's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AreaId(pub u8);

impl Describe for AreaId {
    fn describe(&self, to: &mut Text<'_>) {
        self.0.describe(to);
    }
}

impl fmt::Display for AreaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

/// A row of an area table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaEntry {
    /// Its id.
    pub id: AreaId,
    /// Index of its device.
    pub device: usize,
    /// Where it begins on the device.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

/// What has to be known of an area to lay data out on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaInfo {
    /// Where it begins on its device, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Bytes that a write has to be a multiple of.
    pub write_size: u32,
    /// What erased bytes read as.
    pub erased: u8,
    /// The physics of its device.
    pub kind: Kind,
}

/// Access to flash by area. Offsets count from the start of the area.
pub trait FlashMap {
    /// Why an access failed.
    type Error: FlashError;

    /// What area `id` is like; `None` if there is no such area.
    fn info(&self, id: AreaId) -> Option<AreaInfo>;

    /// The sector that contains `offset`, in offsets of the area; `None` behind its end.
    ///
    /// A sector that the area has only a part of, at either end, is cut to the area's bounds.
    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector>;

    /// Fills `buf` from `offset` on.
    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error>;

    /// Programs `data` at `offset`; both have to be multiples of the write size.
    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Self::Error>;

    /// Erases `len` bytes from `offset` on, whole sectors. Of a sector that the area has only a
    /// part of, the rest goes too; it is refused if any of that belongs to another area.
    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Self::Error>;
}

impl<M: FlashMap> FlashMap for &mut M {
    type Error = M::Error;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        (**self).info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        (**self).sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(id, offset, buf)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Self::Error> {
        (**self).write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Self::Error> {
        (**self).erase(id, offset, len)
    }
}

/// Devices and a table of areas on them.
///
/// `Ds` is anything that gives a slice of devices `D` (an array, a `Vec`, a borrowed slice), `T`
/// the same for the table.
#[derive(Clone, Debug)]
pub struct Areas<D, Ds, T> {
    devices: Ds,
    table: T,
    read_only: [Option<AreaId>; MOST_READ_ONLY],
    logical_sector: Option<NonZeroU32>,
    device: PhantomData<D>,
}

/// How many areas can be made read-only.
const MOST_READ_ONLY: usize = 4;

impl<D, Ds, T> Areas<D, Ds, T>
where
    D: Device,
    Ds: AsRef<[D]> + AsMut<[D]>,
    T: AsRef<[AreaEntry]>,
{
    /// A flash map of `devices` with the areas of `table`. Of ids that occur twice the first counts.
    pub fn new(devices: Ds, table: T) -> Self {
        let read_only = [None; MOST_READ_ONLY];
        Self { devices, table, read_only, logical_sector: None, device: PhantomData }
    }

    /// Shows the sectors of every area in groups of `size` bytes from its start on, as if they were
    /// one: what is exchanged at once is larger then, and its status takes fewer records. Sectors
    /// whose groups begin or end within one stay by themselves; 0 ends it. An erase goes through a
    /// group sector by sector, downwards: a trailer goes before the data that it tells of. Source:
    /// MCUboot `boot/bootutil/src/bootutil_area.c`.
    pub fn group_sectors(&mut self, size: u32) {
        self.logical_sector = NonZeroU32::new(size);
    }

    /// Refuses from now on whatever would change a byte of area `id`, by way of whichever area.
    /// `false` if four areas are read-only already.
    pub fn make_read_only(&mut self, id: AreaId) -> bool {
        let mut places = self.read_only.iter_mut();
        let place = places.find(|place| place.is_none_or(|known| known == id));
        place.map(|place| *place = Some(id)).is_some()
    }

    /// Whether a change of `len` bytes from device address `address` on touches a read-only area.
    fn is_read_only(&self, device: usize, address: u32, len: u32) -> bool {
        let areas = self.read_only.iter().flatten().filter_map(|id| self.entry(*id));
        areas.filter(|entry| entry.device == device).any(|entry| {
            let end = entry.offset.saturating_add(entry.size);
            address < end && entry.offset < address.saturating_add(len)
        })
    }

    /// The devices.
    pub fn devices(&self) -> &[D] {
        self.devices.as_ref()
    }

    /// The devices, for what only their owner may do.
    pub fn devices_mut(&mut self) -> &mut [D] {
        self.devices.as_mut()
    }

    /// The area table.
    pub fn table(&self) -> &[AreaEntry] {
        self.table.as_ref()
    }

    fn entry(&self, id: AreaId) -> Option<AreaEntry> {
        self.table().iter().find(|entry| entry.id == id).copied()
    }

    fn geometry(&self, entry: &AreaEntry) -> Option<Geometry<'_>> {
        Some(self.devices().get(entry.device)?.geometry())
    }

    /// The sector of the device, in offsets of the area and cut to its bounds.
    fn physical_sector(&self, entry: &AreaEntry, offset: u32) -> Option<Sector> {
        let address = entry.offset.checked_add(offset).filter(|_| offset < entry.size)?;
        let sector = self.geometry(entry)?.sector_at(address)?;
        let start = sector.offset.saturating_sub(entry.offset);
        let end = sector.end().checked_sub(entry.offset)?.min(entry.size);
        Some(Sector { offset: start, size: end.checked_sub(start)? })
    }

    /// Whether a sector begins or the area ends at `at`.
    fn is_edge(&self, entry: &AreaEntry, at: u32) -> bool {
        let begins = |sector: Sector| sector.offset == at;
        at == entry.size || self.physical_sector(entry, at).is_some_and(begins)
    }

    /// The group of sectors that `offset` lies in, if it is made of whole ones.
    fn logical_sector(&self, entry: &AreaEntry, offset: u32) -> Option<Sector> {
        let size = self.logical_sector?;
        let start = offset.checked_sub(offset % size)?;
        let size = size.get();
        let end = start.checked_add(size).filter(|end| *end <= entry.size)?;
        let whole = self.is_edge(entry, start) && self.is_edge(entry, end);
        whole.then_some(Sector { offset: start, size })
    }

    /// The whole sectors of the device around the `len` bytes from device address `address` on:
    /// where they begin and how long they are. `None` if another area has a part of them.
    fn whole_sectors(&self, entry: &AreaEntry, address: u32, len: u32) -> Option<(u32, u32)> {
        let geometry = self.geometry(entry)?;
        let end = address.checked_add(len)?;
        let first = geometry.sector_at(address)?.offset;
        let last = geometry.sector_at(end.checked_sub(1)?)?.end();
        let has = |from, to, other: &AreaEntry| {
            from < to && from < other.offset.saturating_add(other.size) && other.offset < to
        };
        let mut others = self.table().iter().filter(|other| other.device == entry.device);
        let shared = others.any(|other| has(first, address, other) || has(end, last, other));
        (!shared).then_some((first, last.checked_sub(first)?))
    }

    /// The device, the device address and the length behind an access, if it stays inside its area
    /// and is a multiple of `unit` in offset and length.
    fn locate(
        &mut self,
        id: AreaId,
        offset: u32,
        len: usize,
        unit: Unit,
    ) -> Result<(&mut D, u32, u32), Error<D::Error>> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let refused = |fault| Error::Refused { fault, area: id.0, offset, len };
        let entry = self.entry(id).ok_or(refused(Fault::NoArea))?;
        let end = offset.checked_add(len).filter(|end| *end <= entry.size);
        let end = end.ok_or(refused(Fault::OutOfBounds))?;
        let address = entry.offset.checked_add(offset).ok_or(refused(Fault::OutOfBounds))?;
        let aligned = match unit {
            Unit::Byte => true,
            Unit::Write => {
                let size = self.geometry(&entry).map_or(1, |geometry| geometry.write_size.max(1));
                address.is_multiple_of(size) && len.is_multiple_of(size)
            }
            Unit::Sector => self.is_edge(&entry, offset) && self.is_edge(&entry, end),
        };
        if !aligned {
            return Err(refused(Fault::Misaligned));
        }
        if !matches!(unit, Unit::Byte) && self.is_read_only(entry.device, address, len) {
            return Err(refused(Fault::ReadOnly));
        }
        let (address, len) = match unit {
            Unit::Sector if len > 0 => {
                let whole = self.whole_sectors(&entry, address, len);
                whole.ok_or(refused(Fault::Misaligned))?
            }
            _ => (address, len),
        };
        let device = self.devices.as_mut().get_mut(entry.device).ok_or(refused(Fault::NoArea))?;
        Ok((device, address, len))
    }
}

/// What an access has to be a multiple of.
enum Unit {
    Byte,
    Write,
    Sector,
}

impl<D, Ds, T> FlashMap for Areas<D, Ds, T>
where
    D: Device,
    Ds: AsRef<[D]> + AsMut<[D]>,
    T: AsRef<[AreaEntry]>,
{
    type Error = Error<D::Error>;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        let entry = self.entry(id)?;
        let Geometry { kind, write_size, erased, .. } = self.geometry(&entry)?;
        Some(AreaInfo { offset: entry.offset, size: entry.size, write_size, erased, kind })
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        let entry = self.entry(id).filter(|entry| offset < entry.size)?;
        self.logical_sector(&entry, offset).or_else(|| self.physical_sector(&entry, offset))
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error> {
        let (device, address, _) = self.locate(id, offset, buf.len(), Unit::Byte)?;
        device.read(address, buf).map_err(Error::Device)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Self::Error> {
        let (device, address, _) = self.locate(id, offset, data.len(), Unit::Write)?;
        device.write(address, data).map_err(Error::Device)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Self::Error> {
        let entry = self.entry(id).filter(|_| self.logical_sector.is_some());
        let mut end = offset.saturating_add(len);
        if let Some(entry) = entry {
            // Nothing is erased unless all of it may be.
            self.locate(id, offset, len as usize, Unit::Sector)?;
            while let Some(last) = end.checked_sub(1).filter(|last| *last >= offset) {
                let Some(sector) = self.physical_sector(&entry, last) else { break };
                let size = sector.size as usize;
                let (device, address, len) = self.locate(id, sector.offset, size, Unit::Sector)?;
                device.erase(address, len).map_err(Error::Device)?;
                end = sector.offset;
            }
            return Ok(());
        }
        let (device, address, len) = self.locate(id, offset, len as usize, Unit::Sector)?;
        device.erase(address, len).map_err(Error::Device)
    }
}
