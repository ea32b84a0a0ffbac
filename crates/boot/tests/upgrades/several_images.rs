//! Two images with slots of their own, upgraded together.

use crate::board::{Report, SCRATCH, SWAP_SCRATCH, image, image_with};
use updraft_boot::{
    AnyStrategy, Boot, BootError, Bootloader, Config, EqualSlots, Event, Images, InPlace,
    Overwrite, Platform, SingleSlot, SwapMove, SwapOffset, Unmet, Validate,
};
use updraft_flash::{AreaEntry, AreaId, SlotPair, TrailerAccess, TrailerFormat};
use updraft_image::{
    Dependency, Flag, HashOnly, Header, Rules, Strictness, SwapInfo, SwapType, TlvType,
    UpgradeMode, Version,
};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const SECTOR: u32 = 512;
const SLOT: u32 = 8 * SECTOR;
const PAIRS: [SlotPair; 2] = [
    SlotPair { image: 0, primary: AreaId(1), secondary: AreaId(2) },
    SlotPair { image: 1, primary: AreaId(4), secondary: AreaId(5) },
];

#[derive(Clone)]
struct Device {
    flash: SimFlash,
    loader: Bootloader<AnyStrategy>,
}

impl Device {
    fn new() -> Self {
        Self::upgrading_by(AnyStrategy::SwapMove(SwapMove))
    }

    /// With a scratch area that both images share.
    fn upgrading_by(strategy: AnyStrategy) -> Self {
        let area = |id, at| AreaEntry { id, device: 0, offset: at * SLOT, size: SLOT };
        let slots = [1, 2, 4, 5].map(AreaId).into_iter().zip(0..);
        let mut table: Vec<_> = slots.map(|(id, at)| area(id, at)).collect();
        table.push(AreaEntry { id: SCRATCH, device: 0, offset: 4 * SLOT, size: SECTOR });
        let flash = SimFlash::new(vec![DeviceSpec::nor(33, SECTOR, 8)], table);
        let images = Images::new(&PAIRS).unwrap();
        let config = Config { images, max_sectors: 8, ..Config::new(PAIRS[0], Rules::default()) };
        Self { flash, loader: Bootloader::new(config, strategy) }
    }

    fn trailers(&self, pair: &SlotPair) -> [TrailerAccess; 2] {
        let mode = self.loader.mode();
        let format = TrailerFormat { mode, max_align: 8, max_sectors: 8, keys: None };
        format.trailers(&self.flash, pair).unwrap()
    }

    /// Writes an update to where it belongs.
    fn upload(&mut self, pair: &SlotPair, image: &[u8]) {
        let offset = match self.loader.mode() {
            UpgradeMode::SwapOffset => SECTOR,
            _ => 0,
        };
        self.flash.load(pair.secondary, offset, image).unwrap();
    }

    fn program(&mut self, area: AreaId, image: &[u8]) {
        self.flash.load(area, 0, image).unwrap();
    }

    fn request(&mut self, pair: &SlotPair, swap_type: SwapType) {
        let [_, secondary] = self.trailers(pair);
        secondary.write_magic(&mut self.flash).unwrap();
        if swap_type == SwapType::Permanent {
            secondary.write_image_ok(&mut self.flash).unwrap();
        }
        let info = SwapInfo { swap_type, image: pair.image };
        secondary.write_swap_info(&mut self.flash, info).unwrap();
    }

    fn confirm(&mut self, pair: &SlotPair) {
        let [primary, _] = self.trailers(pair);
        if primary.read(&mut self.flash).unwrap().image_ok != Flag::Set {
            primary.write_image_ok(&mut self.flash).unwrap();
        }
    }

    fn boot(&mut self) -> Result<(Boot, Vec<(u8, Report)>), String> {
        let mut events = Vec::new();
        let hooks = |image: u8, event: Report| events.push((image, event));
        let mut platform = Platform::new(&mut self.flash, HashOnly).with_hooks(hooks);
        let boot = self.loader.boot(&mut platform).map_err(|error| error.to_string())?;
        Ok((boot, events))
    }

