//! Requests and answers of group 1, images, save for the upload itself.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Op, group, image};

/// A slot of the image list. Flags that the server leaves out are `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageEntry<'p> {
    /// Number of the image; 0 where the device has one.
    pub image: u32,
    /// Slot within the image: 0 primary, 1 secondary.
    pub slot: u32,
    /// Version, `major.minor.revision` and `.build` unless that is 0.
    pub version: &'p str,
    /// Image hash; servers built without hashes leave it out.
    pub hash: Option<&'p [u8]>,
    /// May be booted.
    pub bootable: bool,
    /// Boots next, on trial or for good.
    pub pending: bool,
    /// Will not be reverted; while another image is on trial, the one to go back to.
    pub confirmed: bool,
    /// Runs now.
    pub active: bool,
    /// Boots next, for good.
    pub permanent: bool,
}

/// A slot as the slot information lists it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotEntry {
    /// Number of the image.
    pub image: u32,
    /// Slot within the image.
    pub slot: u32,
    /// Size of the slot in bytes; `None` if the device cannot open it.
    pub size: Option<u32>,
    /// The `image` to name in an upload to this slot; `None` if it cannot be uploaded to.
    pub upload_image_id: Option<u32>,
}

/// The answer to an upload request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadReply {
    /// The offset that the server wants next.
    pub off: u32,
    /// Whether the bytes in flash have the announced hash, once all are there.
    pub matched: Option<bool>,
}

impl Requests {
    /// Asks for the image list; see [`Answer::images`].
    pub fn image_list<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::IMAGE, image::STATE), |c| c.map(0)?.ok())
    }

    /// Has the image with `hash` boot once, on trial. The answer is the new image list.
    pub fn test<'b>(
        &mut self,
        buffer: &'b mut [u8],
        hash: &[u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.set_state(buffer, Some(hash), false)
    }

    /// Confirms the running image, or with `hash` has that image boot for good. The answer is the
    /// new image list.
    pub fn confirm<'b>(
        &mut self,
        buffer: &'b mut [u8],
        hash: Option<&[u8]>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.set_state(buffer, hash, true)
    }

    fn set_state<'b>(
        &mut self,
        buffer: &'b mut [u8],
        hash: Option<&[u8]>,
        confirm: bool,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::IMAGE, image::STATE), |c| {
            c.map(1 + u64::from(hash.is_some()))?;
            if let Some(hash) = hash {
                c.str("hash")?.bytes(hash)?;
            }
            c.str("confirm")?.bool(confirm)?.ok()
        })
    }

    /// Erases a slot, by its absolute number; without one, the slot that does not run.
    pub fn erase<'b>(
        &mut self,
        buffer: &'b mut [u8],
        slot: Option<u8>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::IMAGE, image::ERASE), |c| match slot {
            None => c.map(0)?.ok(),
            Some(slot) => c.map(1)?.str("slot")?.u8(slot)?.ok(),
        })
    }

    /// Asks for the sizes of the slots; see [`Answer::slots`].
    pub fn slot_info<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::IMAGE, image::SLOT_INFO), |c| c.map(0)?.ok())
    }
}

impl<'p> Answer<'p> {
    /// Calls `entry` for every slot of an image list.
    pub fn images(&self, mut entry: impl FnMut(ImageEntry<'p>)) -> Result<(), AnswerError> {
        self.fields(|key, value| match key {
            "images" => value.list(|item| {
                let (mut image, mut slot, mut version, mut hash) = (None, None, None, None);
                let mut flags = [None; 5];
                let [bootable, pending, confirmed, active, permanent] = &mut flags;
                item.map(|key, value| match key {
                    "image" => value.u32(&mut image),
                    "slot" => value.u32(&mut slot),
                    "version" => value.str(&mut version),
                    "hash" => value.bytes(&mut hash),
                    "bootable" => value.bool(bootable),
                    "pending" => value.bool(pending),
                    "confirmed" => value.bool(confirmed),
                    "active" => value.bool(active),
                    "permanent" => value.bool(permanent),
                    _ => Ok(()),
                })?;
                let [bootable, pending, confirmed, active, permanent] =
                    flags.map(Option::unwrap_or_default);
                entry(ImageEntry {
                    image: image.unwrap_or(0),
                    slot: slot.unwrap_or(0),
                    version: version.unwrap_or_default(),
                    hash,
                    bootable,
                    pending,
                    confirmed,
                    active,
                    permanent,
                });
                Ok(())
            }),
            _ => Ok(()),
        })
    }

    /// Calls `entry` for every slot of a slot information, and returns the smallest
    /// `max_image_size` that it names.
    pub fn slots(&self, mut entry: impl FnMut(SlotEntry)) -> Result<Option<u32>, AnswerError> {
        let mut limit: Option<u32> = None;
        let mut index = 0;
        self.fields(|key, value| match key {
            "images" => value.list(|item| {
                let (mut image, mut max) = (None, None);
                item.map(|key, value| match key {
                    "image" => value.u32(&mut image),
                    "max_image_size" => value.u32(&mut max),
                    "slots" => value.list(|item| {
                        let mut found =
                            SlotEntry { image: image.unwrap_or(index), ..SlotEntry::default() };
                        let mut slot = None;
                        item.map(|key, value| match key {
                            "slot" => value.u32(&mut slot),
                            "size" => value.u32(&mut found.size),
                            "upload_image_id" => value.u32(&mut found.upload_image_id),
                            _ => Ok(()),
                        })?;
                        found.slot = slot.unwrap_or(0);
                        entry(found);
                        Ok(())
                    }),
                    _ => Ok(()),
                })?;
                index += 1;
                limit = [limit, max].into_iter().flatten().min();
                Ok(())
            }),
            _ => Ok(()),
        })?;
        Ok(limit)
    }

    /// The answer to an upload request.
    pub fn upload(&self) -> Result<UploadReply, AnswerError> {
        let (mut off, mut matched) = (None, None);
        self.fields(|key, value| match key {
            "off" => value.u32(&mut off),
            "match" => value.bool(&mut matched),
            _ => Ok(()),
        })?;
        Ok(UploadReply { off: off.ok_or(self.incomplete())?, matched })
    }
}
