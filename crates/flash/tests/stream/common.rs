//! An area of four sectors behind a first one that belongs to somebody else, and a store.

use std::collections::HashMap;
use std::convert::Infallible;

use updraft_flash::{AreaEntry, AreaId, ProgressStore, Stream};
use updraft_sim::flash::{DeviceSpec, SimFlash};

pub const AREA: AreaId = AreaId(1);
pub const BLOCK: usize = 512;
pub const SECTOR: u32 = 4096;
pub const SIZE: u32 = 4 * SECTOR;

/// NOR flash in sectors of 4 KiB.
pub fn flash(write_size: u32) -> SimFlash {
    with(DeviceSpec::nor(5, SECTOR, write_size))
}

/// The area from the second sector of the device to its end.
pub fn with(spec: DeviceSpec) -> SimFlash {
    let (offset, size) = (spec.sectors[0].size, spec.size());
    let area = AreaEntry { id: AREA, device: 0, offset, size: size - offset };
    SimFlash::new(vec![spec], vec![area])
}

pub fn stream(flash: &SimFlash) -> Stream<BLOCK> {
    Stream::new(flash, AREA, 0, SIZE).expect("whole sectors")
}

/// Bytes of which no two blocks are alike, and none is erased.
pub fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8 & 0x7f).collect()
}

#[derive(Clone, Debug, Default)]
pub struct Settings(pub HashMap<String, Vec<u8>>);

impl ProgressStore for Settings {
    type Error = Infallible;

    fn load(&mut self, key: &str, record: &mut [u8]) -> Result<Option<usize>, Infallible> {
        let Some(stored) = self.0.get(key) else { return Ok(None) };
        for (to, from) in record.iter_mut().zip(stored) {
            *to = *from;
        }
        Ok(Some(stored.len()))
    }

    fn save(&mut self, key: &str, record: &[u8]) -> Result<(), Infallible> {
        self.0.insert(key.into(), record.into());
        Ok(())
    }

    fn clear(&mut self, key: &str) -> Result<(), Infallible> {
        self.0.remove(key);
        Ok(())
    }
}
