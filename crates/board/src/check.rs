//! What a board file has to fulfil before anybody may work with it. Every refusal shows its
//! arithmetic.

use updraft_flash::AreaId;
use updraft_image::{BoardIds, HashKind, TrailerLayout, UpgradeMode};

use crate::ids::{IdError, class_id, vendor_id};
use crate::schema::{BoardFile, Boot, FlashDevice, FlashKind, Role};
use crate::text::{Named as _, bytes};
use crate::{Area, Board, ConsoleKind, RecoveryWay, safety, slots};

/// Largest `max_sectors`: what a swap can count in 16 bits.
const MOST_SECTORS: u32 = 0xffff;
/// Longest `rollback_hold_ms`: nobody holds a button for more than a minute.
const LONGEST_HOLD_MS: u32 = 60_000;
/// Images that area ids are reserved for.
pub(crate) const MOST_IMAGES: u8 = 7;
/// The first id of areas without a reserved one.
const FIRST_OTHER: u8 = 16;

/// Problems found so far: the key and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<(String, String)>);

impl Findings {
    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push((key.into(), message.into()));
    }

    fn then<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// The id of an area by its role; `None` for roles that are numbered from 16 on.
///
/// MCUboot's classic numbers: bootloader 0, slots of image 0 1 and 2, scratch 3, slots of image n
/// 2n + 2 and 2n + 3.
const fn reserved_id(role: Role, image: u8) -> Option<u8> {
    match (role, image) {
        (Role::Bootloader, _) => Some(0),
        (Role::Primary, 0) => Some(1),
        (Role::Secondary, 0) => Some(2),
        (Role::Scratch, _) => Some(3),
        (Role::Primary, image) => Some(2 * image + 2),
        (Role::Secondary, image) => Some(2 * image + 3),
        _ => None,
    }
}

/// Turns a file into a board. Checks run from the devices upwards; a later group only runs when
/// the earlier ones found nothing, so that one mistake is not reported many times.
pub(crate) fn check(file: BoardFile) -> Result<Board, Findings> {
    let ids = basics(&file)?;
    devices(&file)?;
    let areas = areas(&file)?;
    let board = Board { file, areas, ids };
    boot(&board)?;
    safety::check(&board)?;
    slots::check(&board)?;
    image(&board)?;
    recovery(&board)?;
    Ok(board)
}

fn basics(file: &BoardFile) -> Result<Option<BoardIds>, Findings> {
    let mut found = Findings::default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if file.name.is_empty() || !file.name.chars().all(plain) {
        found.add(
            "name",
            format!("\"{}\" is no board name: use a-z, 0-9, \"-\" and \"_\"", file.name),
        );
    }
    if file.core.is_empty() {
        found.add("core", "a board needs at least one [[core]]");
    }
    for (index, core) in file.core.iter().enumerate() {
        if !core.vector_align.is_power_of_two() || core.vector_align < 4 {
            found.add(
                format!("core[{index}].vector_align"),
                format!("{:#x} is no power of two from 4 on", core.vector_align),
            );
        }
    }
    for (index, ram) in file.ram.iter().enumerate() {
        if let Some(core) = &ram.core
            && !file.core.iter().any(|known| known.name == *core)
        {
            found.add(format!("ram[{index}].core"), format!("there is no [[core]] `{core}`"));
        }
        if ram.size == 0 || u64::from(ram.base) + u64::from(ram.size) > 1 << 32 {
            found.add(
                format!("ram[{index}]"),
                format!("{:#x} + {:#x} bytes is no region below 4 GiB", ram.base, ram.size),
            );
        }
    }
    let mut id = |key: &str, id: Option<Result<[u8; 16], IdError>>| {
        id.and_then(|id| id.map_err(|error| found.add(key, error.to_string())).ok())
    };
    let vendor = id("vendor", file.vendor.as_deref().map(vendor_id));
    let class = match (&file.vendor, vendor) {
        // What is wrong with the vendor has been said.
        (Some(_), None) => None,
        _ => id("class", file.class.as_deref().map(|class| class_id(class, vendor))),
    };
    let declared = vendor.is_some() || class.is_some();
    let ids = BoardIds { vendor, class, required: file.boot.require_ids };
    found.then(declared.then_some(ids))
}

