//! Scenarios recorded from the C boot loader (vectors/mcuboot, explained in its README), as
//! something that our bootloader can be run on.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, CounterFault, Downgrade, Images, Overwrite,
    Platform, SecurityCounters, SwapMove,
};
use updraft_flash::{AreaEntry, AreaId, Error, SectorRun, SlotPair};
use updraft_image::{HashOnly, PublicKey, Rules, Software, Strictness, Verifier};
use updraft_sim::Remembering;
use updraft_sim::flash::{AreaOp, DeviceSpec, SimError, SimFlash, Timings};

/// The largest number of sectors that the recorded boot loader was built for.
const MAX_SECTORS: u32 = 128;

/// What a boot ends with.
pub type Verdict = Result<Boot, BootError<Error<SimError>>>;

/// A file of the vectors.
pub fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Why scenarios of a configuration (`mode-signature-encryption-options`) are not run.
pub fn excluded(config: &str) -> Option<&'static str> {
    match config {
        _ if config.starts_with("scratch-") => Some("mode swap-scratch: no strategy"),
        _ if config.starts_with("offset-") => Some("mode swap-offset: no strategy"),
        _ if config.starts_with("xip-") => Some("mode direct-XIP: no strategy"),
        _ if config.starts_with("ramload-") => Some("mode RAM-load: no strategy"),
        _ if !config.contains("-none") => Some("encrypted images"),
        _ if config.contains("-p384-") => Some("signature ECDSA P-384: no verifier"),
        _ if config.contains("-rsa2048-") => Some("signature RSA-2048: no verifier"),
        _ => None,
    }
}

/// A recorded scenario before its first boot, the request not made yet.
pub struct Scenario {
    pub name: String,
    pub flash: SimFlash,
    pub config: Config,
    pub strategy: AnyStrategy,
    /// The stored security counter, where the configuration has one.
    pub counter: Option<u32>,
    /// The recording.
    pub json: Value,
    key: Option<Vec<u8>>,
}

impl Scenario {
    /// Reads either form of the recordings: with its own layout, or with a `geometry`.
    pub fn new(json: Value, keys: &Value) -> Self {
        let config_name = json["config"].as_str().unwrap();
        let option = |name| config_name.split('-').any(|part| part == name);
        let strategy = match config_name.split('-').next() {
            Some("move") => AnyStrategy::SwapMove(SwapMove),
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
        let rules = Rules { strictness: Strictness::Imitate, ..Rules::default() };
        let max_align = [(32, "a32"), (16, "a16")].into_iter().find(|(_, name)| option(name));
        let config = Config {
            images: if option("multi") { two } else { Images::one(slots) },
            max_align: max_align.map_or(8, |(align, _)| align),
            max_sectors: MAX_SECTORS,
            validate_primary: option("vp"),
            downgrade: if option("dp") { Downgrade::Refused } else { Downgrade::Allowed },
            bootstrap: option("boots"),
            ..Config::new(slots, rules)
        };
        let key = match config_name {
            _ if option("p256") => Some("ecdsa-p256"),
            _ if option("ed25519") => Some("ed25519"),
            _ => None,
        };
        let key = key.map(|name| unhex(keys[name]["embedded_pub_der_hex"].as_str().unwrap()));
        let counter = option("hwrb").then(|| json["nvcnt"].as_u64().unwrap_or(0) as u32);
        let name = json["name"].as_str().unwrap().to_owned();
        let flash = initial_flash(&json);
        Self { name, flash, config, strategy, counter, json, key }
    }

    /// The same under a bootloader that does not imitate.
    pub fn strictly(&self) -> Self {
        let mut config = self.config;
        config.rules.strictness = Strictness::Strict;
        let Self { name, flash, strategy, counter, json, key, .. } = self;
        Self {
            name: name.clone(),
            flash: flash.clone(),
            config,
            strategy: *strategy,
            counter: *counter,
            json: json.clone(),
            key: key.clone(),
        }
    }

    /// A device in its current state.
    pub fn board(&self) -> Board<'_> {
        let key = self.key.as_deref().map(|der| PublicKey::from_der(der).unwrap());
        Board { scenario: self, flash: self.flash.clone(), counter: self.counter, key }
    }
}

/// A device on which a scenario is played.
#[derive(Clone)]
pub struct Board<'s> {
    scenario: &'s Scenario,
    pub flash: SimFlash,
    pub counter: Option<u32>,
    key: Option<PublicKey<'s>>,
}

impl Board<'_> {
    /// Boots once. Returns the operations that were done besides.
    pub fn boot(&mut self) -> (Verdict, Vec<AreaOp>) {
        match self.key {
            Some(key) => {
                let keys = [key];
                self.boot_with(&mut Remembering::new(Software::new(&keys)))
            }
            None => self.boot_with(&mut HashOnly),
        }
    }

    fn boot_with(&mut self, verifier: &mut impl Verifier) -> (Verdict, Vec<AreaOp>) {
        let loader = Bootloader::new(self.scenario.config, self.scenario.strategy);
        self.flash.supply().record(true);
        let mut counter = Stored(self.counter);
        let mut platform = Platform::new(&mut self.flash, verifier).with_counters(&mut counter);
        let verdict = loader.boot(&mut platform);
        self.counter = counter.0;
        (verdict, self.flash.take_log())
    }

    /// FNV-1a-64 of the area of that number, as the recordings have it.
    pub fn fnv(&self, area: &str) -> String {
        let area = AreaId(area.parse().unwrap());
        let hash = self.flash.bytes(area).iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// Which areas do not hash to what `expected` says.
    pub fn wrong_areas(&self, expected: &BTreeMap<String, String>) -> Vec<String> {
        let wrong = expected.iter().filter(|(area, fnv)| self.fnv(area) != **fnv);
        wrong.map(|(area, _)| area.clone()).collect()
    }
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
    fn read(&mut self, _: u8) -> Result<Option<u32>, CounterFault> {
        Ok(self.0)
    }

    fn raise(&mut self, _: u8, value: u32) -> Result<(), CounterFault> {
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
    for (area, name) in [(1, "primary"), (2, "secondary")] {
        if let Some(name) = json[name].as_str() {
            flash.load(AreaId(area), 0, &file(name)).unwrap();
        }
    }
    flash
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}
