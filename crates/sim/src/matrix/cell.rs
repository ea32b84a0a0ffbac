//! One cell of the matrix, and the board file that it stands for.

use std::fmt::{self, Write as _};

use updraft_board::{Board, FlashKind, LoadError};
use updraft_image::UpgradeMode;

use super::KINDS;
use super::image::{image_of, keys};
use super::shapes::{SHAPES, Shape};
use crate::UnplayableBoard;
use crate::explore::{Story, StoryError, stories};

/// How much of the largest image the two images take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fill {
    /// The old one 70 %, the new one 45 %; 90 % and 75 % where most of their sectors are equal.
    Shrinking,
    /// The old one 33 %, or 75 %, the new one all.
    Full,
}

/// Whether images are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Secrecy {
    /// They are not.
    Plain,
    /// They are, and swaps keep their keys as they are.
    Encrypted,
    /// They are, and swaps keep their keys as they came.
    KeysKeptWrapped,
}

/// A mode on a kind of flash in a geometry.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The upgrade mode.
    pub mode: UpgradeMode,
    /// What kind of flash all of its devices are.
    pub kind: FlashKind,
    /// The geometry.
    pub shape: &'static Shape,
    /// How large the images are.
    pub fill: Fill,
    /// Whether they are encrypted.
    pub secrecy: Secrecy,
}

/// Why there is nothing to explore in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplayed {
    /// The board file refuses it; everything that it says about it.
    Refused(String),
    /// The board file allows it, and nothing here can play it.
    Unplayable(UnplayableBoard),
}

impl fmt::Display for Unplayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Unplayable(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [old, new] = self.percents();
        let Self { mode, kind, shape, .. } = self;
        let secrecy = match self.secrecy {
            Secrecy::Plain => "",
            Secrecy::Encrypted => ", encrypted",
            Secrecy::KeysKeptWrapped => ", encrypted, keys kept wrapped",
        };
        let (kind, shape) = (kind.name(), shape.name);
        let alike = if self.images_are_alike() { ", most sectors equal" } else { "" };
        write!(f, "{mode} on {kind}, {shape}, images of {old} % and {new} %{secrecy}{alike}")
    }
}

/// Bytes of the header of images.
const HEADER: u32 = 32;
/// The smallest image that is worth updating.
const SMALLEST: u32 = 128;

impl Cell {
    /// The board.
    pub fn board(&self) -> Result<Board, Unplayed> {
        let board = match Board::parse(&self.board_file(), "matrix") {
            Ok(board) => board,
            Err(LoadError::Refused { problems, .. }) => {
                let problems: Vec<_> = problems.into_iter().map(|it| it.message).collect();
                return Err(Unplayed::Refused(problems.join("; ")));
            }
            Err(error) => return Err(Unplayed::Refused(error.to_string())),
        };
        let capacity = board.capacity(0);
        if capacity.max_image < SMALLEST {
            let working = capacity.working;
            return Err(Unplayed::Refused(format!("no image of any use fits: {working}")));
        }
        Ok(board)
    }

    /// Whether two sectors of three are equal in the two images, as far as both reach: in half of
    /// the cells, where images of every size and geometries of every kind are among them.
    pub fn images_are_alike(&self) -> bool {
        let shape = SHAPES.iter().position(|shape| std::ptr::eq(shape, self.shape));
        let kind = KINDS.iter().position(|kind| *kind == self.kind);
        let fill = usize::from(self.fill == Fill::Full);
        (shape.unwrap_or_default() + kind.unwrap_or_default() + fill).is_multiple_of(2)
    }

    fn percents(&self) -> [u32; 2] {
        match (self.fill, self.images_are_alike()) {
            (Fill::Shrinking, false) => [70, 45],
            (Fill::Full, false) => [33, 100],
            (Fill::Shrinking, true) => [90, 75],
            (Fill::Full, true) => [75, 100],
        }
    }

    /// The images of the update, for the board of this cell.
    pub fn images(&self, board: &Board) -> [Vec<u8>; 2] {
        let max = board.capacity(0).max_image;
        let [old, new] = self.percents();
        let sectors = self.shape.slots.iter().copied().flatten().map(|run| run.1);
        let unit = self.shape.logical.or(sectors.max()).unwrap_or(1);
        let differ = |at: u32| !self.images_are_alike() || at / unit % 3 == 2;
        let sized = |major, percent: u32| {
            let size = (max * percent / 100).max(SMALLEST);
            image_of(board, major, size, differ).unwrap_or_default()
        };
        [sized(1, old), sized(2, new)]
    }

    /// Everything that can happen there. None in modes whose bootloader writes nothing.
    pub fn stories(&self, board: &Board) -> Result<Vec<Story>, Unplayed> {
        let [old, new] = self.images(board);
        match stories(board, &old, &new, &keys(board)) {
            Ok(stories) => Ok(stories),
            Err(StoryError::NothingToCut(_)) => Ok(Vec::new()),
            Err(StoryError::Board(why)) => Err(Unplayed::Unplayable(why)),
            // Nothing that a board file allows may fail here.
            Err(why) => panic!("{self}: {why}"),
        }
    }

    /// Whether the mode brings images to the primary slot, where a factory image can take their
    /// place.
    fn brings_images(&self) -> bool {
        self.mode.swaps() || self.mode == UpgradeMode::OverwriteOnly
    }

