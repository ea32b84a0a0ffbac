//! The largest image that a pair of slots takes, and what an upgrade costs.

use std::time::Duration;

use updraft_flash::SectorRun;
use updraft_image::{MaxSize, TrailerLayout, UpgradeMode, align_down, align_up};

use crate::schema::Role;
use crate::slots::{count, covering, end_of, uniform};
use crate::{Area, Board};

/// The largest image of a slot pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of the largest image, header and all TLVs included. 0 if nothing is left.
    pub max_image: u32,
    /// How that comes about, e.g. `slot 32768 − trailer 3120 = 29648`.
    pub working: String,
}

/// What the bootloader does to the flash in one upgrade, without a power cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeCost {
    /// Sectors erased.
    pub erases: u32,
    /// How the erases come about, e.g. `3 × 62 + 1 + 1`.
    pub working: String,
    /// Image bytes written.
    pub written: u64,
    /// How long erasing and writing take; `None` where the board file gives no timings.
    pub time: Option<Duration>,
}

/// One image's slots as the arithmetic needs them.
struct Slots<'b> {
    board: &'b Board,
    primary: &'b Area,
    secondary: Option<&'b Area>,
    trailer: TrailerLayout,
    first: Vec<SectorRun>,
    second: Vec<SectorRun>,
}

impl<'b> Slots<'b> {
    fn new(board: &'b Board, image: u8) -> Option<Self> {
        let primary = board.slot(image, Role::Primary)?;
        let secondary = board.slot(image, Role::Secondary).filter(|_| board.has_secondary());
        Some(Self {
            board,
            primary,
            secondary,
            trailer: board.trailer(primary)?,
            first: board.swap_units(primary),
            second: secondary.map(|area| board.swap_units(area)).unwrap_or_default(),
        })
    }

    fn capacity(&self) -> Option<Capacity> {
        match self.board.mode() {
            UpgradeMode::SwapMove | UpgradeMode::SwapOffset => self.whole_sectors(),
            UpgradeMode::SwapScratch => self.scratch(),
            UpgradeMode::StatusPartition => self.beside_status_area(),
            mode => Some(self.below_trailer(mode)),
        }
    }

    /// One slot gives up one more sector than its trailer, the other only its trailer.
    fn whole_sectors(&self) -> Option<Capacity> {
        let sector = uniform(&self.first)?;
        let counts = [count(&self.first), count(&self.second)];
        let [Some(primary), Some(secondary)] = counts.map(|count| count.checked_mul(sector)) else {
            return None;
        };
        let other = self.secondary.and_then(|area| self.board.trailer(area));
        let sizes = [self.trailer.size(), other.unwrap_or(self.trailer).size()];
        let moves = self.board.mode() != UpgradeMode::SwapOffset;
        let max_size = if moves { MaxSize::swap_move } else { MaxSize::swap_offset };
        let max_image = max_size([primary, secondary], sector, sizes)?;
        let trailers = [align_up(sizes[0], sector)? / sector, align_up(sizes[1], sector)? / sector];
        let (spare, rest) = if moves { (0, 1) } else { (1, 0) };
        let working = format!(
            "min({} − 1 − {}, {} − {}) sectors × {sector} = {max_image}; 1 spare in the {} slot, \
             trailer of {} B in {}",
            counts[spare],
            trailers[spare],
            counts[rest],
            trailers[rest],
            if moves { "primary" } else { "secondary" },
            sizes[spare],
            trailers[spare],
        );
        Some(Capacity { max_image, working })
    }

    /// The slot without its trailer, and without what makes the last chunk fit beside the
    /// trailer of the scratch area.
    fn scratch(&self) -> Option<Capacity> {
        let area = self.board.area(Role::Scratch)?;
        // What is copied together has to be a multiple of what each device writes at once.
        let areas = [Some(self.primary), self.secondary, Some(area)].into_iter().flatten();
        let unit = areas.map(|area| self.board.device(area).write_size).max().unwrap_or(1);
        let slot = self.primary.size;
        let below = align_down(self.trailer.status(), unit);
        // The sector of either slot in which the trailer begins, the larger of the two.
        let first_ends = [&self.first, &self.second].map(|runs| covering(runs, below + 1).1);
        let room = align_down(self.board.trailer(area)?.status(), unit);
        let first_end = first_ends[0].max(first_ends[1]);
        let max_image = MaxSize::swap_scratch(below, first_end, area.size - room)?;
        let mut working = format!("slot {slot} − trailer {}", slot - below);
        if max_image < below {
            working += &format!(" − {} for the scratch area's trailer", below - max_image);
        }
        working += &format!(" = {max_image}");
        Some(Capacity { max_image, working })
    }

    /// Whole sectors below the trailer.
    fn beside_status_area(&self) -> Option<Capacity> {
        let (slot, below) = (self.trailer.slot_size(), self.trailer.status());
        let edge = |runs: &[SectorRun]| {
            let (sectors, end) = covering(runs, below);
            if end == below { end } else { end_of(runs, sectors.saturating_sub(1)) }
        };
        let max_image = edge(&self.first).min(edge(&self.second));
        let working =
            format!("slot {slot} − {} in the trailer's sectors = {max_image}", slot - max_image);
        Some(Capacity { max_image, working })
    }

