//! The bootloader: what to run, and how a new image gets to where it runs.
//!
//! ```text
//! Bootloader::boot, for each image
//!   progress    did a power cut interrupt a swap?        status records, primary trailer
//!   decide      what did the application ask for?        trailers of both slots
//!   check       may the new image run?                   updraft-image, Verifier
//! then, for all of them
//!   depend      does each get what it needs?             protected TLVs
//!   install     bring them to the primary slots          Strategy: Overwrite, SwapMove, …
//!   start       check what is there now, tell where      Boot, or BootError
//! ```
//! Updates may be encrypted: the verifier then has a private key
//! ([`Verifier::private_key`](updraft_image::Verifier::private_key)), and what the copies pass
//! through on the way is in [`Secrets`]. They may be compressed: [`OverwriteCompressed`].
//!
//! Other ways to run images have loaders of their own: [`EqualSlots`] (direct-XIP and RAM-load),
//! [`SingleSlot`], [`FirmwareLoader`]. [`factory`] is a policy for boards that can be rolled back to
//! the image that they left the factory with.
//!
//! Everything that a boot knows of earlier boots is in flash. There is no clock and no I/O; flash
//! is reached through [`updraft_flash::FlashMap`], signatures through
//! [`updraft_image::Verifier`], counters through [`SecurityCounters`], all of them put together as
//! [`Platform`]. Trailers, swap status and
//! the order of operations are MCUboot's (docs/design.md), so that either can finish what the
//! other began.
//!
//! # Strictly, or like the original
//!
//! With [`Strictness::Imitate`](updraft_image::Strictness) every erase and write is the
//! original's. By default these differ:
//!
//! | situation | original | strictly |
//! |---|---|---|
//! | a flag byte that a cut has torn | neither set nor unset: requests stick, tests are never reverted | primary: set; secondary `image_ok`: unset |
//! | cut while the request of a recorded swap is erased | the request is read again, whatever is left of it | the record counts |
//! | torn magic while a revert is being prepared | taken for foreign; one more cut and the revert is lost | preparation is done again |
//! | recorded revert, nothing moved yet | prepared once more | goes on |
//! | record that names no swap | resumed | ignored: an erase may leave it behind |
//! | swap status that points past the images | followed | [`BootError::BadStatus`] |
//! | missing status record | not noticed | [`Event::StatusGap`]; refused unless the primary slot is validated |
//! | no room to swap | `copy_done` is written, again at every boot; the request stays for ever | the request is cleared |
//! | swap with nothing bootable in the primary slot | not done; nothing boots | done |
//! | image under test, nothing to revert to | primary trailer erased; at the next boot, if there was a bad image | `image_ok` written at once |
//! | secondary slot that cannot be read while its image is checked | erased | left alone, tried again at the next boot |
//! | recorded swap whose image turns out bad | secondary trailer erased at every boot | once; `copy_done` ends it |
//! | request without an image | swap: erased, also if erased already; overwrite: left for the next upload | erased if it is there |
//! | overwrite, clearing the request | header, then the last sector | trailer's flags, then header |
//! | overwrite, image only | one write past the image; shared sectors erased twice | the image; once |
//! | overwrite, primary trailer asking for a revert | secondary image installed | ignored |
//! | downgrade check | trusts the version of whatever is in the primary slot | only if that image is valid |
//! | bootstrap on request of a test | will be "reverted" to itself | confirmed |
//! | first of several images bootstrapped while another is upgraded | not done | done |
//! | secondary slot written in wider units: its trailer reaches further down | and is erased over the largest images | it ends where the primary's would |
//! | swap-offset: revert interrupted after the first of its steps | asked for anew; one more cut there, and nothing may boot | goes on |
//! | swap-offset: image to revert to replaced by an upload | brought in from the wrong place; nothing boots | image under test stays |
//! | primary slot that cannot be read while its image is checked | counts as damaged: replaced, or no downgrade any more | the boot fails, and is tried again |
//! | recorded swap whose image cannot be read, or that is not carried out | stands, and installs what is uploaded next | ended |
//! | bootstrap over the status of an old swap | a torn erase may leave a swap "under way" | the image is asked for first |
//! | bootstrap of an encrypted image | a torn end may leave it running and its key damaged: no swap any more | its beginning is copied last |
//! | no room to swap, and the primary image cannot run | refused at every boot | installed without keeping it |
//! | image under test, another one uploaded over the one to revert to | reverts to that | the same: the application must not let it happen |
//! | swap-scratch: scratch area with its record being erased, torn | copied to the primary slot once more, whatever is left | retired before it is erased |
//! | swap-scratch: the same behind a chunk that shares a sector with the trailer, left by the original | copied once more | the status record in the primary trailer counts |
//! | swap-scratch: scratch area behind such a chunk | erased again | erased once |
//! | swap-scratch: revert recorded, request erased; one more cut | the record is erased and the revert lost | the record is kept |
//! | swap-scratch: image with a magic where the scratch area ends | taken for a record | told from one |
//! | swap-scratch: record in the scratch area, request gone | carried out | ignored |
//! | swap-scratch: chunk that ends within a sector of the secondary slot | takes the rest of it too | no upgrade |
//! | swap-scratch: status records on the way to the primary trailer | copied, at times beside it | left out |
//! | equal slots: an image that cannot be started | erased | erased once another one has been started |
//! | equal slots with revert: failed test, or never asked for | erased | left; runs only if nothing better does |
//! | equal slots with revert: image on its first start | marked, then validated | validated, then marked |
//! | equal slots with revert: first start that cannot be marked | started, and started again at every boot | the boot fails |
//! | equal slots with revert: image that must not be booted, not asked for | erased | left |
//! | RAM-load with revert: security counter | raised before the image is confirmed | after |
//! | RAM-load: image that ends where another begins | refused | accepted |
//! | running image encrypted for another device | hangs | [`Event::CannotEncrypt`]; it stays, and the request is cleared |
//! | record of an older swap of images just as large | its keys are used | the keys are compared, and the record is made again |
//! | no image at all in the slots of a further image | nothing boots, nothing is upgraded | the others do |
//!
//! The missing status record is noticed in either case, and in neither is the header of an image
//! that is being swapped out by offset looked for where the other one is (which costs the original
//! an old image that is encrypted), nor does a bootstrap by
//! offset copy from any place but the image's. [`updraft_image::validate`] lists what it
//! refuses in addition.
#![no_std]

