//! Power cuts at every flash operation of an upload, torn in every way; and recovery from swaps
//! that a cut interrupted.

use serde_json::json;
use updraft_boot::{AnyStrategy, Bootloader, Platform};
use updraft_dfu::{Dfu, Upgrade};
use updraft_flash::{FlashMap, Kind, SlotPair};
use updraft_image::{HashOnly, Header, UpgradeMode, Version};
use updraft_recovery::Config;
use updraft_sim::flash::{SimFlash, Torn};

use crate::common::{
    Device, Everything, PRIMARY, SECONDARY, V1, V2, config, flash, image, nor, trailer, valid,
};

const V3: Version = Version::new(3, 0, 0, 0);

type Bench = Device<HashOnly, Everything>;

fn device(config: Config, flash: SimFlash) -> Bench {
    Device::new(config, flash, HashOnly, Everything::default())
}

/// Uploads until the end or the cut; `true` at the end.
fn upload_until_cut(device: &mut Bench, file: &[u8]) -> bool {
    let mut answer = device.first(file, 1_024);
    while answer["rc"] == 0 {
        let off = answer["off"].as_u64().expect("an offset") as usize;
        if off == file.len() {
            return true;
        }
        let end = (off + 1_024).min(file.len());
        answer = device.chunk(json!({ "off": off }), &file[off..end]);
    }
    assert!(!device.flash().supply().is_on(), "{answer}");
    false
}

/// The version in the primary slot that a bootloader would start.
fn bootable(config: &Config, flash: &mut SimFlash) -> Option<Version> {
    valid(flash, PRIMARY, 0, &config.rules, &mut HashOnly).map(|(version, _)| version)
}

/// Whether the first word of the primary slot is an image's.
fn has_magic(flash: &mut SimFlash) -> bool {
    let mut bytes = [0; 4];
    flash.read(PRIMARY, 0, &mut bytes).is_ok() && bytes == Header::MAGIC.to_le_bytes()
}

fn operations(config: Config, flash: SimFlash, file: &[u8]) -> u64 {
    let mut device = device(config, flash);
    let before = device.flash().supply().operations();
    assert!(upload_until_cut(&mut device, file));
    device.flash().supply().operations() - before
}

struct Sweep {
    config: Config,
    kind: Kind,
    /// Write units end with the magic, so that a header cannot be torn behind it.
    small_units: bool,
    new: Vec<u8>,
    cuts: usize,
    again: usize,
}

impl Sweep {
    /// Asserts what holds after a cut, whatever it tore.
    fn check(&self, device: &mut Bench, place: &str) {
        let version = bootable(&self.config, device.flash());
        assert!(version.is_none_or(|version| version == V1 || version == V2), "{place}");
        if self.small_units && has_magic(device.flash()) {
            assert!(version.is_some(), "{place}: half an image begins like a whole one");
        }
    }

    /// After a cut, the same upload is brought to its end.
    fn finish(&mut self, flash: SimFlash, place: &str) {
        let mut device = device(self.config, flash);
        let (answer, sent) = device.upload(&self.new, 1_024);
        assert_eq!(answer, json!({ "rc": 0, "off": self.new.len() }), "{place}");
        assert!(device.flash().holds(PRIMARY, 0, &self.new), "{place}");
        let trailer = trailer(&self.config, device.flash(), PRIMARY);
        assert!(trailer.is_erased(device.flash()).unwrap(), "{place}");
        assert_eq!(bootable(&self.config, device.flash()), Some(V2), "{place}");
        self.again += sent;
    }

    fn run(&mut self, fresh: &SimFlash) {
        let total = operations(self.config, fresh.clone(), &self.new);
        for n in 0..total {
            for (class, torn) in Torn::classes(self.kind, n * 31 + 7).enumerate() {
                let place = format!("{:?}: operation {n} of {total}, {torn:?}", self.kind);
                let mut device = device(self.config, fresh.clone());
                device.flash().supply().cut_at(n, torn);
                assert!(!upload_until_cut(&mut device, &self.new), "{place}");
                let flash = device.recovery.into_parts().0;
                flash.supply().power_on();
                let mut after = self::device(self.config, flash.clone());
                self.check(&mut after, &place);
                self.cuts += 1;

                // One more cut, somewhere in what is left.
                let left = operations(self.config, flash.clone(), &self.new);
                if left > 0 {
                    let m = (n * 5 + class as u64 * 11 + 3) % left;
                    let place = format!("{place}, then {m} of {left}");
                    after.flash().supply().cut_at(m, torn);
                    assert!(!upload_until_cut(&mut after, &self.new), "{place}");
                    let flash = after.recovery.into_parts().0;
                    flash.supply().power_on();
                    let mut twice = self::device(self.config, flash.clone());
                    self.check(&mut twice, &place);
                    self.finish(flash, &place);
                    self.cuts += 1;
                }
                self.finish(flash, &place);
            }
        }
    }
}

