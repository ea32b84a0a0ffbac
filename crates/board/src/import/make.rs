//! Make variables of Infineon's bootloader examples: whole maps (`CY_BOOT_…_START` and `_SIZE`), or
//! sizes alone (`MCUBOOT_SLOT_SIZE`, `FACT_APP_SIZE`), of which the examples stack the rest.
//!
//! Source: the makefiles of the over-the-air and of the rollback example.

mod variables;

use updraft_image::UpgradeMode;

use self::variables::{Variable, Variables};
use super::{ImportError, Imported};
use crate::schema::{AreaRow, Role};
use crate::{Board, FlashDevice};

/// What variables say of the board's flash, in whatever order they stand.
pub(super) fn read(board: &Board, text: &str) -> Result<Imported, ImportError> {
    let variables = Variables::read(text)?;
    let mut map = Map { board, variables: &variables, areas: Vec::new() };
    map.bootloader()?;
    let external = map.is_external()?;
    if let Some(size) = map.number(&["FACT_APP_SIZE"])? {
        let start = map.number(&["FACT_APP_START"])?;
        let place = start.map(|start| map.place(start)).transpose()?;
        let place = place.or_else(|| Some((board.flash().get(1)?.name.clone(), 0)));
        let (flash, offset) = place.ok_or_else(|| size.wrong("there is no second device"))?;
        map.add(Role::Factory, 0, flash, offset, size)?;
    }
    for image in 0..MOST_IMAGES {
        map.slot(Role::Primary, image, false)?;
        map.slot(Role::Secondary, image, external)?;
    }
    map.scratch()?;
    map.status()?;
    let Map { mut areas, .. } = map;
    if areas.is_empty() {
        let what =
            "none of the variables is an area's: CY_BOOT_PRIMARY_1_SIZE, MCUBOOT_SLOT_SIZE …";
        return Err(ImportError { line: 1, what: what.to_owned() });
    }
    keep_others(board, &mut areas);
    let number = |names: &[&str]| variables.number_if_plain(names);
    Ok(Imported {
        areas,
        header_size: number(&["MCUBOOT_HEADER_SIZE"])?.map(|number| number.value),
        max_sectors: number(&["MCUBOOT_MAX_IMG_SECTORS", "MAX_IMG_SECTORS"])?
            .map(|number| number.value),
    })
}

/// As many as the examples have names for.
const MOST_IMAGES: u8 = 4;

/// A number, and the line that it stands in.
#[derive(Clone, Copy, Debug)]
struct Number {
    value: u32,
    line: usize,
}

impl Number {
    fn wrong(self, what: impl Into<String>) -> ImportError {
        ImportError { line: self.line, what: what.into() }
    }
}

struct Map<'a> {
    board: &'a Board,
    variables: &'a Variables,
    areas: Vec<AreaRow>,
}

