//! Scenarios recorded from the C boot loader (vectors/mcuboot, explained in its README), as
//! something that our bootloader can be run on.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, CounterFault, Downgrade, EqualSlots, Images,
    InPlace, InRam, LoadRegion, Overwrite, Platform, SecurityCounters, SwapMove, SwapOffset,
    SwapScratch,
};
use updraft_flash::{AreaEntry, AreaId, Error, FlashMap, SectorRun, SlotPair};
use updraft_image::{
    HashKind, HashOnly, KeyLength, KeyUnwrap, PublicKey, Rules, Software, Strictness, TlvType,
    TrailerKeys, Verifier, WithPrivateKey, WrapFormat,
};
use updraft_sim::flash::{AreaOp, DeviceSpec, SimError, SimFlash, Timings};
use updraft_sim::{PrivateKey, Remembering};

/// The largest number of sectors that the recorded boot loader was built for.
const MAX_SECTORS: u32 = 128;

/// What a boot ends with.
pub type Verdict = Result<Boot, BootError<Error<SimError>>>;

/// A file of the vectors.
pub fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the images of equal slots run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equal {
    InPlace { revert: bool },
    InRam { revert: bool, start: u32, size: u32 },
}

/// A recorded scenario before its first boot, the request not made yet.
pub struct Scenario {
    pub name: String,
    pub flash: SimFlash,
    pub config: Config,
    pub strategy: AnyStrategy,
    /// Where images run whose slots are equal; the strategy does not matter then.
    pub equal: Option<Equal>,
    /// The stored security counter, where the configuration has one.
    pub counter: Option<u32>,
    /// The recording.
    pub json: Value,
    key: Option<Vec<u8>>,
    private: Option<PrivateKey>,
}

impl Scenario {
    /// Reads either form of the recordings: with its own layout, or with a `geometry`.
    pub fn new(json: Value, keys: &Value) -> Self {
        let config_name = json["config"].as_str().unwrap();
        let option = |name| config_name.split('-').any(|part| part == name);
        let strategy = match config_name.split('-').next() {
            Some("move") => AnyStrategy::SwapMove(SwapMove),
            Some("offset") => AnyStrategy::SwapOffset(SwapOffset),
            Some("scratch") => AnyStrategy::SwapScratch(SwapScratch { scratch: AreaId(3) }),
            // The recorded builds with bootstrap copy only the image, whatever their name.
            _ if option("fast") || option("boots") => AnyStrategy::Overwrite(Overwrite::Image),
            _ => AnyStrategy::Overwrite(Overwrite::Slot),
        };
        let pair = |image, primary, secondary| SlotPair {
            image,
            primary: AreaId(primary),
            secondary: AreaId(secondary),
        };
        let slots = pair(0, 1, 2);
        let two = Images::new(&[slots, pair(1, 4, 5)]).unwrap();
        let private = private_key(&json, keys);
        let format = private.as_ref().and_then(KeyUnwrap::format);
        let trailer_keys = format.map(|format| match option("enctlv") {
            true => TrailerKeys::Wrapped(format),
            false => TrailerKeys::Plain(format.key()),
        });
        let rules = Rules {
            strictness: Strictness::Imitate,
            hash: if option("p384") { HashKind::Sha384 } else { HashKind::Sha256 },
            supported: format.map(|format| format.key().flag()).unwrap_or_default(),
            ..Rules::default()
        };
        let max_align = [(32, "a32"), (16, "a16")].into_iter().find(|(_, name)| option(name));
        let config = Config {
            images: if option("multi") { two } else { Images::one(slots) },
            max_align: max_align.map_or(8, |(align, _)| align),
            max_sectors: MAX_SECTORS,
            keys: trailer_keys,
            validate_primary: option("vp"),
            downgrade: if option("dp") { Downgrade::Refused } else { Downgrade::Allowed },
            bootstrap: option("boots"),
            ..Config::new(slots, rules)
        };
        let key = match config_name {
            _ if option("p256") || option("p256m") => Some("ecdsa-p256"),
            _ if option("p384") => Some("ecdsa-p384"),
            _ if option("rsa2048") => Some("rsa-2048"),
            _ if option("ed25519") => Some("ed25519"),
            _ => None,
        };
        let key = key.map(|name| unhex(keys[name]["embedded_pub_der_hex"].as_str().unwrap()));
        let counter = option("hwrb").then(|| json["nvcnt"].as_u64().unwrap_or(0) as u32);
        let name = json["name"].as_str().unwrap().to_owned();
        let flash = initial_flash(&json);
        let revert = option("revert");
        let number = |value: &Value| value.as_u64().unwrap() as u32;
        let equal = match config_name.split('-').next() {
            Some("xip") => Some(Equal::InPlace { revert }),
            Some("ramload") => {
                // The traces do not repeat it.
                let region = json["ram_region"].as_array();
                let [start, size] = match region.map(Vec::as_slice) {
                    Some([start, size]) => [number(start), number(size)],
                    _ => [0x2000_0000, 0x20_0000],
                };
                Some(Equal::InRam { revert, start, size })
            }
            _ => None,
        };
        Self { name, flash, config, strategy, equal, counter, json, key, private }
    }

