//! Rust sources.

use std::fmt::Write as _;

use updraft_flash::{AreaId, Kind};
use updraft_image::{BoardIds, KeyLength, Strictness, TrailerKeys, UpgradeMode};

use super::ExportError;
use crate::schema::{DowngradePrevention, RecoveryTransport, RecoveryWay, Role};
use crate::{Board, FlashDevice};

/// A source that is written line by line.
struct Source(String);

impl Source {
    /// A documented constant.
    fn constant(&mut self, about: &str, name: &str, kind: &str, value: &str) {
        let _ = writeln!(self.0, "\n/// {about}\npub const {name}: {kind} = {value};");
    }
}

pub(super) fn source(board: &Board) -> Result<String, ExportError> {
    let mut out = Source(String::new());
    out.constant("The board's name.", "NAME", "&str", &format!("{:?}", board.name()));
    devices(board, &mut out);
    areas(board, &mut out);
    slots(board, &mut out)?;
    rules(board, &mut out);
    machine(board, &mut out);
    let Source(body) = out;
    let head = format!(
        "// {}, from boards/{}.toml: change that file, not this one.\n",
        board.description(),
        board.name()
    );
    let imports: String =
        IMPORTS.iter().map(|(krate, names)| imports(krate, names, &body)).collect();
    Ok(head + &imports + &body)
}

/// What the source may name, by crate.
const IMPORTS: [(&str, &[&str]); 2] = [
    (
        "updraft_flash",
        &["AreaEntry", "AreaId", "Geometry", "Kind", "SectorRun", "SlotPair", "TrailerFormat"],
    ),
    (
        "updraft_image",
        &[
            "BoardIds",
            "Flags",
            "HashKind",
            "KeyLength",
            "Rules",
            "Scheme",
            "Signed",
            "Strictness",
            "TlvType",
            "TrailerKeys",
            "UpgradeMode",
            "WrapFormat",
        ],
    ),
];

/// Those of `names` that `body` uses.
fn imports(krate: &str, names: &[&str], body: &str) -> String {
    let words = || body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let used: Vec<_> =
        names.iter().copied().filter(|name| words().any(|word| word == *name)).collect();
    format!("use {krate}::{{{}}};\n", used.join(", "))
}

fn devices(board: &Board, out: &mut Source) {
    let devices = board.flash();
    let list = |item: &dyn Fn(&FlashDevice) -> String| {
        let items: String =
            devices.iter().map(|device| format!("\n    {},", item(device))).collect();
        format!("[{items}\n]")
    };
    let count = devices.len();
    let geometries = list(&|device| {
        let kind = match device.kind() {
            Kind::Nor => "Kind::Nor".to_owned(),
            Kind::NorLimited { word, programs } => {
                format!("Kind::NorLimited {{ word: {word}, programs: {programs} }}")
            }
            Kind::EccWords => "Kind::EccWords".to_owned(),
            Kind::SelfErasingRows => "Kind::SelfErasingRows".to_owned(),
        };
        let runs = device.sectors.iter();
        let runs: Vec<_> = runs
            .map(|run| format!("SectorRun {{ count: {}, size: {:#x} }}", run.count, run.size))
            .collect();
        format!(
            "Geometry {{ kind: {kind}, write_size: {}, erased: {:#04x}, sectors: &[{}] }}",
            device.write_size,
            device.erased,
            runs.join(", ")
        )
    });
    let kind = format!("[Geometry<'static>; {count}]");
    out.constant("Its flash devices.", "DEVICES", &kind, &geometries);
    let bases = list(&|device| option(device.base.map(|base| format!("{base:#010x}"))));
    out.constant(
        "Where each of them is mapped into memory.",
        "BASES",
        &format!("[Option<u32>; {count}]"),
        &bases,
    );
    let chips = list(&|device| {
        let ids = device.jedec.iter().map(|id| {
            let bytes: Vec<_> = (0..id.len() / 2)
                .filter_map(|at| id.get(2 * at..2 * at + 2))
                .map(|byte| format!("0x{byte}"))
                .collect();
            format!("[{}]", bytes.join(", "))
        });
        format!("&[{}]", ids.collect::<Vec<_>>().join(", "))
    });
    out.constant(
        "What the chips answer with that each of them may be: JEDEC ids. None for one that is not asked.",
        "JEDEC",
        &format!("[&[[u8; 3]]; {count}]"),
        &chips,
    );
}

