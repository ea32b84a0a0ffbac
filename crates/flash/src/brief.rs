//! A flash map with short errors.

use crate::{AreaId, AreaInfo, Fault, FlashMap, Sector};

/// A flash map whose failures are no more than a [`Fault`], and which remembers the last one whole.
///
/// Whatever calls a flash map hands its errors on, at every step up to whoever tells the user. On a
/// small chip that code is to be counted: it grows with the error, and a board's may be large. So a
/// bootloader works on `Brief`, and asks [`Brief::last_error`] for the rest when it has ended.
#[derive(Debug)]
pub struct Brief<M: FlashMap> {
    map: M,
    last_error: Option<M::Error>,
}

impl<M: FlashMap> Brief<M> {
    /// `map` with short errors.
    pub const fn new(map: M) -> Self {
        Self { map, last_error: None }
    }

    /// The last failure: what happened, and where.
    pub const fn last_error(&self) -> Option<&M::Error> {
        self.last_error.as_ref()
    }

    #[inline(never)]
    fn note(&mut self, result: Result<(), M::Error>) -> Result<(), Fault> {
        let Err(error) = result else { return Ok(()) };
        let fault = crate::FlashError::fault(&error);
        self.last_error = Some(error);
        Err(fault)
    }
}

impl<M: FlashMap> FlashMap for Brief<M> {
    type Error = Fault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.map.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.map.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Fault> {
        let read = self.map.read(id, offset, buf);
        self.note(read)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Fault> {
        let written = self.map.write(id, offset, data);
        self.note(written)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Fault> {
        let erased = self.map.erase(id, offset, len);
        self.note(erased)
    }
}