    /// The board as a file, for whoever wants to walk a counter-example.
    pub fn board_file(&self) -> String {
        let mut plan = Plan::new(self);
        let Shape { slots: [primary, secondary], scratch, two_devices, .. } = *self.shape;
        let second = usize::from(two_devices);
        let (mut primary, mut secondary) = (primary.to_vec(), secondary.to_vec());
        if self.shape.spare {
            let longer = match self.mode {
                UpgradeMode::SwapOffset => Some(&mut secondary),
                UpgradeMode::SwapMove => Some(&mut primary),
                _ => None,
            };
            longer.and_then(|runs| runs.last_mut()).into_iter().for_each(|run| run.0 += 1);
        }
        plan.area("primary", 0, &primary, self.shape.offset[0]);
        plan.area("secondary", second, &secondary, self.shape.offset[1]);
        let unit = primary.iter().chain(&secondary).map(|run| run.1).min().unwrap_or(1);
        let exchanges =
            matches!(self.mode, UpgradeMode::SwapScratch | UpgradeMode::StatusPartition);
        if exchanges && scratch > 0 {
            plan.area("scratch", 0, &[(scratch / unit, unit)], 0);
        }
        if self.mode == UpgradeMode::StatusPartition {
            // Two copies of a table for each slot and the scratch area; a row has 12 bytes of its
            // own, a table 64 besides the sectors.
            let payload = unit.saturating_sub(12).max(1);
            let rows = self.shape.max_sectors.div_ceil(payload) + 64u32.div_ceil(payload);
            plan.area("status", 0, &[(3 * 2 * rows, unit)], 0);
        }
        let primary_only = [UpgradeMode::OverwriteOnly].contains(&self.mode) || self.mode.swaps();
        if primary_only {
            plan.area("factory", second, &primary, 0);
        }
        plan.into_toml()
    }
}

/// A board file in the making.
struct Plan<'c> {
    cell: &'c Cell,
    /// Runs of sectors of each device, and how long they are together.
    devices: [(Vec<(u32, u32)>, u32); 2],
    areas: String,
}

impl<'c> Plan<'c> {
    fn new(cell: &'c Cell) -> Self {
        Self { cell, devices: Default::default(), areas: String::new() }
    }

    /// Puts an area of `runs` behind those that are there already, `offset` bytes into a sector.
    fn area(&mut self, role: &str, device: usize, runs: &[(u32, u32)], offset: u32) {
        let (sectors, end) = &mut self.devices[device];
        let size: u32 = runs.iter().map(|(count, size)| count * size).sum();
        let _ = write!(
            self.areas,
            "[[area]]\nname = \"{role}\"\nrole = \"{role}\"\nflash = \"flash{device}\"\n\
             offset = {}\nsize = {size}\n\n",
            *end + offset
        );
        sectors.extend(runs);
        *end += size;
        if let Some((_, last)) = runs.last().filter(|_| offset > 0) {
            sectors.push((1, *last));
            *end += last;
        }
    }

    fn into_toml(self) -> String {
        let Cell { mode, kind, shape, .. } = *self.cell;
        let mut file = format!(
            "name = \"matrix\"\ndescription = \"{}\"\n\n[[core]]\nname = \"app\"\n\
             arch = \"cortex-m4f\"\ntarget = \"thumbv7em-none-eabihf\"\nmhz = 64\n\n\
             [[ram]]\nbase = 0x20000000\nsize = \"256K\"\n\n",
            self.cell
        );
        for (index, (sectors, _)) in self.devices.iter().enumerate() {
            if sectors.is_empty() {
                continue;
            }
            let sectors: Vec<_> = sectors
                .iter()
                .map(|(count, size)| format!("{{ size = {size}, count = {count} }}"))
                .collect();
            let limits = match kind {
                FlashKind::NorLimited => "word = 4\nword_writes = 2\n",
                _ => "",
            };
            let _ = write!(
                file,
                "[[flash]]\nname = \"flash{index}\"\nkind = \"{}\"\n{limits}base = {:#x}\n\
                 erased = {}\nwrite_size = {}\nsectors = [{}]\nerase_us = 20000\nwrite_us = 40\n\n",
                kind.name(),
                0x0800_0000 + 0x0100_0000 * index,
                shape.erased[index],
                shape.write_size[index],
                sectors.join(", "),
            );
        }
        file += &self.areas;
        let _ = write!(
            file,
            "[boot]\nmode = \"{mode}\"\nmax_sectors = {}\nmax_align = {}\nsignature = \"none\"\n\
             bootstrap = {}\n",
            shape.max_sectors + u32::from(shape.spare),
            shape.max_align,
            self.cell.brings_images(),
        );
        if let Some(size) = shape.logical.filter(|_| mode.swaps()) {
            let _ = writeln!(file, "logical_sector = {size}");
        }
        if matches!(mode, UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad) {
            file += "ram_load = { base = 0x20008000, size = \"48K\" }\n";
        }
        if self.cell.secrecy != Secrecy::Plain {
            let wrapped = self.cell.secrecy == Secrecy::KeysKeptWrapped;
            let _ =
                write!(file, "\n[boot.encryption]\nwrap = \"aes-kw\"\nsave_wrapped = {wrapped}\n");
        }
        let _ = write!(file, "\n[image]\nheader_size = {HEADER}\n");
        file
    }
}