impl Map<'_> {
    /// The first of these variables that is there.
    fn number(&self, names: &[&str]) -> Result<Option<Number>, ImportError> {
        names.iter().find_map(|name| self.variables.number(name).transpose()).transpose()
    }

    fn own(&self) -> Option<&FlashDevice> {
        self.board.flash().first()
    }

    /// The device at an address; what is lower than all of them is an offset in the chip's own.
    fn place(&self, start: Number) -> Result<(String, u32), ImportError> {
        let mapped = self.board.flash().iter().find_map(|device| {
            let offset = start.value.checked_sub(device.base?)?;
            (offset < device.size()).then(|| (device.name.clone(), offset))
        });
        let offset = || {
            let own = self.own().filter(|own| start.value < own.size())?;
            Some((own.name.clone(), start.value))
        };
        mapped
            .or_else(offset)
            .ok_or_else(|| start.wrong(format!("{:#x} is on no device of the board", start.value)))
    }

    /// The end of what lies on a device so far.
    fn end(&self, flash: &str) -> u32 {
        let on = self.areas.iter().filter(|area| area.flash == flash);
        on.map(|area| area.offset.saturating_add(area.size)).max().unwrap_or(0)
    }

    fn add(
        &mut self,
        role: Role,
        image: u8,
        flash: String,
        offset: u32,
        size: Number,
    ) -> Result<(), ImportError> {
        if size.value == 0 {
            return Ok(());
        }
        offset.checked_add(size.value).ok_or_else(|| {
            size.wrong(format!("{:#x} bytes from {offset:#x} on are past 4 GiB", size.value))
        })?;
        let name = match (role, image) {
            (Role::Reserved, _) => "unused-scratch".to_owned(),
            (role, 0) => role.name().to_owned(),
            (role, image) => format!("{}-{image}", role.name()),
        };
        let image = (image > 0).then_some(image);
        self.areas.push(AreaRow { name, role, image, flash, offset, size: size.value });
        Ok(())
    }

    fn bootloader(&mut self) -> Result<(), ImportError> {
        let size = self.number(&[
            "CY_BOOT_BOOTLOADER_SIZE",
            "MCUBOOT_BOOTLOADER_SIZE",
            "BOOTLOADER_APP_FLASH_SIZE",
        ])?;
        let Some(size) = size else { return Ok(()) };
        let start = self.number(&["CY_BOOT_BOOTLOADER_START"])?;
        let (flash, offset) = match start {
            Some(start) => self.place(start)?,
            None => (self.own().map_or_else(String::new, |own| own.name.clone()), 0),
        };
        self.add(Role::Bootloader, 0, flash, offset, size)
    }

    fn is_external(&self) -> Result<bool, ImportError> {
        let flag = self.number(&["USE_EXT_FLASH", "CY_BOOT_USE_EXTERNAL_FLASH"])?;
        Ok(flag.is_some_and(|flag| flag.value != 0))
    }

    /// A slot, where its variable says; otherwise behind what is on its device.
    fn slot(&mut self, role: Role, image: u8, external: bool) -> Result<(), ImportError> {
        let side = if role == Role::Primary { "PRIMARY" } else { "SECONDARY" };
        let name = |what: &str| format!("CY_BOOT_{side}_{}_{what}", image + 1);
        let (start, own_size) = (self.number(&[&name("START")])?, self.number(&[&name("SIZE")])?);
        let all = if image == 0 { self.number(&["MCUBOOT_SLOT_SIZE"])? } else { None };
        let Some(size) = own_size.or(all) else {
            return match start {
                Some(start) => Err(start.wrong(format!("{} is missing", name("SIZE")))),
                None => Ok(()),
            };
        };
        let (flash, offset) = match start {
            Some(start) => self.place(start)?,
            None => {
                let device = self.board.flash().get(usize::from(external));
                let device = device.ok_or_else(|| size.wrong("there is no second device"))?;
                (device.name.clone(), self.end(&device.name))
            }
        };
        self.add(role, image, flash, offset, size)
    }

    /// The examples reserve one in every mode.
    fn scratch(&mut self) -> Result<(), ImportError> {
        let Some(size) = self.number(&["CY_BOOT_SCRATCH_SIZE", "MCUBOOT_SCRATCH_SIZE"])? else {
            return Ok(());
        };
        let uses =
            matches!(self.board.mode(), UpgradeMode::SwapScratch | UpgradeMode::StatusPartition);
        let (flash, offset) = match self.number(&["CY_BOOT_SCRATCH_START"])? {
            Some(start) => self.place(start)?,
            None => {
                let own = self.own().map_or_else(String::new, |own| own.name.clone());
                let end = self.end(&own);
                (own, end)
            }
        };
        let role = if uses { Role::Scratch } else { Role::Reserved };
        self.add(role, 0, flash, offset, size)
    }

    fn status(&mut self) -> Result<(), ImportError> {
        let Some(start) = self.number(&["CY_BOOT_STATUS_START"])? else { return Ok(()) };
        let Some(size) = self.number(&["CY_BOOT_STATUS_SIZE"])? else {
            return Err(start.wrong("CY_BOOT_STATUS_SIZE is missing"));
        };
        let (flash, offset) = self.place(start)?;
        self.add(Role::Status, 0, flash, offset, size)
    }
}

/// Areas that such variables have no name for stay where the board has them, unless something else
/// is there now.
fn keep_others(board: &Board, areas: &mut Vec<AreaRow>) {
    for area in &board.file().area {
        let is_apart = |other: &AreaRow| {
            other.flash != area.flash
                || other.offset >= area.offset.saturating_add(area.size)
                || area.offset >= other.offset.saturating_add(other.size)
        };
        let is_other = matches!(area.role, Role::Storage | Role::Reserved);
        if is_other && areas.iter().all(|other| is_apart(other) && other.name != area.name) {
            areas.push(area.clone());
        }
    }
}

impl Variables {
    /// The value of a variable as a number.
    fn number(&self, name: &str) -> Result<Option<Number>, ImportError> {
        let Some(Variable { line, .. }) = self.get(name) else { return Ok(None) };
        let wrong = |what: String| ImportError { line, what };
        let text = self.value(name).map_err(|what| wrong(format!("{name}: {what}")))?;
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let value = crate::text::size::parse(text);
        value
            .map(|value| Some(Number { value, line }))
            .ok_or_else(|| wrong(format!("`{text}` is no number")))
    }

    /// The same of variables that the examples let a shell compute: the board's own figure stays
    /// then.
    fn number_if_plain(&self, names: &[&str]) -> Result<Option<Number>, ImportError> {
        for name in names {
            if self.get(name).is_some() && self.value(name).is_ok() {
                return self.number(name);
            }
        }
        Ok(None)
    }
}