    /// Major versions in the primary slots.
    fn running(&self) -> [u8; 2] {
        PAIRS.map(|pair| {
            let bytes = self.flash.bytes(pair.primary);
            let header = bytes
                .first_chunk()
                .and_then(|bytes: &[u8; Header::SIZE]| Header::parse(bytes).ok());
            header.map_or(0, |header| header.version.major)
        })
    }
}

/// Both images run in version 1; both are asked to upgrade to version 2.
fn both_asked(swap_type: SwapType) -> Device {
    both_asked_by(AnyStrategy::SwapMove(SwapMove), swap_type)
}

fn both_asked_by(strategy: AnyStrategy, swap_type: SwapType) -> Device {
    let mut device = Device::upgrading_by(strategy);
    for (pair, size) in PAIRS.iter().zip([1100, 1700]) {
        device.program(pair.primary, &image(1, size));
        device.upload(pair, &image(2, 2000 - size / 2));
        device.request(pair, swap_type);
    }
    device
}

fn operations(device: &Device) -> u64 {
    let mut device = device.clone();
    let before = device.flash.supply().operations();
    device.boot().unwrap();
    let after = device.flash.supply().operations();
    after - before
}

#[test]
fn both_are_upgraded_together_wherever_the_power_fails() {
    let swapping =
        [AnyStrategy::SwapMove(SwapMove), AnyStrategy::SwapOffset(SwapOffset), SWAP_SCRATCH];
    let mut cuts = 0;
    for strategy in swapping {
        for swap in [SwapType::Test, SwapType::Permanent, SwapType::Revert] {
            cuts += cut_everywhere(strategy, swap);
        }
    }
    for copy in [Overwrite::Image, Overwrite::Slot] {
        cuts += cut_everywhere(AnyStrategy::Overwrite(copy), SwapType::Permanent);
    }
    println!("two images: {cuts} cuts");
}