#[test]
fn a_cut_upload_leaves_no_half_image_and_can_be_brought_to_its_end() {
    let (mut cuts, mut again, mut from_start) = (0, 0, 0);
    for (kind, write_size, erased) in [
        (Kind::Nor, 4, 0xff),
        (Kind::Nor, 16, 0x00),
        (Kind::NorLimited { word: 4, programs: 2 }, 4, 0xff),
        (Kind::EccWords, 8, 0xff),
        (Kind::SelfErasingRows, 512, 0x00),
    ] {
        let mut config = config(UpgradeMode::SwapMove);
        config.trailers.max_align = 16;
        let (old, new) = (image(V1, 18_000), image(V2, 14_000));
        let mut fresh = flash(kind, write_size, erased);
        fresh.load(PRIMARY, 0, &old).unwrap();
        let small_units = write_size <= 4;
        let mut sweep = Sweep { config, kind, small_units, new, cuts: 0, again: 0 };
        sweep.run(&fresh);
        cuts += sweep.cuts;
        again += sweep.again;
        from_start += sweep.cuts * sweep.new.len();
    }
    let share = again * 100 / from_start;
    println!("{cuts} cuts of uploads, none leaves half an image; {share} % is sent again");
}

fn bootloader(config: &Config) -> Bootloader<AnyStrategy> {
    let slots = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
    let mut boot = updraft_boot::Config::new(slots, config.rules);
    boot.max_align = config.trailers.max_align;
    boot.max_sectors = config.trailers.max_sectors;
    let strategy = AnyStrategy::new(config.trailers.mode, config.scratch);
    Bootloader::new(boot, strategy.expect("a mode that upgrades"))
}

fn boots(config: &Config, flash: &mut SimFlash) -> Option<Version> {
    let mut platform = Platform::new(flash, HashOnly);
    bootloader(config).boot(&mut platform).ok().map(|boot| boot.header.version)
}

/// A device that is about to upgrade from version 1 to version 2, for good or on trial.
fn upgrading(config: &Config, upgrade: Upgrade) -> SimFlash {
    let mut flash = nor();
    flash.load(PRIMARY, 0, &image(V1, 18_000)).unwrap();
    let start = config.trailers.update_start(&flash, SECONDARY);
    flash.load(SECONDARY, start, &image(V2, 14_000)).unwrap();
    let slots = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
    let dfu = updraft_dfu::Config { slots, trailers: config.trailers, rules: config.rules };
    let dfu = Dfu::new(&flash, dfu).unwrap();
    dfu.request_upgrade(&mut flash, &mut HashOnly, upgrade).unwrap();
    flash
}

#[test]
fn an_upload_ends_a_swap_that_a_cut_interrupted() {
    let mut cuts = 0;
    for mode in [UpgradeMode::SwapMove, UpgradeMode::SwapOffset, UpgradeMode::OverwriteOnly] {
        let config = config(mode);
        let new = image(V3, 10_000);
        let fresh = upgrading(&config, Upgrade::Test);
        let total = {
            let mut flash = fresh.clone();
            let before = flash.supply().operations();
            assert_eq!(boots(&config, &mut flash), Some(V2));
            let after = flash.supply().operations();
            after - before
        };
        for n in 0..total {
            let mut flash = fresh.clone();
            flash.supply().cut_at(n, Torn::Half);
            boots(&config, &mut flash);
            flash.supply().power_on();
            let mut device = device(config, flash);
            assert_eq!(device.upload(&new, 1_024).0["rc"], 0, "{mode} {n}");
            let (mut flash, ..) = device.recovery.into_parts();
            for boot in ["first", "second"] {
                assert_eq!(boots(&config, &mut flash), Some(V3), "{mode} {n}, {boot} boot");
            }
            cuts += 1;
        }
    }
    println!("{cuts} interrupted swaps ended by an upload");
}

#[test]
fn an_interrupted_upload_over_an_interrupted_swap_boots_a_valid_image_or_none() {
    let mut cuts = 0;
    for mode in [UpgradeMode::SwapMove, UpgradeMode::SwapOffset, UpgradeMode::OverwriteOnly] {
        let config = config(mode);
        let new = image(V3, 10_000);
        let mut swapping = upgrading(&config, Upgrade::Permanent);
        swapping.supply().cut_at(12, Torn::Half);
        assert_eq!(boots(&config, &mut swapping), None, "the cut falls into the swap");
        swapping.supply().power_on();
        let total = operations(config, swapping.clone(), &new);
        for n in 0..total {
            for torn in Torn::classes(Kind::Nor, n) {
                let mut device = device(config, swapping.clone());
                device.flash().supply().cut_at(n, torn);
                assert!(!upload_until_cut(&mut device, &new));
                let (flash, ..) = device.recovery.into_parts();
                flash.supply().power_on();
                let mut booted = flash.clone();
                let version = boots(&config, &mut booted);
                assert!(version.is_none_or(|v| [V1, V2, V3].contains(&v)), "{mode} {n} {torn:?}");
                // Whatever the bootloader made of it, the upload still succeeds.
                for flash in [flash, booted] {
                    let mut device = self::device(config, flash);
                    let (answer, _) = device.upload(&new, 1_024);
                    assert_eq!(answer["rc"], 0, "{mode} {n} {torn:?}");
                    let (mut flash, ..) = device.recovery.into_parts();
                    assert_eq!(boots(&config, &mut flash), Some(V3), "{mode} {n} {torn:?}");
                    cuts += 1;
                }
            }
        }
    }
    println!("{cuts} uploads brought to their end after cuts during an interrupted swap");
}