    fn below_trailer(&self, mode: UpgradeMode) -> Capacity {
        let smaller = self
            .secondary
            .filter(|secondary| secondary.size < self.primary.size)
            .and_then(|secondary| self.board.trailer(secondary))
            .unwrap_or(self.trailer);
        let below = MaxSize::below_trailer(mode, &smaller);
        let slot = smaller.slot_size();
        // A row that is written for a field of the trailer is written whole.
        let slots = [Some(self.primary), self.secondary].into_iter().flatten();
        let rows =
            slots.map(|area| self.board.device(area)).filter(|it| it.kind().writes_replace());
        let row = rows.map(|device| device.write_size).max().unwrap_or(1);
        let max_image = align_down(below, row);
        let what = if row > 1 { "rows with trailer fields" } else { "trailer fields" };
        let working = format!("slot {slot} − {what} {} = {max_image}", slot - max_image);
        match (mode, &self.board.boot().ram_load) {
            (UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad, Some(ram))
                if ram.size < max_image =>
            {
                Capacity { max_image: ram.size, working: format!("RAM region = {}", ram.size) }
            }
            _ => Capacity { max_image, working },
        }
    }

    fn cost(&self, size: u32) -> Option<UpgradeCost> {
        let secondary = self.secondary?;
        // From the sector in which the trailer begins to the end of the slot.
        let in_trailer = |runs: &[SectorRun]| {
            let slot: u32 = runs.iter().map(|run| run.count * run.size).sum();
            let below = slot.saturating_sub(self.trailer.size());
            count(runs) + 1 - covering(runs, below + 1).0
        };
        let (n, _) = covering(&self.first, size);
        let (m, _) = covering(&self.second, size);
        let (t, u) = (in_trailer(&self.first), in_trailer(&self.second));
        let image = u64::from(size);
        // Per area: sectors erased and bytes written.
        let (mut work, mut working) = match self.board.mode() {
            UpgradeMode::OverwriteOnly => {
                (vec![(self.primary, n + t, image), (secondary, 2, 0)], format!("{n} + {t} + 2"))
            }
            UpgradeMode::SwapMove => (
                vec![(self.primary, 2 * n + t, 2 * image), (secondary, m + u, image)],
                format!("3 × {n} + {t} + {u}"),
            ),
            UpgradeMode::SwapOffset => (
                vec![(self.primary, n + t, image), (secondary, m + u, image)],
                format!("2 × {n} + {t} + {u}"),
            ),
            UpgradeMode::SwapScratch => {
                let scratch = self.board.area(Role::Scratch)?;
                let rounds = size.div_ceil(scratch.size.max(1)) + 1;
                let sectors = count(&self.board.swap_units(scratch));
                (
                    vec![
                        (self.primary, n + t, image),
                        (secondary, m + u, image),
                        (scratch, rounds.saturating_mul(sectors), image),
                    ],
                    format!("{n} + {m} + {rounds} × {sectors} of scratch + {t} + {u}"),
                )
            }
            _ => return None,
        };
        // What was counted are units of the swap; what is erased are sectors.
        if self.board.boot().logical_sector.is_some() {
            for (area, erases, _) in &mut work {
                let units = count(&self.board.swap_units(area)).max(1);
                *erases = erases.saturating_mul(count(&self.board.sectors(area)) / units);
            }
            working = format!("({working}) logical sectors");
        }
        let mut time = Some(0u64);
        for (area, erases, bytes) in &work {
            let device = self.board.device(area);
            let known = device.erase_us != 0 && device.write_us != 0;
            let writes = bytes.div_ceil(device.write_size.into());
            let spent = u64::from(*erases) * u64::from(device.erase_us)
                + writes * u64::from(device.write_us);
            time = time.filter(|_| known).map(|time| time + spent);
        }
        Some(UpgradeCost {
            erases: work.iter().fold(0, |sum, (_, erases, _)| sum.saturating_add(*erases)),
            working,
            written: work.iter().map(|(_, _, bytes)| bytes).sum(),
            time: time.map(Duration::from_micros),
        })
    }
}

impl Board {
    /// The largest image of image number `image`, and how it comes about.
    pub fn capacity(&self, image: u8) -> Capacity {
        Slots::new(self, image).and_then(|slots| slots.capacity()).unwrap_or_else(|| Capacity {
            max_image: 0,
            working: "trailer and spare sectors take the whole slot".into(),
        })
    }

    /// What upgrading image number `image` costs when both images are `size` bytes long. `None`
    /// for modes in which the bootloader moves nothing, and with a status area, where it depends on
    /// how the status is kept.
    pub fn upgrade_cost(&self, image: u8, size: u32) -> Option<UpgradeCost> {
        Slots::new(self, image)?.cost(size.min(self.capacity(image).max_image))
    }
}
