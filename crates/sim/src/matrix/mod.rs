//! Boards that nobody built, to prove things over all of them: every upgrade mode on every kind of
//! flash, in geometries that differ in whatever a bootloader could get wrong.
//!
//! ```text
//! Shape      sectors, write size, erased value, alignment of one pair of slots     (shapes)
//! Cell       a mode × a kind × a shape × how full the slots are × whether images
//!            are encrypted; its board file                                         (cell)
//! Sweep      what exploring a cell came to                                         (sweep)
//! Tables     many of them, by mode and kind                                        (tables)
//! ```
//! Cells are made without asking whether they make sense. The board file decides: what it refuses
//! counts as refused, with the reason that anybody else would be given.

mod cell;
mod image;
mod operations;
mod shapes;
mod sweep;
mod tables;

pub use cell::{Cell, Fill, Secrecy, Unplayed};
pub use image::{image, keys};
pub use operations::flash_operations;
pub use shapes::{SHAPES, Shape};
pub use sweep::{Depth, Promise, Sweep};
pub use tables::{Totals, modes_and_kinds};

use updraft_board::FlashKind;
use updraft_image::UpgradeMode;

/// Every kind of flash.
pub const KINDS: [FlashKind; 4] =
    [FlashKind::Nor, FlashKind::NorLimited, FlashKind::EccWords, FlashKind::SelfErasingRows];

/// Every cell, those included that board files refuse.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for mode in UpgradeMode::ALL {
        for kind in KINDS {
            for shape in &SHAPES {
                // Wrapped keys take more room in trailers, and so do large images.
                for (fill, secrecy) in [
                    (Fill::Shrinking, Secrecy::Plain),
                    (Fill::Full, Secrecy::Plain),
                    (Fill::Shrinking, Secrecy::Encrypted),
                    (Fill::Full, Secrecy::KeysKeptWrapped),
                ] {
                    cells.push(Cell { mode, kind, shape, fill, secrecy });
                }
            }
        }
    }
    cells
}

/// Those for which all pairs of cuts are within reach.
pub fn small_cells() -> Vec<Cell> {
    let mut cells = cells();
    cells.retain(|cell| {
        let extremes = [(Fill::Shrinking, Secrecy::Plain), (Fill::Full, Secrecy::KeysKeptWrapped)];
        cell.shape.is_small && extremes.contains(&(cell.fill, cell.secrecy))
    });
    cells
}