fn areas(board: &Board, out: &mut Source) {
    let rows = board.area_table().into_iter().zip(board.areas()).map(|(row, area)| {
        format!(
            "\n    // {}\n    AreaEntry {{ id: {}, device: {}, offset: {:#x}, size: {:#x} }},",
            area.name,
            id(row.id),
            row.device,
            row.offset,
            row.size
        )
    });
    let rows: String = rows.collect();
    let kind = format!("[AreaEntry; {}]", board.areas().len());
    out.constant("Its areas.", "AREAS", &kind, &format!("[{rows}\n]"));
    for (about, name, role) in [
        ("The area that swaps exchange through.", "SCRATCH", Role::Scratch),
        ("The area that the status of a swap is kept in.", "STATUS", Role::Status),
        ("The area with the factory image.", "FACTORY", Role::Factory),
        ("The area with the application's data.", "STORAGE", Role::Storage),
    ] {
        let value = option(board.area(role).map(|area| id(area.id)));
        out.constant(about, name, "Option<AreaId>", &value);
    }
}

fn slots(board: &Board, out: &mut Source) -> Result<(), ExportError> {
    let mut pairs = String::new();
    let single = matches!(board.mode(), UpgradeMode::SingleSlot | UpgradeMode::SingleSlotRamLoad);
    for image in 0..board.images() {
        let slot = |role| board.slot(image, role).ok_or(ExportError::NoArea(role, image));
        let primary = slot(Role::Primary)?.id;
        // The primary slot stands in for the one that is not there.
        let secondary = if single { primary } else { slot(Role::Secondary)?.id };
        let _ = write!(
            pairs,
            "\n    SlotPair {{ image: {image}, primary: {}, secondary: {} }},",
            id(primary),
            id(secondary)
        );
    }
    let kind = format!("[SlotPair; {}]", board.images());
    out.constant("The slots of its images.", "SLOTS", &kind, &format!("[{pairs}\n]"));
    let sizes = (0..board.images()).map(|image| board.capacity(image).max_image.to_string());
    let sizes: Vec<_> = sizes.collect();
    out.constant(
        "Bytes of the largest images, TLVs included.",
        "MAX_IMAGE_SIZES",
        &format!("[u32; {}]", board.images()),
        &format!("[{}]", sizes.join(", ")),
    );
    out.constant(
        "Bytes in front of an image's body.",
        "HEADER_SIZE",
        "u32",
        &format!("{:#x}", board.image_defaults().header_size),
    );
    let boot = board.boot();
    let keys = option(board.trailer_keys().map(|keys| match keys {
        TrailerKeys::Plain(length) => format!("TrailerKeys::Plain({})", key_length(length)),
        TrailerKeys::Wrapped(format) => format!(
            "TrailerKeys::Wrapped(match WrapFormat::new(TlvType({:#x}), {}) {{\n        Some(format) => \
             format,\n        None => panic!(),\n    }})",
            format.kind().0,
            key_length(format.key())
        ),
    }));
    let format = format!(
        "TrailerFormat {{\n    mode: UpgradeMode::{:?},\n    max_align: {},\n    max_sectors: {},\n    \
         keys: {keys},\n}}",
        board.mode(),
        boot.max_align,
        boot.max_sectors
    );
    out.constant("How trailers are laid out.", "TRAILERS", "TrailerFormat", &format);
    Ok(())
}