    /// The same under a bootloader that does not imitate.
    pub fn strictly(&self) -> Self {
        let mut config = self.config;
        config.rules.strictness = Strictness::Strict;
        let Self { name, flash, strategy, equal, counter, json, key, private, .. } = self;
        Self {
            name: name.clone(),
            flash: flash.clone(),
            config,
            strategy: *strategy,
            equal: *equal,
            counter: *counter,
            json: json.clone(),
            key: key.clone(),
            private: private.clone(),
        }
    }

    /// A device in its current state.
    pub fn board(&self) -> Board<'_> {
        let key = self.key.as_deref().map(|der| PublicKey::from_der(der).unwrap());
        let (flash, counter) = (self.flash.clone(), self.counter);
        Board { scenario: self, flash, counter, key, ram: Vec::new() }
    }
}

/// The device's private key, where the recorded boot loader had one.
fn private_key(json: &Value, keys: &Value) -> Option<PrivateKey> {
    let name = json["enckey"].as_str()?;
    let tlv = match name.rsplit_once("enc-")?.1 {
        "rsa-2048" => TlvType::ENCRSA2048,
        "ecdsa-p256" => TlvType::ENCEC256,
        "x25519" => TlvType::ENCX25519,
        _ => TlvType::ENCKW,
    };
    let text = String::from_utf8(file(keys[name]["private"].as_str()?)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let mut bytes = STANDARD.decode(lines.collect::<String>()).unwrap();
    if tlv == TlvType::ENCRSA2048 {
        // PKCS#8 wraps the PKCS#1 that a bootloader embeds, in 26 bytes of a fixed length.
        bytes.drain(..26);
    }
    let format = WrapFormat::new(tlv, KeyLength::Aes128)?;
    Some(PrivateKey::new(format, bytes).unwrap())
}

/// A device on which a scenario is played.
#[derive(Clone)]
pub struct Board<'s> {
    scenario: &'s Scenario,
    pub flash: SimFlash,
    pub counter: Option<u32>,
    key: Option<PublicKey<'s>>,
    /// What the last boot has left in the memory that images are loaded to.
    pub ram: Vec<u8>,
}

impl Board<'_> {
    /// Boots once. Returns the operations that were done besides.
    pub fn boot(&mut self) -> (Verdict, Vec<AreaOp>) {
        let keys = self.key.map(|key| [key]);
        match (&keys, &self.scenario.private) {
            (Some(keys), Some(private)) => {
                let verifier = WithPrivateKey::new(Software::new(keys), private.clone());
                self.boot_with(&mut Remembering::new(verifier))
            }
            (Some(keys), None) => self.boot_with(&mut Remembering::new(Software::new(keys))),
            (None, _) => self.boot_with(&mut HashOnly),
        }
    }

    fn boot_with(&mut self, verifier: &mut impl Verifier) -> (Verdict, Vec<AreaOp>) {
        let Scenario { config, strategy, equal, .. } = self.scenario;
        self.flash.supply().record(true);
        let mut counter = Stored(self.counter);
        let mut platform = Platform::new(&mut self.flash, verifier).with_counters(&mut counter);
        let verdict = match *equal {
            None => Bootloader::new(*config, *strategy).boot(&mut platform),
            Some(Equal::InPlace { revert }) => {
                EqualSlots::new(*config, InPlace { revert }).boot(&mut platform)
            }
            Some(Equal::InRam { revert, start, size }) => {
                self.ram = vec![0; size as usize];
                let region = LoadRegion { address: start, bytes: &mut self.ram };
                EqualSlots::new(*config, InRam::new(region, revert)).boot(&mut platform)
            }
        };
        self.counter = counter.0;
        (verdict, self.flash.take_log())
    }

    /// FNV-1a-64 of the area of that number, as the recordings have it.
    pub fn fnv(&self, area: &str) -> String {
        let area = AreaId(area.parse().unwrap());
        fnv(&self.flash.bytes(area))
    }

    /// Which areas do not hash to what `expected` says.
    pub fn wrong_areas(&self, expected: &BTreeMap<String, String>) -> Vec<String> {
        let wrong = expected.iter().filter(|(area, fnv)| self.fnv(area) != **fnv);
        wrong.map(|(area, _)| area.clone()).collect()
    }
}

