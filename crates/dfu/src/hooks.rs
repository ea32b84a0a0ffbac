//! What an application may do at the events of an update over SMP.

use core::convert::Infallible;

use updraft_flash::ProgressStore;
use updraft_smp::server::{Incoming, Refused};

/// What an application does at the events of an update. Nothing, unless it says so.
///
/// | Zephyr's event | here |
/// |---|---|
/// | `IMG_MGMT_DFU_CHUNK`, first packet | [`Hooks::admit`] |
/// | `IMG_MGMT_DFU_CHUNK`, every packet | [`Hooks::chunk`] |
/// | `IMG_MGMT_DFU_STARTED` | [`Hooks::started`] |
/// | `IMG_MGMT_DFU_CHUNK_WRITE_COMPLETE` | [`Hooks::written`] |
/// | `IMG_MGMT_DFU_PENDING` | [`Hooks::received`] |
/// | `IMG_MGMT_DFU_STOPPED` | [`Hooks::stopped`] |
/// | `IMG_MGMT_DFU_CONFIRMED` | [`Hooks::confirmed`] |
///
/// Zephyr reports an upload as stopped that it refused at the first packet. Here only one that was
/// reported as started stops.
pub trait Hooks {
    /// May refuse an upload at its first packet, before anything is erased. Every other check of
    /// that packet has passed.
    fn admit(&mut self, upload: &Incoming) -> Result<(), Refused> {
        let _ = upload;
        Ok(())
    }

    /// The slot has been prepared, or taken up again where a reset broke an upload off.
    fn started(&mut self, upload: &Incoming) {
        let _ = upload;
    }

    /// May refuse `len` bytes at `offset` of the file, and with them the upload. Those of the
    /// first packet come here too, once the slot has been prepared, unless they are there already.
    fn chunk(&mut self, upload: &Incoming, offset: u32, len: usize) -> Result<(), Refused> {
        let _ = (upload, offset, len);
        Ok(())
    }

    /// So many bytes of the file have been taken, and more are to come.
    fn written(&mut self, upload: &Incoming, taken: u32) {
        let _ = (upload, taken);
    }

    /// The whole file is in flash. Nothing of it has been verified.
    fn received(&mut self, upload: &Incoming) {
        let _ = upload;
    }

    /// An upload that was started ends without having been received: it failed, its slot was
    /// erased, or another one takes its place.
    fn stopped(&mut self, upload: &Incoming) {
        let _ = upload;
    }

    /// The running image has been confirmed.
    fn confirmed(&mut self, image: u8) {
        let _ = image;
    }

    /// After how many bytes the progress of an upload is kept anew, so that one that a reset broke
    /// off goes on there. Each time costs a write of the settings, or wherever it is kept. 0, as
    /// usual: it begins anew.
    fn progress_every(&self) -> u32 {
        0
    }

    /// Keeps a record of the progress where a reset does not reach it, in place of the last one.
    fn keep_progress(&mut self, record: &[u8]) {
        let _ = record;
    }

    /// Puts what was kept last into `record`, as far as it goes, and tells how long it is; `None`
    /// if there is nothing.
    fn kept_progress(&mut self, record: &mut [u8]) -> Option<usize> {
        let _ = record;
        None
    }

    /// Forgets what was kept.
    fn forget_progress(&mut self) {}
}

impl Hooks for () {}

impl<H: Hooks> Hooks for &mut H {
    fn admit(&mut self, upload: &Incoming) -> Result<(), Refused> {
        (**self).admit(upload)
    }

    fn started(&mut self, upload: &Incoming) {
        (**self).started(upload);
    }

    fn chunk(&mut self, upload: &Incoming, offset: u32, len: usize) -> Result<(), Refused> {
        (**self).chunk(upload, offset, len)
    }

    fn written(&mut self, upload: &Incoming, taken: u32) {
        (**self).written(upload, taken);
    }

    fn received(&mut self, upload: &Incoming) {
        (**self).received(upload);
    }

    fn stopped(&mut self, upload: &Incoming) {
        (**self).stopped(upload);
    }

    fn confirmed(&mut self, image: u8) {
        (**self).confirmed(image);
    }

    fn progress_every(&self) -> u32 {
        (**self).progress_every()
    }

    fn keep_progress(&mut self, record: &[u8]) {
        (**self).keep_progress(record);
    }

    fn kept_progress(&mut self, record: &mut [u8]) -> Option<usize> {
        (**self).kept_progress(record)
    }

    fn forget_progress(&mut self) {
        (**self).forget_progress();
    }
}

/// What hooks keep, as the stream knows it.
pub(crate) struct Kept<'h, H>(pub &'h mut H);

impl<H: Hooks> ProgressStore for Kept<'_, H> {
    type Error = Infallible;

    fn load(&mut self, _: &str, record: &mut [u8]) -> Result<Option<usize>, Infallible> {
        Ok(self.0.kept_progress(record))
    }

    fn save(&mut self, _: &str, record: &[u8]) -> Result<(), Infallible> {
        self.0.keep_progress(record);
        Ok(())
    }

    fn clear(&mut self, _: &str) -> Result<(), Infallible> {
        self.0.forget_progress();
        Ok(())
    }
}