fn rules(board: &Board, out: &mut Source) {
    let rules = board.rules(0);
    let bytes = |id: Option<[u8; 16]>| option(id.map(|id| format!("{id:#04x?}").replace('\n', "")));
    let ids = option(rules.board.map(|BoardIds { vendor, class, required }| {
        let (vendor, class) = (bytes(vendor), bytes(class));
        format!("BoardIds {{\n        vendor: {vendor},\n        class: {class},\n        required: {required},\n    }}")
    }));
    let counter = option(rules.security_counter.map(|counter| counter.to_string()));
    let strictness = match rules.strictness {
        Strictness::Strict => "Strict",
        _ => "Imitate",
    };
    let value = format!(
        "Rules {{\n    hash: HashKind::{:?},\n    signed: Signed::{:?},\n    strictness: \
         Strictness::{strictness},\n    supported: Flags({:#x}),\n    max_size: {},\n    allow_list: \
         {},\n    security_counter: {counter},\n    board: {ids},\n}}",
        rules.hash, rules.signed, rules.supported.0, rules.max_size, rules.allow_list
    );
    out.constant("What is asked of images.", "RULES", "Rules", &value);
    let boot = board.boot();
    let scheme = option(boot.signature.scheme().map(|scheme| format!("Scheme::{scheme:?}")));
    out.constant("How they are signed.", "SIGNATURE", "Option<Scheme>", &scheme);
    for (about, name, value) in [
        (
            "Whether the primary image is validated at every boot.",
            "VALIDATE_PRIMARY",
            boot.validate_primary,
        ),
        ("Whether an empty primary slot is filled unasked.", "BOOTSTRAP", boot.bootstrap),
        (
            "Whether lower versions are refused.",
            "REFUSE_LOWER_VERSIONS",
            boot.downgrade_prevention == DowngradePrevention::Version,
        ),
        (
            "Whether lower security counters are refused.",
            "REFUSE_LOWER_COUNTERS",
            boot.downgrade_prevention == DowngradePrevention::SecurityCounter,
        ),
    ] {
        out.constant(about, name, "bool", &value.to_string());
    }
}

fn machine(board: &Board, out: &mut Source) {
    let watchdog = board.watchdog();
    let watchdog =
        option(watchdog.map(|dog| format!("({}, {})", dog.timeout_ms, dog.started_by_bootloader)));
    out.constant(
        "Milliseconds until the watchdog resets, and whether the bootloader starts it.",
        "WATCHDOG",
        "Option<(u32, bool)>",
        &watchdog,
    );
    let regions = board.ram().iter().map(|ram| format!("({:#010x}, {:#x})", ram.base, ram.size));
    let regions: Vec<_> = regions.collect();
    out.constant(
        "Its RAM: addresses and bytes.",
        "RAM",
        &format!("[(u32, u32); {}]", regions.len()),
        &format!("[{}]", regions.join(", ")),
    );
    out.constant(
        "Milliseconds that the button is held for the factory image; 0: looked at once.",
        "ROLLBACK_HOLD_MS",
        "Option<u32>",
        &option(board.rollback_hold().map(|held| held.as_millis().to_string())),
    );
    let recovery = board.recovery();
    let enters = |way| recovery.is_some_and(|recovery| recovery.enters_by(way));
    for (name, way) in [
        ("RECOVERY_BY_BUTTON", RecoveryWay::Button),
        ("RECOVERY_BY_PIN_RESET", RecoveryWay::PinReset),
        ("RECOVERY_BY_BOOT_MODE", RecoveryWay::BootMode),
        ("RECOVERY_WITHOUT_IMAGE", RecoveryWay::NoImage),
    ] {
        let about = format!("Whether serial recovery is entered: {}.", way.name());
        out.constant(&about, name, "bool", &enters(way).to_string());
    }
    let window = recovery.and_then(|recovery| recovery.window_ms());
    out.constant(
        "Milliseconds after a reset within which a request leads into serial recovery.",
        "RECOVERY_WINDOW_MS",
        "Option<u32>",
        &option(window.map(|ms| ms.to_string())),
    );
    let raw = recovery.is_some_and(|recovery| recovery.transport == RecoveryTransport::Raw);
    out.constant("Whether its messages are bare.", "RECOVERY_RAW", "bool", &raw.to_string());
    out.constant(
        "Whether slots are of equal rank, and an image has to be confirmed after its first start.",
        "TRIALS",
        "bool",
        &board.has_trials().to_string(),
    );
    let ram = board.boot().ram_load.as_ref();
    let ram = option(ram.map(|ram| format!("({:#010x}, {:#x})", ram.base, ram.size)));
    out.constant(
        "Where images are loaded to: address and bytes.",
        "RAM_LOAD",
        "Option<(u32, u32)>",
        &ram,
    );
}

fn option(value: Option<String>) -> String {
    value.map_or("None".to_owned(), |value| format!("Some({value})"))
}

fn id(AreaId(id): AreaId) -> String {
    format!("AreaId({id})")
}

fn key_length(length: KeyLength) -> String {
    format!("KeyLength::{length:?}")
}