/// Every cut of an exchange of both; how many there were.
fn cut_everywhere(strategy: AnyStrategy, swap: SwapType) -> usize {
    let classes = [
        Torn::Skip,
        Torn::Half,
        Torn::AllButOneBit(1),
        Torn::Bits(2),
        Torn::Bits(3),
        Torn::Bits(4),
    ];
    let asked = if swap == SwapType::Revert { SwapType::Test } else { swap };
    let mut start = both_asked_by(strategy, asked);
    if swap == SwapType::Revert {
        start.boot().unwrap();
        assert_eq!(start.running(), [2, 2]);
    }
    let mut cuts = 0;
    let total = operations(&start);
    for n in 0..total {
        for torn in classes {
            let place = format!("{:?}, {swap:?}, cut {n}/{total} {torn:?}", start.loader.mode());
            let mut device = start.clone();
            device.flash.supply().cut_at(n, torn);
            device.boot().unwrap_err();
            device.flash.supply().power_on();
            device.boot().unwrap_or_else(|error| panic!("{place}: {error}"));
            let running = device.running();
            match swap {
                SwapType::Revert => assert_eq!(running, [1, 1], "{place}"),
                // A torn end of the last swap counts as its end.
                SwapType::Test if n + 1 == total && running == [1, 1] => continue,
                _ => assert_eq!(running, [2, 2], "{place}"),
            }
            if swap == SwapType::Test {
                let mut confirmed = device.clone();
                PAIRS.iter().for_each(|pair| confirmed.confirm(pair));
                confirmed.boot().unwrap();
                assert_eq!(confirmed.running(), [2, 2], "{place}: confirmed");
                device.boot().unwrap();
                assert_eq!(device.running(), [1, 1], "{place}: not confirmed");
            }
            assert_eq!(operations(&device), 0, "{place}: not settled");
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn an_image_that_would_lack_another_holds_every_upgrade_back() {
    let needs = |image, major| {
        let version = Version::new(major, 0, 0, 0);
        vec![(TlvType::DEPENDENCY, Dependency { image, version }.to_bytes().to_vec())]
    };
    for (tlvs, upgrade_second, unmet) in [
        (needs(1, 2), true, None),
        (needs(1, 1), false, None),
        (
            needs(1, 2),
            false,
            Some(Unmet::TooOld {
                image: 1,
                found: Some(Version::new(1, 0, 0, 0)),
                minimum: Version::new(2, 0, 0, 0),
            }),
        ),
        (needs(7, 1), true, Some(Unmet::NoSuchImage { image: 7 })),
    ] {
        let mut device = Device::new();
        PAIRS.iter().for_each(|pair| device.program(pair.primary, &image(1, 900)));
        device.program(PAIRS[0].secondary, &image_with(2, 1200, &tlvs));
        device.program(PAIRS[1].secondary, &image(2, 1000));
        device.request(&PAIRS[0], SwapType::Permanent);
        if upgrade_second {
            device.request(&PAIRS[1], SwapType::Permanent);
        }
        let (_, events) = device.boot().unwrap();
        let expected = match (unmet, upgrade_second) {
            (Some(unmet), _) => {
                assert_eq!(events, [(0, Event::DependencyUnmet(unmet))]);
                [1, 1]
            }
            (None, true) => [2, 2],
            (None, false) => [2, 1],
        };
        assert_eq!(device.running(), expected, "{tlvs:?}");
    }
}

#[test]
fn a_second_image_that_was_never_programmed_keeps_nothing_from_running() {
    let mut device = Device::new();
    device.program(PAIRS[0].primary, &image(1, 900));
    device.program(PAIRS[0].secondary, &image(2, 1200));
    device.request(&PAIRS[0], SwapType::Permanent);
    let (boot, events) = device.boot().unwrap();
    assert_eq!((boot.image, boot.header.version.major), (0, 2));
    assert_eq!(events, [(0, Event::Installed(SwapType::Permanent)), (1, Event::NotProvisioned)]);
    // Damaged is another matter than absent.
    let mut damaged = image(1, 900);
    damaged[100] ^= 1;
    device.program(PAIRS[1].primary, &damaged);
    device.boot().unwrap_err();
}

/// An image goes on without its update where flash refuses to exchange it, if no other one is exchanged:
/// images that were to come together may need each other.
#[test]
fn an_exchange_is_put_off_only_if_it_is_the_only_one() {
    let mut device = both_asked(SwapType::Test);
    assert!(device.flash.make_read_only(PAIRS[1].secondary));
    device.boot().unwrap_err();

    let mut device = both_asked(SwapType::Test);
    device.trailers(&PAIRS[0])[1].erase(&mut device.flash).unwrap();
    assert!(device.flash.make_read_only(PAIRS[1].secondary));
    let (_, events) = device.boot().unwrap();
    assert!(matches!(events[..], [(1, Event::NotBegun(_))]), "{events:?}");
    assert_eq!(device.running(), [1, 1]);

    // An earlier boot has exchanged the first one for good, which needs the second one.
    let mut device = Device::new();
    let needs = Dependency { image: 1, version: Version::new(2, 0, 0, 0) };
    device.program(
        PAIRS[0].primary,
        &image_with(2, 1100, &[(TlvType::DEPENDENCY, needs.to_bytes().to_vec())]),
    );
    device.program(PAIRS[1].primary, &image(1, 1700));
    device.program(PAIRS[1].secondary, &image(2, 1700));
    device.request(&PAIRS[1], SwapType::Permanent);
    assert!(device.flash.make_read_only(PAIRS[1].secondary));
    device.boot().unwrap_err();
}

/// The original forgets the bootstrap of an earlier image when it finds an upgrade of a later one,
/// as if it were a revert; then nothing boots.
#[test]
fn a_first_image_is_bootstrapped_while_another_one_is_upgraded() {
    for strictness in [Strictness::Strict, Strictness::Imitate] {
        let mut device = Device::new();
        let mut config = Config { bootstrap: true, ..*device.loader.config() };
        config.rules.strictness = strictness;
        device.loader = Bootloader::new(config, AnyStrategy::SwapMove(SwapMove));
        device.program(PAIRS[0].secondary, &image(2, 1200));
        device.program(PAIRS[1].primary, &image(1, 900));
        device.program(PAIRS[1].secondary, &image(2, 1000));
        device.request(&PAIRS[1], SwapType::Permanent);
        let booted = device.boot().is_ok();
        assert_eq!(booted, strictness == Strictness::Strict);
        assert!(!booted || device.running() == [2, 2]);
    }
}

#[test]
fn one_image_alone_can_be_booted() {
    let mut device = both_asked(SwapType::Permanent);
    let loader = device.loader;
    let boot = loader.boot_image(&mut Platform::new(&mut device.flash, HashOnly), 1).unwrap();
    assert_eq!((boot.image, boot.area), (1, AreaId(4)));
    assert_eq!(device.running(), [1, 2], "image 0 is not touched");
}

/// The others stay as they are, so what they are asked for does not count.
#[test]
fn one_image_alone_is_not_upgraded_to_what_needs_others_than_those_that_run() {
    for (needed, expected) in [(1, [1, 2]), (2, [1, 1])] {
        let mut device = both_asked(SwapType::Permanent);
        let version = Version::new(needed, 0, 0, 0);
        let needs = Dependency { image: 0, version }.to_bytes().to_vec();
        device.program(
            PAIRS[1].secondary,
            &image_with(2, 2000 - 1700 / 2, &[(TlvType::DEPENDENCY, needs)]),
        );
        let loader = device.loader;
        let boot = loader.boot_image(&mut Platform::new(&mut device.flash, HashOnly), 1).unwrap();
        assert_eq!(boot.image, 1);
        assert_eq!(device.running(), expected, "it needs {version}");
    }
}

/// The same where images run from either slot: of the others, what they would be tried from counts.
#[test]
fn one_image_of_equal_slots_alone_runs_with_what_it_needs() {
    for (others, expected) in [([2, 1], 2), ([1, 2], 2), ([1, 1], 1)] {
        let mut device = Device::new();
        let needs = Dependency { image: 0, version: Version::new(2, 0, 0, 0) };
        let needs = [(TlvType::DEPENDENCY, needs.to_bytes().to_vec())];
        device.program(PAIRS[0].primary, &image(others[0], 1100));
        device.program(PAIRS[0].secondary, &image(others[1], 1100));
        device.program(PAIRS[1].primary, &image(1, 1100));
        device.program(PAIRS[1].secondary, &image_with(2, 1100, &needs));
        let config = *device.loader.config();
        let mut loader = EqualSlots::new(config, InPlace { revert: false });
        let mut platform = Platform::new(&mut device.flash, HashOnly);
        let boot = loader.boot_image(&mut platform, 1).unwrap();
        assert_eq!((boot.image, boot.header.version.major), (1, expected), "{others:?}");
        let missing = loader.boot_image(&mut platform, 2);
        assert_eq!(missing, Err(BootError::NoSuchImage { image: 2 }));
    }
}

#[test]
fn one_image_of_single_slots_alone_can_be_booted() {
    let mut device = Device::new();
    device.program(PAIRS[1].primary, &image(3, 1100));
    let loader = SingleSlot::new(*device.loader.config(), Validate::Always);
    let mut platform = Platform::new(&mut device.flash, HashOnly);
    let boot = loader.boot_image(&mut platform, 1).unwrap();
    assert_eq!((boot.image, boot.header.version.major), (1, 3));
    assert_eq!(loader.boot_image(&mut platform, 0), Err(BootError::NoImage));
    assert_eq!(loader.boot_image(&mut platform, 2), Err(BootError::NoSuchImage { image: 2 }));
}
