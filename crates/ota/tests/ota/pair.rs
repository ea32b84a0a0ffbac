//! A device with two images, the bootloader that swaps both, and archives for it.

use updraft_boot::{
    AnyStrategy, Bootloader, Config as BootConfig, Images, Platform as BootPlatform,
};
use updraft_dfu::{Config as DfuConfig, Dfu};
use updraft_flash::{AreaEntry, AreaId, SlotPair, TrailerFormat};
use updraft_image::{HashOnly, Rules, SwapType, UpgradeMode};
use updraft_ota::archive::{self, Member};
use updraft_ota::dfu::Slots;
use updraft_ota::{Agent, Config, Record, Version};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

use crate::common::{Settings, Store, image};

/// Bytes of a slot.
pub const SLOT: u32 = 32 * 1024;

/// Primary and secondary slot of an image.
fn slots(number: u8) -> SlotPair {
    let first = 1 + 2 * number;
    SlotPair { image: number, primary: AreaId(first), secondary: AreaId(first + 1) }
}

pub struct Pair {
    pub flash: SimFlash,
    pub settings: Settings,
    pub mode: UpgradeMode,
    /// Times that the power has gone.
    pub cuts: u32,
}

pub type Flash<'f> = Slots<'f, &'f mut SimFlash, HashOnly, &'f mut Settings>;

impl Pair {
    /// It runs images of these versions: the application's and the secure part's.
    pub fn new(versions: [Version; 2]) -> Self {
        Self::with(versions, DeviceSpec::nor(40, 4096, 8), UpgradeMode::SwapMove)
    }

    pub fn with(versions: [Version; 2], spec: DeviceSpec, mode: UpgradeMode) -> Self {
        let areas = [0, 1].into_iter().flat_map(|number| {
            let SlotPair { primary, secondary, .. } = slots(number);
            [primary, secondary]
        });
        let area = |(at, id)| AreaEntry { id, device: 0, offset: at as u32 * SLOT, size: SLOT };
        let areas = areas.enumerate().map(area).collect();
        let mut flash = SimFlash::new(vec![spec.clone()], areas);
        for (number, version) in versions.into_iter().enumerate() {
            flash.load(slots(number as u8).primary, 0, &image(version, 3000)).unwrap();
        }
        let settings = Settings { store: Some(Store::new(&flash, &spec)), ..Settings::default() };
        Self { flash, settings, mode, cuts: 0 }
    }

    pub fn dfus(&self) -> [Dfu; 2] {
        [0, 1].map(|number| {
            let trailers =
                TrailerFormat { mode: self.mode, max_align: 8, max_sectors: 128, keys: None };
            let config = DfuConfig { slots: slots(number), trailers, rules: Rules::default() };
            Dfu::new(&self.flash, config).expect("the slots hold a trailer")
        })
    }

    /// Does something with an agent that is thrown away afterwards.
    pub fn agent<R>(
        &mut self,
        config: Config<'static>,
        then: impl FnOnce(&mut Agent<'_, Flash<'_>>) -> R,
    ) -> R {
        self.device(config, |mut agent| then(&mut agent))
    }

    /// The same with a device that is made of it.
    pub fn device<R>(
        &mut self,
        config: Config<'static>,
        then: impl FnOnce(Agent<'_, Flash<'_>>) -> R,
    ) -> R {
        let (dfus, mut memory) = (self.dfus(), vec![0; Record::size(256)]);
        let platform = Slots::new(&dfus, &mut self.flash, HashOnly, &mut self.settings);
        then(Agent::new(platform, config, &mut memory))
    }

    /// Resets, as often as the power goes meanwhile.
    pub fn boot(&mut self) {
        self.settings.resets = 0;
        loop {
            if !self.flash.supply().is_on() {
                self.cuts += 1;
                self.flash.supply().power_on();
            }
            let images = Images::new(&[slots(0), slots(1)]).unwrap();
            let config = BootConfig { images, ..BootConfig::new(slots(0), Rules::default()) };
            let strategy = AnyStrategy::new(self.mode, None).unwrap();
            let mut platform = BootPlatform::new(&mut self.flash, HashOnly);
            let booted = Bootloader::new(config, strategy).boot(&mut platform);
            if self.flash.supply().is_on() {
                booted.expect("it boots");
                return;
            }
        }
    }

    pub fn running(&mut self) -> [Version; 2] {
        let dfus = self.dfus();
        dfus.map(|dfu| dfu.header(&mut self.flash, dfu.active_slot()).unwrap().version.into())
    }

    pub fn confirmed(&mut self) -> [bool; 2] {
        let dfus = self.dfus();
        dfus.map(|dfu| dfu.is_confirmed(&mut self.flash).unwrap())
    }

    pub fn pending(&mut self) -> [SwapType; 2] {
        let dfus = self.dfus();
        dfus.map(|dfu| dfu.swap_type(&mut self.flash).unwrap())
    }

    /// Cuts the power at a flash operation from now on.
    pub fn cut_at(&mut self, operation: u64, torn: Torn) {
        self.flash.supply().cut_at(operation, torn);
    }
}

/// An archive of both images, the secure part first as in the field.
pub fn archive(version: Version, images: [Vec<u8>; 2]) -> Vec<u8> {
    let [application, secure] = &images;
    let members = [
        Member { name: "cm0.bin", image: 1, data: secure },
        Member { name: "cm4.bin", image: 0, data: application },
    ];
    written(version, &members)
}

pub fn written(version: Version, members: &[Member<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sink = |piece: &[u8]| -> Result<(), std::convert::Infallible> {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let len = archive::write(version, members, sink).unwrap();
    assert_eq!((bytes.len(), archive::size(version, members)), (len as usize, Ok(len)));
    bytes
}
