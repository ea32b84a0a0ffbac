//! Serial recovery: the bootloader takes an image over a serial line, whatever became of the
//! application.
//!
//! ```text
//! Entry        whether to go into recovery at all: button, boot mode, no image, a wait
//! Port         bytes in, bytes out: framing around
//! Recovery     request in, answer out: a subset of SMP, in MCUboot's dialect
//!                list, set state ─ the images that the bootloader would accept
//!                upload          ─ into the primary slot, or the one that the client names
//! ```
//! There is no clock and no I/O; flash is reached through [`updraft_flash::FlashMap`], signatures
//! through [`updraft_image::Verifier`]. An image becomes visible in its slot with the last write of
//! its upload: a cut never leaves half an image that looks like a whole one.
//!
//! The slots are not SMP's [`Slots`](updraft_smp::server::Slots): those are an application's, which
//! runs from one of them and must not touch it, and whose client is told of images that nobody
//! verified.
//!
//! Source of commands and answers: MCUboot `docs/serial_recovery.md` and `boot/boot_serial`, and
//! answers recorded from it (`vectors/smp`).
//!
//! # Strictly, or like the original
//!
//! With [`Strictness::Imitate`](updraft_image::Strictness) the answers are the original's. By
//! default these differ:
//!
//! | situation | original | strictly |
//! |---|---|---|
//! | first chunk without an image header, or with an impossible one | taken | `rc` 3, nothing is erased |
//! | flagged not to be booted; larger than the bootloader takes | taken | the same |
//! | encrypted or compressed | taken; an encrypted image is decrypted in place, and lost if a cut interrupts that | `rc` 8, nothing is erased |
//! | first chunk that is the whole file | taken | validated before anything is erased |
//! | `sha` | ignored | checked at the end: `rc` 9; longer than 32 bytes: `rc` 3 |
//! | first chunk of the upload under way, same `len` and `sha` | starts again | goes on |
//! | the same after a reset | starts again | goes on by what is in flash |
//! | file that the slot holds already | written again | validated; `off` is its end |
//! | last chunk | `rc` 0 | image validated: `rc` 9 if damaged, 11 if not for this device, 3 if malformed; and is none then |
//! | last chunk sent again | `rc` 0 | the same answer as before |
//! | request for an update pending behind an upload to the primary slot | replaces it at the next boot | withdrawn |
//! | swap status left in the scratch area behind such an upload | the swap goes on, over it | erased |
//! | upload to the secondary slot while a swap is interrupted | destroys both images | `rc` 6 |
//! | state of the image in the primary slot set | marks the secondary's | confirms it; test: `rc` 3 |
//! | slot information without direct upload | names the secondary slot | names the slot that is written |
//!
//! Failures that the original does not know carry a short text (`rsn`).
//!
//! Either way: nothing is decrypted, chunks never pass the announced length, `rc` 1 stands for a flash that fails, an
//! image is verified before it is marked, the reserved bits of a request are not sent back, and
//! slot information asked for by a write is `rc` 8 and nothing else.
#![no_std]

mod config;
mod entry;
mod images;
mod port;
mod server;
mod upload;
mod writer;

pub use config::{Config, Hooks, ImageSlots, Images, MAX_IMAGES, NoHooks, Offers};
pub use entry::{AfterBoot, AtReset, BOOT_MODE_RECOVERY, BeforeBoot, Entry, Reason, Ways};
pub use port::{Heard, Port};
pub use server::{Recovery, Reply};
