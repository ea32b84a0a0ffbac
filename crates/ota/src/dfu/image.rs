//! One image of a device, in flash.

use updraft_dfu::{Dfu, DfuError};
use updraft_flash::{AreaId, AreaInfo, FlashMap, Sector, is_blank};
use updraft_image::Verifier;

use crate::Version;
use crate::platform::Written;

/// Bytes of the longest write that a flash may want.
const LONGEST_WRITE: usize = 512;

/// The slot of an image that takes updates. Offsets are bytes of the image.
pub(super) struct Image<'i, M> {
    pub dfu: &'i Dfu,
    pub map: &'i mut M,
}

impl<M: FlashMap> Image<'_, M> {
    pub fn running(&mut self) -> Version {
        let header = self.dfu.header(self.map, self.dfu.active_slot());
        header.map(|header| header.version.into()).unwrap_or_default()
    }

    /// Where the image begins in its area.
    fn start(&self) -> u32 {
        self.dfu.upload_start(self.map, self.dfu.upload_slot())
    }

    fn area(&self) -> AreaId {
        self.dfu.area(self.dfu.upload_slot())
    }

    fn info(&self) -> Result<AreaInfo, DfuError<M::Error>> {
        let area = self.area();
        self.map.info(area).ok_or(DfuError::NoSlot { area })
    }

    fn sector(&self, at: u32) -> Result<Sector, DfuError<M::Error>> {
        let area = self.area();
        let sector = self.map.sector_at(area, self.start().saturating_add(at));
        sector.ok_or(DfuError::NoSlot { area })
    }

    pub fn open(&mut self) -> Result<(), DfuError<M::Error>> {
        self.dfu.is_free(self.map)?;
        let trailer = *self.dfu.trailer(self.dfu.upload_slot());
        // The request goes first: it must never point at half an image.
        if !trailer.is_erased(self.map).map_err(DfuError::Flash)? {
            trailer.erase(self.map).map_err(DfuError::Flash)?;
        }
        // Below an image that begins further on, the bootloader would find an old one.
        let (area, start) = (self.area(), self.start());
        let mut at = 0;
        while let Some(sector) = self.map.sector_at(area, at).filter(|it| it.end() <= start) {
            if !is_blank(self.map, area, sector.offset, sector.size).map_err(DfuError::Flash)? {
                self.map.erase(area, sector.offset, sector.size).map_err(DfuError::Flash)?;
            }
            at = sector.end();
        }
        Ok(())
    }

    /// Takes back a request to boot it.
    pub fn take_back(&mut self) -> Result<(), DfuError<M::Error>> {
        self.dfu.is_free(self.map)?;
        let trailer = *self.dfu.trailer(self.dfu.upload_slot());
        trailer.erase(self.map).map_err(DfuError::Flash)
    }

    /// Erases what is not blank of the sector at `at`, and returns where the next one begins.
    pub fn erase_at(&mut self, at: u32) -> Result<u32, DfuError<M::Error>> {
        let (sector, area) = (self.sector(at)?, self.area());
        // Where torn writes cannot be read, the sector is not blank.
        let blank = is_blank(self.map, area, sector.offset, sector.size).unwrap_or(false);
        if !blank {
            self.map.erase(area, sector.offset, sector.size).map_err(DfuError::Flash)?;
        }
        Ok(sector.end().saturating_sub(self.start()))
    }

    /// Erases the image's beginning, if the bootloader would take it without having been asked.
    pub fn discard(&mut self) -> Result<u32, DfuError<M::Error>> {
        match self.dfu.takes_requests() {
            true => Ok(0),
            false => self.erase_at(0),
        }
    }

    /// Whether flash reads as `data`, and whether it is blank. What cannot be read is neither.
    fn compare(&mut self, offset: u32, data: &[u8], erased: u8) -> (bool, bool) {
        let (area, mut at) = (self.area(), self.start().saturating_add(offset));
        let (mut same, mut blank) = (true, true);
        for wanted in data.chunks(256) {
            let mut piece = [0; 256];
            let piece = piece.get_mut(..wanted.len()).unwrap_or_default();
            if self.map.read(area, at, piece).is_err() {
                return (false, false);
            }
            same &= piece == wanted;
            blank &= piece.iter().all(|byte| *byte == erased);
            at = at.saturating_add(wanted.len() as u32);
        }
        (same, blank)
    }

    /// Writes, or finds what was to be written there already, or something else.
    pub fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, DfuError<M::Error>> {
        let info = self.info()?;
        let (same, blank) = self.compare(offset, data, info.erased);
        if same {
            return Ok(Written::Stored);
        }
        if !blank && !info.kind.writes_replace() {
            let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let last = self.sector(offset.saturating_add(len.saturating_sub(1)))?;
            let (first, start) = (self.sector(offset)?, self.start());
            return Ok(Written::InTheWay {
                start: first.offset.saturating_sub(start),
                end: last.end().saturating_sub(start),
            });
        }
        self.program(offset, data, &info).map_err(DfuError::Flash)?;
        Ok(Written::Stored)
    }

    fn program(&mut self, offset: u32, data: &[u8], info: &AreaInfo) -> Result<(), M::Error> {
        let (area, at) = (self.area(), self.start().saturating_add(offset));
        let unit = (info.write_size.max(1) as usize).min(LONGEST_WRITE);
        let (whole, rest) =
            data.split_at_checked(data.len() - data.len() % unit).unwrap_or_default();
        if !whole.is_empty() {
            self.map.write(area, at, whole)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut last = [info.erased; LONGEST_WRITE];
        last.get_mut(..rest.len()).unwrap_or_default().copy_from_slice(rest);
        let last = last.get(..unit).unwrap_or_default();
        self.map.write(area, at.saturating_add(whole.len() as u32), last)
    }

    pub fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), DfuError<M::Error>> {
        let (area, at) = (self.area(), self.start().saturating_add(offset));
        self.map.read(area, at, buffer).map_err(DfuError::Flash)
    }

    /// The version of the image in the slot, if the bootloader would take it, and if it has no more
    /// than `size` bytes.
    pub fn verify<V: Verifier>(
        &mut self,
        size: u32,
        verifier: &mut V,
    ) -> Result<Option<Version>, DfuError<M::Error>> {
        let validated = match self.dfu.verify(self.map, verifier) {
            Ok(validated) => validated,
            Err(DfuError::Flash(error)) => return Err(DfuError::Flash(error)),
            Err(_) => return Ok(None),
        };
        let header = self.dfu.header(self.map, self.dfu.upload_slot())?;
        let whole = validated.stands() && validated.size <= size;
        Ok(whole.then_some(header.version.into()))
    }

    pub fn is_confirmed(&mut self) -> Result<bool, DfuError<M::Error>> {
        self.dfu.is_confirmed(self.map)
    }
}