fn devices(file: &BoardFile) -> Result<(), Findings> {
    let mut found = Findings::default();
    if file.flash.is_empty() {
        found.add("flash", "a board needs at least one [[flash]]");
    }
    for (index, device) in file.flash.iter().enumerate() {
        let key = |name: &str| format!("flash[{index}].{name}");
        let name = &device.name;
        if file.flash[..index].iter().any(|other| other.name == *name) {
            found.add(key("name"), format!("a second flash device \"{name}\""));
        }
        if ![0xff, 0x00].contains(&device.erased) {
            let erased = device.erased;
            found.add(key("erased"), format!("flash erases to 0xff or 0x00, not {erased:#04x}"));
        }
        if !device.write_size.is_power_of_two() {
            let write = device.write_size;
            found.add(key("write_size"), format!("{write} is no power of two"));
        }
        kind(device, &key, &mut found);
        sectors(device, &key("sectors"), &mut found);
        for id in &device.jedec {
            if id.len() != 6 || !id.chars().all(|c| c.is_ascii_hexdigit()) {
                found.add(key("jedec"), format!("\"{id}\" is no JEDEC id of six hex digits"));
            }
        }
    }
    found.then(())
}

/// What the kind of a device asks of its numbers.
fn kind(device: &FlashDevice, key: &dyn Fn(&str) -> String, found: &mut Findings) {
    let (name, write) = (&device.name, device.write_size);
    match (device.kind, device.word, device.word_writes) {
        (FlashKind::NorLimited, Some(word), Some(writes)) => {
            if !word.is_power_of_two() {
                found.add(key("word"), format!("{word} is no power of two"));
            } else if let Some(run) = device.sectors.iter().find(|run| run.size % word != 0) {
                let size = run.size;
                found.add(key("word"), format!("a sector of {size} bytes is no whole words"));
            }
            if writes == 0 {
                found.add(key("word_writes"), "a word that takes no write cannot be used");
            }
        }
        (FlashKind::NorLimited, word, _) => {
            let missing = if word.is_none() { "word" } else { "word_writes" };
            found.add(
                key("kind"),
                format!(
                    "nor-limited flash \"{name}\" needs `{missing}`: it takes `word_writes` \
                     writes of `word` bytes between two erases"
                ),
            );
        }
        (_, None, None) => {}
        (kind, word, _) => {
            let extra = if word.is_some() { "word" } else { "word_writes" };
            found.add(
                key(extra),
                format!("only nor-limited flash has `{extra}`, this is {}", kind.word()),
            );
        }
    }
    let rows = device.kind == FlashKind::SelfErasingRows;
    if let Some(run) = device.sectors.iter().find(|run| rows && run.size != write) {
        found.add(
            key("write_size"),
            format!(
                "a self-erasing row is a sector: flash \"{name}\" has sectors of {} bytes, and \
                 {write} are written at once",
                run.size
            ),
        );
    }
}

fn sectors(device: &FlashDevice, key: &str, found: &mut Findings) {
    let mut size = 0u64;
    if device.sectors.is_empty() {
        found.add(key, format!("flash \"{}\" has no sectors", device.name));
    }
    for (index, run) in device.sectors.iter().enumerate() {
        let key = format!("{key}[{index}]");
        if run.size == 0 || run.count == 0 {
            let (count, size) = (run.count, run.size);
            found.add(key, format!("{count} sectors of {size} bytes are nothing"));
        } else if device.write_size != 0 && !run.size.is_multiple_of(device.write_size) {
            let (sector, write) = (run.size, device.write_size);
            let over = sector % write;
            found.add(
                key,
                format!("a sector of {sector} bytes is no multiple of the {write}-byte write size: {over} over"),
            );
        }
        size += u64::from(run.size) * u64::from(run.count);
    }
    let end = u64::from(device.base.unwrap_or(0)) + size;
    if size >= 1 << 32 || end > 1 << 32 {
        found.add(
            key,
            format!("flash \"{}\" of {size:#x} bytes ends at {end:#x}, past 4 GiB", device.name),
        );
    }
}