mod bootloader;
mod config;
mod copy;
mod counter;
mod course;
mod dependencies;
mod equal_slots;
pub mod factory;
mod firmware_loader;
mod outcome;
mod overwrite;
#[cfg(feature = "compression")]
mod overwrite_compressed;
mod placement;
mod platform;
mod secrets;
mod shared_data;
mod single_slot;
mod slots;
mod status;
mod strategy;
mod swap_move;
mod swap_offset;
mod swap_record;
mod swap_scratch;
mod swap_status;
mod upgrade;

pub use bootloader::Bootloader;
pub use config::{Config, Configured, Downgrade, Images, MAX_IMAGES, OneImage};
pub use copy::PIECE;
pub use counter::{CounterFault, FlashCounters, NoCounters, SecurityCounters};
pub use equal_slots::{EqualSlots, InPlace, InRam, LoadRegion};
pub use firmware_loader::FirmwareLoader;
pub use outcome::{Boot, BootError, Event, Unmet};
pub use overwrite::Overwrite;
#[cfg(feature = "compression")]
pub use overwrite_compressed::OverwriteCompressed;
pub use placement::{Placed, Placement};
pub use platform::{Hooks, NoHooks, Platform, Status};
pub use secrets::Secrets;
pub use shared_data::{BootInfo, ShareError, SharedData, SharedRecovery, SharedSignature};
pub use single_slot::{SingleSlot, Validate};
pub use slots::{Slot, Slots};
pub use strategy::{AnyStrategy, Installed, Job, Place, Progress, Strategy};
pub use swap_move::SwapMove;
pub use swap_offset::SwapOffset;
pub use swap_scratch::SwapScratch;
pub use swap_status::SwapStatus;
