//! The application's side of an update: write an image into the other slot, ask the bootloader to
//! boot it, confirm the one that runs.
//!
//! ```text
//! SlotWriter   bytes in, erased as they come, gone on with after a reset
//! Dfu          one image: what may be uploaded, verify, request, confirm, erase
//! SlotTable    all images of a device, their slots by number
//! DfuSlots     that behind SMP's image group (`updraft_smp::server::Slots`), with hooks
//! ```
//! Unlike the original API, a request verifies the image before it marks it: an image that the
//! bootloader would refuse is refused here, where somebody can still be told why. For the same
//! reason [`Dfu::admit`] refuses by its header what could not be installed, and an image that the
//! next boot goes back to is not written over unless that is said
//! ([`Dfu::writer_giving_up_revert`]).
//!
//! # For those who know Zephyr's calls
//!
//! | Zephyr | here |
//! |---|---|
//! | `flash_area_open`, `_get_sectors`, `_erased_val`, `_align` | [`FlashMap::info`], [`FlashMap::sector_at`] |
//! | `flash_area_read`, `_write`, `_erase`, `_flatten` | [`FlashMap`] |
//! | `flash_area_check_int_sha256` | [`digest`] |
//! | `stream_flash_init`, `_buffered_write`, `_bytes_written`, `_bytes_buffered` | [`Stream`] |
//! | its callback | [`Stream::write_with`], [`Stream::with_read_back`] |
//! | `stream_flash_progress_save`, `_load`, `_clear` | [`Stream::save_progress`], [`Stream::load_progress`], [`ProgressStore::clear`] |
//! | `stream_flash_erase_page` | none: a stream erases what it needs, and nothing else |
//! | `flash_img_init` | [`Dfu::writer`], [`Dfu::resume_writer`] |
//! | `flash_img_init_id` | [`SlotWriter::new`] |
//! | `flash_img_get_upload_slot` | [`Dfu::upload_slot`] |
//! | `flash_img_buffered_write`, `_bytes_written` | [`SlotWriter::write`], [`SlotWriter::finish`], [`SlotWriter::written`] |
//! | `flash_img_check` | [`Dfu::check`] |
//! | `boot_fetch_active_slot` | [`Dfu::active_slot`] |
//! | `boot_read_bank_header` | [`Dfu::header`] |
//! | `boot_get_image_start_offset` | [`Dfu::image_start`] |
//! | `boot_get_trailer_status_offset` | [`TrailerAccess::layout`] of [`Dfu::trailer`] |
//! | `mcuboot_swap_type`, `_multi` | [`Dfu::swap_type`], [`SlotTable::swap_type`] |
//! | `boot_request_upgrade`, `_multi` | [`Dfu::request_upgrade`], [`SlotTable::request`] |
//! | `boot_is_img_confirmed` | [`Dfu::is_confirmed`] |
//! | `boot_write_img_confirmed`, `_multi` | [`Dfu::confirm`], [`SlotTable::confirm`] |
//! | `boot_erase_img_bank` | [`Dfu::erase_slot`] |
//! | `dfu_boot_get_flash_area_id`, `_get_erased_val`, `_read`, `_flash_area_check_empty`, `_erase_slot` | [`SlotTable::area`], [`erased_value`](SlotTable::erased_value), [`read`](SlotTable::read), [`is_blank`](SlotTable::is_blank), [`erase`](SlotTable::erase) |
//! | `dfu_boot_validate_header`, `_read_img_info` | [`Header::parse`], [`SlotTable::image_info`] |
//! | `dfu_boot_get_swap_type`, `_set_next`, `_set_pending`, `_confirm` | [`SlotTable::swap_type`], [`request`](SlotTable::request), [`confirm`](SlotTable::confirm) |
//! | `img_mgmt` checks of an upload | [`Dfu::admit`], and [`ImageGroup`] for what is its own |
//! | `img_mgmt` policy and options | [`Policy`] |
//! | `img_mgmt` callbacks | [`Hooks`] |
//!
//! [`FlashMap`]: updraft_flash::FlashMap
//! [`FlashMap::info`]: updraft_flash::FlashMap::info
//! [`FlashMap::sector_at`]: updraft_flash::FlashMap::sector_at
//! [`Stream`]: updraft_flash::Stream
//! [`Stream::write_with`]: updraft_flash::Stream::write_with
//! [`Stream::with_read_back`]: updraft_flash::Stream::with_read_back
//! [`Stream::save_progress`]: updraft_flash::Stream::save_progress
//! [`Stream::load_progress`]: updraft_flash::Stream::load_progress
//! [`ProgressStore::clear`]: updraft_flash::ProgressStore::clear
//! [`TrailerAccess::layout`]: updraft_flash::TrailerAccess::layout
//! [`Header::parse`]: updraft_image::Header::parse
//! [`ImageGroup`]: updraft_smp::server::ImageGroup
//! [`Policy`]: updraft_smp::server::Policy
#![no_std]

mod error;
mod hooks;
mod image;
mod request;
mod slots;
mod state;
mod table;
mod upload;
mod writer;

pub use error::{DfuError, ResumeError};
pub use hooks::Hooks;
pub use image::{ImageInfo, digest};
pub use request::{Requested, Upgrade};
pub use slots::DfuSlots;
pub use state::{Config, Dfu};
pub use table::SlotTable;
pub use upload::Offer;
pub use writer::SlotWriter;