/// Whether memory is what was recorded: which bytes of it are not zero, and what they are.
pub fn same_ram(board: &Board, recorded: &Value) -> bool {
    let Some(Equal::InRam { start, .. }) = board.scenario.equal else { return true };
    let first = board.ram.iter().position(|byte| *byte != 0);
    let Some(first) = first else { return recorded["ram"].is_null() };
    let end = board.ram.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let ram = &recorded["ram"];
    ram["first"] == u64::from(start) + first as u64
        && ram["end"] == u64::from(start) + end as u64
        && ram["fnv"] == fnv(&board.ram[first..end])
}

/// Whether the slot is what was recorded, where slots are equal.
pub fn same_slot(scenario: &Scenario, verdict: &Verdict, recorded: &Value) -> bool {
    match (scenario.equal, verdict) {
        (Some(_), Ok(boot)) => recorded["slot"] == boot.area.0,
        _ => true,
    }
}

/// FNV-1a-64, as the recordings write it.
fn fnv(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The hashes of a recording, by area.
pub fn fnvs(json: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(json.clone()).unwrap()
}

/// Whether a verdict is what was recorded: booted or not, and which version.
pub fn same_verdict(verdict: &Verdict, recorded: &Value) -> bool {
    match verdict {
        Ok(boot) => {
            recorded["verdict"] == "boot" && recorded["version"] == boot.header.version.to_string()
        }
        Err(_) => recorded["verdict"] == "fail",
    }
}

struct Stored(Option<u32>);

impl SecurityCounters for Stored {
    fn read<M: FlashMap>(&mut self, _: &mut M, _: u8) -> Result<Option<u32>, CounterFault> {
        Ok(self.0)
    }

    fn raise<M: FlashMap>(&mut self, _: &mut M, _: u8, value: u32) -> Result<(), CounterFault> {
        self.0 = self.0.map(|stored| stored.max(value));
        Ok(())
    }
}

fn initial_flash(json: &Value) -> SimFlash {
    let number = |value: &Value| value.as_u64().unwrap() as u32;
    let geometry = &json["geometry"];
    if geometry.is_null() {
        let device = |json: &Value| DeviceSpec {
            kind: Default::default(),
            write_size: number(&json["align"]),
            erased: number(&json["erased"]) as u8,
            sectors: json["sectors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|run| SectorRun { size: number(&run[0]), count: number(&run[1]) })
                .collect(),
            timings: Timings::default(),
        };
        let area = |(id, json): (&String, &Value)| AreaEntry {
            id: AreaId(id.parse().unwrap()),
            device: number(&json["device"]) as usize,
            offset: number(&json["offset"]),
            size: number(&json["size"]),
        };
        let mut flash = SimFlash::new(
            json["devices"].as_array().unwrap().iter().map(device).collect(),
            json["areas"].as_object().unwrap().iter().map(area).collect(),
        );
        for load in json["loads"].as_array().unwrap() {
            let image = file(load["file"].as_str().unwrap());
            let area = AreaId(number(&load["area"]) as u8);
            flash.load(area, number(&load["offset"]), &image).unwrap();
        }
        return flash;
    }
    let field = |name: &str| number(&geometry[name]);
    let sizes = [field("slot_size"), field("secondary_size"), field("scratch_size")];
    let count = sizes.iter().sum::<u32>() / field("sector");
    let device = DeviceSpec {
        erased: field("erased_val") as u8,
        ..DeviceSpec::nor(count, field("sector"), field("align"))
    };
    let mut offset = 0;
    let areas = sizes.into_iter().zip(1..).map(|(size, id)| {
        let entry = AreaEntry { id: AreaId(id), device: 0, offset, size };
        offset += size;
        entry
    });
    let mut flash = SimFlash::new(vec![device], areas.collect());
    let offset = json["config"].as_str().unwrap().starts_with("offset-");
    let update = if offset { field("sector") } else { 0 };
    for (area, start, name) in [(1, 0, "primary"), (2, update, "secondary")] {
        if let Some(name) = json[name].as_str() {
            flash.load(AreaId(area), start, &file(name)).unwrap();
        }
    }
    flash
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}
