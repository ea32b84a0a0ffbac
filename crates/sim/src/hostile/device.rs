//! A device to be altered and booted.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use updraft_board::Board;
use updraft_boot::factory::Course;
use updraft_boot::{Boot, BootError};
use updraft_flash::{Fault, FlashError, FlashMap, SlotSource};
use updraft_image::{HashOnly, Header, Source, UpgradeMode, validate};

use super::alteration::{Random, alter};
use crate::device::Keys;
use crate::flash::{SimFlash, Torn};
use crate::matrix::{Cell, Unplayed};
use crate::{Loader, UnplayableBoard};

/// Boots after which nothing may be written any more.
const SETTLED_AFTER: u32 = 6;

/// A board, and its flash in several stages.
#[derive(Debug)]
pub struct Device {
    cell: Cell,
    board: Board,
    loader: Loader,
    stages: Vec<SimFlash>,
    bound: u64,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Altered devices.
    pub devices: u64,
    /// Boots of them.
    pub boots: u64,
    /// Boots that ended in an image to start.
    pub started: u64,
    /// The most flash operations that a boot took.
    pub most_operations: u64,
}

impl Counts {
    /// Adds what somebody else has seen.
    pub fn add(&mut self, other: &Self) {
        self.devices += other.devices;
        self.boots += other.boots;
        self.started += other.started;
        self.most_operations = self.most_operations.max(other.most_operations);
    }
}

/// A device that did not behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which device.
    pub device: String,
    /// What [`Device::try_out`] has to be given to see it again.
    pub seed: u64,
    /// What it did.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {:#x}: {}", self.device, self.seed, self.why)
    }
}

impl Device {
    /// The device of a cell; an error where there is none.
    pub fn new(cell: Cell) -> Result<Self, Unplayed> {
        let board = cell.board()?;
        let loader = Loader::new(&board).map_err(Unplayed::Unplayable)?;
        let mut stages: Vec<_> =
            cell.stories(&board)?.iter().map(|story| story.start().clone()).collect();
        if stages.is_empty() {
            let mut flash = crate::device::flash_in_memory(&board);
            let [image, _] = cell.images(&board);
            let slot = board.slot(0, updraft_board::Role::Primary);
            let slot = slot.ok_or(Unplayed::Unplayable(UnplayableBoard::NoSlot("primary")))?;
            flash.load(slot.id, 0, &image).expect("the image fits");
            stages.push(flash);
        }
        // Every sector a few times, and every write of a whole copy, however small its pieces.
        let sizes = board.flash().iter().map(|device| {
            let sectors: u64 = device.sectors.iter().map(|run| u64::from(run.count)).sum();
            sectors + u64::from(device.size() / device.write_size.clamp(1, 256))
        });
        let bound = 500 + 16 * sizes.sum::<u64>();
        Ok(Self { cell, board, loader, stages, bound })
    }

    /// Which device this is.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Alters the device in a stage of its life, as `seed` has it, and boots it until it settles.
    pub fn try_out(&self, seed: u64, counts: &mut Counts) -> Result<(), Finding> {
        let played = catch_unwind(AssertUnwindSafe(|| self.play(seed, counts)));
        let why = match played {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                format!("panicked: {}", text.unwrap_or("?"))
            }
        };
        Err(Finding { device: self.cell.to_string(), seed, why })
    }

    fn play(&self, seed: u64, counts: &mut Counts) -> Result<(), String> {
        let mut random = Random::new(seed);
        let stage = random.below(self.stages.len() as u32) as usize;
        let Some(mut flash) = self.stages.get(stage).cloned() else { return Ok(()) };
        if random.below(2) == 0 {
            let torn = random.of(&[Torn::Skip, Torn::Half, Torn::Bits(seed)]);
            let operation = random.below(96).into();
            flash.supply().cut_at(operation, torn.unwrap_or(Torn::Skip));
            let _ = self.boot(&mut flash, false);
            flash.supply().power_on();
        }
        for _ in 0..=random.below(4) {
            alter(&self.board, &mut flash, &mut random);
        }
        counts.devices += 1;
        for boot in 0..SETTLED_AFTER {
            let before = flash.supply().operations();
            flash.supply().cut_at(self.bound, Torn::Skip);
            let booted = self.boot(&mut flash, boot == 0 && random.below(8) == 0);
            let operations = flash.supply().operations() - before;
            if !flash.supply().is_on() {
                return Err(format!("boot {boot} takes more than {operations} operations"));
            }
            flash.supply().power_on();
            counts.boots += 1;
            counts.most_operations = counts.most_operations.max(operations);
            match &booted {
                Ok(booted) => {
                    counts.started += 1;
                    self.judge(&mut flash, booted).map_err(|why| format!("boot {boot}: {why}"))?;
                }
                Err(BootError::Flash(error)) if error.fault() != Fault::Unreadable => {
                    return Err(format!("boot {boot} asks for what flash cannot do: {error}"));
                }
                Err(_) => {}
            }
            if operations == 0 && boot > 0 {
                return Ok(());
            }
        }
        Err(format!("boot {SETTLED_AFTER} still writes"))
    }

    fn boot(
        &self,
        flash: &mut SimFlash,
        pressed: bool,
    ) -> Result<Boot, BootError<<SimFlash as FlashMap>::Error>> {
        match self.loader.start(
            flash,
            Keys::unsigned(),
            |_: u8, _: updraft_boot::Event<_>| (),
            pressed,
        ) {
            Course::Start(boot) | Course::StartFactory(boot) => Ok(boot),
            Course::Prompt(error) => Err(error),
        }
    }

    /// What is started has to be intact where it lies. What is loaded to RAM is judged by the copy,
    /// which is gone.
    fn judge(&self, flash: &mut SimFlash, boot: &Boot) -> Result<(), String> {
        if matches!(self.board.mode(), UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad) {
            return Ok(());
        }
        let mut source = SlotSource::at(flash, boot.area, boot.offset);
        let mut head = [0; Header::SIZE];
        source.read(0, &mut head).map_err(|error| error.to_string())?;
        let header = Header::parse(&head).map_err(|error| error.to_string())?;
        if header != boot.header {
            return Err("another image than the one that was named".to_owned());
        }
        let rules = self.board.rules(0);
        match validate(&mut source, &header, &rules, &mut HashOnly) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(format!("starts what is not acceptable: {refusal}")),
        }
    }
}
