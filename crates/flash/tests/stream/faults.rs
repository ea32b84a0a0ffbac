//! What goes wrong: writes that fail, cells that read back as something else, checks that refuse.

use updraft_flash::{AreaId, AreaInfo, Fault, FlashMap, Sector, StreamError};
use updraft_sim::flash::{SimFlash, Torn};

use crate::common::{AREA, BLOCK, data, flash, stream};

/// What a flash does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Read,
    Write,
    Erase,
    /// Reports success and does nothing.
    WriteLost,
}

struct Faulty(SimFlash, Option<Wrong>);

impl FlashMap for Faulty {
    type Error = Fault;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Fault> {
        match self.1 {
            Some(Wrong::Read) => Err(Fault::Device),
            _ => self.0.read(id, offset, buf).map_err(|_| Fault::Device),
        }
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Fault> {
        match self.1 {
            Some(Wrong::Write) => Err(Fault::Device),
            Some(Wrong::WriteLost) => Ok(()),
            _ => self.0.write(id, offset, data).map_err(|_| Fault::Device),
        }
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Fault> {
        match self.1 {
            Some(Wrong::Erase) => Err(Fault::Device),
            _ => self.0.erase(id, offset, len).map_err(|_| Fault::Device),
        }
    }
}

#[test]
fn a_check_that_refuses_is_passed_on_with_its_code() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    stream.write(&mut flash, &data(BLOCK)).unwrap();
    let refused = stream.write_with(&mut flash, &data(BLOCK), |_| Err(14));
    assert_eq!(refused, Err(StreamError::Rejected { code: 14 }));
    assert_eq!((stream.written(), stream.buffered()), (BLOCK as u32, BLOCK));
}

#[test]
fn a_write_that_fails_leaves_what_is_written_and_keeps_what_is_buffered() {
    for wrong in [Wrong::Write, Wrong::Erase] {
        let mut flash = Faulty(flash(4), None);
        let mut stream = stream(&flash.0);
        stream.write(&mut flash, &data(4096)).unwrap();
        flash.1 = Some(wrong);
        stream.write(&mut flash, &[1; 3]).unwrap();
        assert_eq!(stream.flush(&mut flash), Err(StreamError::Flash(Fault::Device)));
        assert_eq!((stream.written(), stream.buffered()), (4096, 3));
        assert_eq!(stream.erased(), 4096 * (1 + u32::from(wrong == Wrong::Write)));
    }
}

#[test]
fn a_block_that_cannot_be_read_back_is_an_error() {
    let mut flash = Faulty(flash(4), Some(Wrong::Read));
    let mut stream = stream(&flash.0).with_read_back();
    let refused = stream.write(&mut flash, &data(BLOCK));
    assert_eq!(refused, Err(StreamError::Flash(Fault::Device)));
    assert_eq!((stream.written(), stream.buffered()), (0, BLOCK));
}

#[test]
fn a_block_that_reads_back_as_something_else_is_an_error() {
    let mut flash = Faulty(flash(4), Some(Wrong::WriteLost));
    let mut stream = stream(&flash.0).with_read_back();
    let refused = stream.write(&mut flash, &data(BLOCK));
    assert_eq!(refused, Err(StreamError::ReadBack { offset: 0 }));
}

/// Zephyr's callers may go on, over cells of which nobody knows what is in them.
#[test]
fn a_stream_that_has_failed_takes_nothing_more() {
    let mut flash = Faulty(flash(4), Some(Wrong::Write));
    let mut stream = stream(&flash.0);
    stream.write(&mut flash, &data(BLOCK)).unwrap_err();
    flash.1 = None;
    assert_eq!(stream.write(&mut flash, &[1]), Err(StreamError::Dead));
    assert_eq!(stream.flush(&mut flash), Err(StreamError::Dead));
    assert_eq!(flash.0.bytes(AREA)[..BLOCK], [0xff; BLOCK]);
}

#[test]
fn a_power_cut_is_an_error_like_any_other() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    flash.supply().cut_at(1, Torn::Half);
    assert!(matches!(stream.write(&mut flash, &data(BLOCK)), Err(StreamError::Flash(_))));
    assert_eq!(stream.written(), 0);
}
