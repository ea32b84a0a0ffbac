//! What an application may do at the events of an update over SMP.

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

    /// The slot has been prepared.
    fn started(&mut self, upload: &Incoming) {
        let _ = upload;
    }

    /// May refuse `len` bytes at `offset` of the file, and with them the upload. Those of the
    /// first packet come here too, once the slot has been prepared.
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
}