fn areas(file: &BoardFile) -> Result<Vec<Area>, Findings> {
    let mut found = Findings::default();
    let mut areas: Vec<Area> = Vec::new();
    let mut next = FIRST_OTHER;
    for (index, row) in file.area.iter().enumerate() {
        let key = |name: &str| format!("area[{index}].{name}");
        let Some(device) = file.flash.iter().position(|device| device.name == row.flash) else {
            let names: Vec<_> = file.flash.iter().map(|device| device.name.as_str()).collect();
            found.add(
                key("flash"),
                format!("there is no flash \"{}\"; there are: {}", row.flash, names.join(", ")),
            );
            continue;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if row.name.is_empty() || !row.name.chars().all(plain) {
            let name = &row.name;
            found.add(key("name"), format!("{name:?} is no name: letters, digits, - and _"));
        }
        if file.area[..index].iter().any(|other| other.name == row.name) {
            found.add(key("name"), format!("a second area \"{}\"", row.name));
        }
        let image = row.image.unwrap_or(0);
        if row.image.is_some() && !row.role.is_per_image() {
            found.add(key("image"), format!("a {} area belongs to no image", row.role.name()));
        }
        if image >= MOST_IMAGES {
            found.add(key("image"), format!("image {image} is above {}", MOST_IMAGES - 1));
            continue;
        }
        let id = match reserved_id(row.role, image) {
            Some(id) => {
                if let Some(other) = areas.iter().find(|other| other.id == AreaId(id)) {
                    let (role, other) = (row.role.name(), &other.name);
                    found.add(
                        key("role"),
                        format!("\"{}\" is a second {role} area beside \"{other}\"", row.name),
                    );
                }
                id
            }
            None => {
                next = next.saturating_add(1);
                next - 1
            }
        };
        let device_row = &file.flash[device];
        if bounds(device_row, row.offset, row.size, &row.name, index, &mut found) {
            let address = device_row.base.map(|base| base + row.offset);
            areas.push(Area {
                id: AreaId(id),
                name: row.name.clone(),
                role: row.role,
                image,
                device,
                offset: row.offset,
                size: row.size,
                address,
                row: index,
            });
        }
    }
    if next == u8::MAX {
        found.add("area", format!("more than {} areas", u8::MAX - FIRST_OTHER - 1));
    }
    overlaps(file, &areas, &mut found);
    if found.0.is_empty() {
        shared_sectors(file, &areas, &mut found);
    }
    found.then(areas)
}

/// Whether an area lies within its device, and is whole writes.
fn bounds(
    device: &FlashDevice,
    offset: u32,
    size: u32,
    name: &str,
    index: usize,
    found: &mut Findings,
) -> bool {
    let key = |name: &str| format!("area[{index}].{name}");
    let (flash, limit) = (&device.name, u64::from(device.size()));
    let end = u64::from(offset) + u64::from(size);
    if size == 0 {
        found.add(key("size"), format!("\"{name}\" is empty"));
        return false;
    }
    if end > limit {
        found.add(
            key("size"),
            format!(
                "\"{name}\" ends at {end:#x} ({offset:#x} + {size:#x}), {:#x} bytes past the end \
                 of flash \"{flash}\" at {limit:#x}",
                end - limit
            ),
        );
        return false;
    }
    // The end of the device is a boundary too.
    let write = device.write_size.max(1);
    for (at, which, verb) in [(offset, "offset", "begins"), (end as u32, "size", "ends")] {
        if at % write != 0 {
            found.add(
                key(which),
                format!(
                    "\"{name}\" {verb} at {at:#x}, {:#x} bytes into what is written at once: flash \
                     \"{flash}\" writes {write}",
                    at % write
                ),
            );
            return false;
        }
    }
    true
}

/// Whether every sector belongs to one area only: erasing the one part would erase the other.
fn shared_sectors(file: &BoardFile, areas: &[Area], found: &mut Findings) {
    for area in areas {
        let device = &file.flash[area.device];
        let sector = device.geometry().sector_at(area.offset);
        let Some(sector) = sector.filter(|sector| sector.offset < area.offset) else { continue };
        let before = |other: &&Area| {
            let part = other.offset < area.offset && sector.offset < other.end();
            other.device == area.device && part
        };
        if let Some(other) = areas.iter().find(before) {
            let Area { name, offset, .. } = area;
            found.add(
                format!("area[{}].offset", area.row),
                format!(
                    "\"{name}\" begins at {offset:#x}, inside the {}-byte sector from {:#x} to \
                     {:#x} that \"{}\" has a part of: erasing the one would erase the other; move \
                     \"{name}\" to {:#x}, or end \"{}\" at {:#x}",
                    sector.size,
                    sector.offset,
                    sector.end(),
                    other.name,
                    sector.end(),
                    other.name,
                    sector.offset
                ),
            );
        }
    }
}

fn overlaps(file: &BoardFile, areas: &[Area], found: &mut Findings) {
    for (index, area) in areas.iter().enumerate() {
        for other in &areas[..index] {
            let start = area.offset.max(other.offset);
            let end = area.end().min(other.end());
            if area.device == other.device && start < end {
                found.add(
                    format!("area[{}].offset", area.row),
                    format!(
                        "\"{}\" ({:#x} to {:#x}) and \"{}\" ({:#x} to {:#x}) overlap by {:#x} \
                         bytes on flash \"{}\"",
                        area.name,
                        area.offset,
                        area.end(),
                        other.name,
                        other.offset,
                        other.end(),
                        end - start,
                        file.flash[area.device].name
                    ),
                );
            }
        }
    }
}

fn boot(board: &Board) -> Result<(), Findings> {
    let mut found = Findings::default();
    let boot = &board.file.boot;
    if !TrailerLayout::MAX_ALIGNS.contains(&boot.max_align) {
        found.add("boot.max_align", format!("{} is none of 8, 16, 32", boot.max_align));
    }
    if boot.max_sectors == 0 || boot.max_sectors > MOST_SECTORS {
        found.add("boot.max_sectors", format!("{} is not in 1..={MOST_SECTORS}", boot.max_sectors));
    }
    signature(boot, &mut found);
    let stays = match boot.mode {
        UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert => Some("where they were uploaded"),
        UpgradeMode::SingleSlot | UpgradeMode::FirmwareLoader => Some("where they were programmed"),
        _ => None,
    };
    if let Some(place) = stays.filter(|_| boot.encryption.is_some()) {
        found.add(
            "boot.encryption",
            format!("{} runs images {place}: nothing decrypts them on the way", boot.mode),
        );
    }
    if boot.compression && boot.mode != UpgradeMode::OverwriteOnly {
        found.add(
            "boot.compression",
            format!("{} keeps images as they are: only overwrite-only decompresses", boot.mode),
        );
    }
    if boot.revert && boot.mode != UpgradeMode::RamLoad {
        let hint = match boot.mode {
            UpgradeMode::DirectXip => ": direct-xip-revert is what reverts",
            mode if mode.swaps() => ": it reverts anyway",
            _ => "",
        };
        found.add("boot.revert", format!("{} has no such choice{hint}", boot.mode));
    }
    if let Some(held) = boot.rollback_hold_ms {
        let key = "boot.rollback_hold_ms";
        if board.area(Role::Factory).is_none() {
            found.add(key, "there is no area with the role factory to go back to");
        } else if board.buttons().is_empty() {
            found.add(key, "there is no [[button]] to hold");
        }
        if held > LONGEST_HOLD_MS {
            found.add(
                key,
                format!(
                    "{held} ms are {} past the longest, {LONGEST_HOLD_MS}",
                    held - LONGEST_HOLD_MS
                ),
            );
        }
    }
    if matches!(boot.mode, UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad) {
        match &boot.ram_load {
            None => found
                .add("boot.ram_load", format!("{} needs `ram_load = {{ base, size }}`", boot.mode)),
            Some(region) => {
                let end = u64::from(region.base) + u64::from(region.size);
                let inside = |ram: &&crate::Ram| {
                    ram.base <= region.base && end <= u64::from(ram.base) + u64::from(ram.size)
                };
                if region.size == 0 || !board.file.ram.iter().any(|ram| inside(&ram)) {
                    found.add(
                        "boot.ram_load",
                        format!("{:#x} to {end:#x} lies in no [[ram]] region", region.base),
                    );
                }
            }
        }
    }
    found.then(())
}

/// Whether a key can make what the bootloader asks for.
fn signature(boot: &Boot, found: &mut Findings) {
    let Some(scheme) = boot.signature.scheme() else {
        if boot.pure {
            found.add("boot.pure", "without a signature nothing covers the image itself");
        }
        return;
    };
    if scheme.usual_hash(boot.pure).is_none() {
        found.add("boot.pure", format!("{} cannot sign the image itself", scheme.name()));
    } else if !scheme.allows(boot.image_hash(), boot.pure) {
        let allowed = HashKind::ALL.into_iter().filter(|hash| scheme.allows(*hash, boot.pure));
        let allowed: Vec<_> = allowed.map(HashKind::word).collect();
        let what = if boot.pure { "the image itself, with" } else { "hashes of" };
        found.add(
            "boot.hash",
            format!(
                "{} signs {what} {}, not {}",
                scheme.name(),
                allowed.join(" or "),
                boot.image_hash().word()
            ),
        );
    }
}

fn image(board: &Board) -> Result<(), Findings> {
    let mut found = Findings::default();
    let header = board.file.image.header_size;
    let key = "image.header_size";
    if header < 32 {
        found.add(key, format!("{header} bytes are {} too few for the header of 32", 32 - header));
    }
    if header > u32::from(u16::MAX) {
        found.add(key, format!("{header:#x} does not fit the header's 16-bit field"));
    }
    if !header.is_multiple_of(4) {
        found.add(key, format!("{header} is no multiple of 4: {} over", header % 4));
    }
    for image in 0..board.images() {
        let capacity = board.capacity(image);
        if capacity.max_image <= header {
            found.add(
                key,
                format!(
                    "the header of {header} bytes leaves nothing of image {image}'s largest size, \
                     {}: {}",
                    bytes(capacity.max_image),
                    capacity.working
                ),
            );
        }
        let Some(primary) = board.slot(image, Role::Primary) else { continue };
        let Some(address) = primary.address.filter(|_| board.runs_from_flash()) else { continue };
        let align = board.file.core.iter().map(|core| core.vector_align).max().unwrap_or(4);
        let vectors = u64::from(address) + u64::from(header);
        let over = vectors % u64::from(align);
        if over != 0 {
            found.add(
                key,
                format!(
                    "the body of image {image} begins at {vectors:#x} ({address:#x} + {header:#x}), \
                     {over:#x} past a multiple of the {align:#x} that its vector table needs"
                ),
            );
        }
    }
    if board.file.image.confirm && !board.file.image.pad {
        found
            .add("image.confirm", "only padded images have a trailer to confirm: add `pad = true`");
    }
    found.then(())
}

/// Whether every way into recovery can be gone, and means nothing else.
fn recovery(board: &Board) -> Result<(), Findings> {
    let mut found = Findings::default();
    let Some(recovery) = board.recovery() else { return Ok(()) };
    let key = "recovery.enter";
    if recovery.enter.is_empty() {
        found.add(key, "nothing leads into recovery: name a way, or leave [recovery] out");
    }
    for (index, way) in recovery.enter.iter().enumerate() {
        if recovery.enter.iter().take(index).any(|before| before == way) {
            found.add(key, format!("{} stands there twice", way.name()));
        }
    }
    if recovery.enters_by(RecoveryWay::Button) {
        if board.buttons().is_empty() {
            found.add(key, "\"button\" needs a [[button]]");
        } else if board.area(Role::Factory).is_some() {
            found.add(key, "the button at a reset already asks for the factory image");
        } else if board.mode() == UpgradeMode::FirmwareLoader {
            found.add(key, "the button at a reset already asks for the firmware loader");
        }
    }
    match (recovery.enters_by(RecoveryWay::Wait), recovery.wait_ms) {
        (false, Some(_)) => found.add("recovery.wait_ms", "only \"wait\" in `enter` waits"),
        (true, Some(0)) => found.add("recovery.wait_ms", "0 ms are no time for a request to come"),
        _ => {}
    }
    let serial = |kind| matches!(kind, ConsoleKind::Uart | ConsoleKind::UsbCdc);
    if !board.console().is_some_and(|console| serial(console.kind)) {
        found.add("recovery", "recovery needs a serial line: a [console] of kind uart or usb-cdc");
    }
    found.then(())
}
