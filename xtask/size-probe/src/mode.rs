//! The bootloader of the configured mode.

use core::hint::black_box;

use updraft_boot::{Boot, Config, Hooks, Platform, SecurityCounters};
use updraft_flash::FlashMap;
#[cfg(any(
    feature = "enc-kw",
    feature = "enc-p256",
    feature = "enc-rsa",
    feature = "enc-x25519"
))]
use updraft_image::{Flags, KeyLength, TrailerKeys};
use updraft_image::{Rules, Verifier};

use crate::chip::SLOTS;

pub fn config() -> Config {
    let mut config = Config::new(SLOTS, Rules::default());
    config.bootstrap = black_box(true);
    config.downgrade = black_box(updraft_boot::Downgrade::Refused);
    #[cfg(feature = "two-images")]
    if let Some(images) = updraft_boot::Images::new(black_box(&[SLOTS, crate::chip::FURTHER])) {
        config.images = images;
    }
    #[cfg(feature = "ecdsa-p384")]
    {
        config.rules.hash = updraft_image::HashKind::Sha384;
    }
    #[cfg(feature = "overwrite-compressed")]
    {
        use updraft_image::Flags;
        config.rules.supported = Flags::COMPRESSED;
    }
    #[cfg(any(
        feature = "enc-kw",
        feature = "enc-p256",
        feature = "enc-rsa",
        feature = "enc-x25519"
    ))]
    {
        config.keys = Some(TrailerKeys::Plain(KeyLength::Aes128));
        config.rules.supported = Flags::ENCRYPTED_AES128;
    }
    config
}

/// Defines `load` as a boot by a bootloader.
macro_rules! loader {
    (|$config:ident, $platform:ident| $boot:expr) => {
        pub fn load<M: FlashMap, V: Verifier, C: SecurityCounters, H: Hooks<M::Error>>(
            $platform: &mut Platform<M, V, C, H>,
        ) -> Result<Boot, updraft_boot::BootError<M::Error>> {
            let $config = config();
            $boot
        }
    };
}

/// The same for modes that bring images to the primary slot.
#[cfg(any(
    feature = "overwrite-only",
    feature = "swap-move",
    feature = "swap-offset",
    feature = "swap-scratch",
    feature = "swap-status"
))]
macro_rules! strategy {
    ($strategy:expr, $mode:ident) => {
        #[cfg(feature = "rollback")]
        const MODE: updraft_image::UpgradeMode = updraft_image::UpgradeMode::$mode;
        #[cfg(not(feature = "two-images"))]
        loader!(|config, platform| {
            let config = updraft_boot::OneImage(config);
            updraft_boot::Bootloader::fixed(config, $strategy).boot_image(platform, SLOTS.image)
        });
        #[cfg(feature = "two-images")]
        loader!(|config, platform| {
            updraft_boot::Bootloader::new(config, $strategy).boot(platform)
        });
    };
}

#[cfg(feature = "overwrite-only")]
strategy!(updraft_boot::Overwrite::Image, OverwriteOnly);
#[cfg(feature = "overwrite-compressed")]
static DECODER: crate::alone::Alone<updraft_image::Decoder> =
    crate::alone::Alone(core::cell::RefCell::new(updraft_image::Decoder::new()));
#[cfg(feature = "overwrite-compressed")]
loader!(|config, platform| {
    let Ok(mut decoder) = DECODER.0.try_borrow_mut() else { loop {} };
    let strategy = updraft_boot::OverwriteCompressed::new(&mut decoder, &mut []);
    let config = updraft_boot::OneImage(config);
    updraft_boot::Bootloader::fixed(config, strategy).boot_image(platform, SLOTS.image)
});
#[cfg(feature = "swap-move")]
strategy!(updraft_boot::SwapMove, SwapMove);
#[cfg(feature = "swap-offset")]
strategy!(updraft_boot::SwapOffset, SwapOffset);
#[cfg(feature = "swap-scratch")]
strategy!(updraft_boot::SwapScratch { scratch: crate::chip::SCRATCH }, SwapScratch);
#[cfg(feature = "swap-status")]
strategy!(updraft_boot::SwapStatus { scratch: crate::chip::SCRATCH }, StatusPartition);
#[cfg(any(feature = "direct-xip", feature = "direct-xip-revert"))]
loader!(|config, platform| {
    let place = updraft_boot::InPlace { revert: cfg!(feature = "direct-xip-revert") };
    updraft_boot::EqualSlots::new(config, place).boot(platform)
});
#[cfg(feature = "ram-load")]
loader!(|config, platform| {
    // A board gives it memory of its own; here there is none that could be counted.
    let region = updraft_boot::LoadRegion { address: 0x2000_0000, bytes: &mut [] };
    let place = updraft_boot::InRam::new(black_box(region), false);
    updraft_boot::EqualSlots::new(config, place).boot(platform)
});
#[cfg(feature = "single-slot-ram-load")]
loader!(|config, platform| {
    let region = updraft_boot::LoadRegion { address: 0x2000_0000, bytes: &mut [] };
    let place = updraft_boot::InRam::single_slot(black_box(region));
    updraft_boot::EqualSlots::new(config, place).boot(platform)
});
#[cfg(feature = "single-slot")]
loader!(|config, platform| {
    updraft_boot::SingleSlot::new(config, updraft_boot::Validate::Always).boot(platform)
});
#[cfg(feature = "firmware-loader")]
loader!(|config, platform| {
    let always = updraft_boot::Validate::Always;
    updraft_boot::FirmwareLoader::new(config, always, true).boot(platform, black_box(false))
});

#[cfg(not(feature = "rollback"))]
#[inline(never)]
pub fn boot<M: FlashMap, V: Verifier, C: SecurityCounters, H: Hooks<M::Error>>(
    platform: &mut Platform<M, V, C, H>,
) -> Option<Boot> {
    load(platform).ok()
}

#[cfg(feature = "rollback")]
pub fn boot<M: FlashMap, V: Verifier, C: SecurityCounters, H: Hooks<M::Error>>(
    platform: &mut Platform<M, V, C, H>,
) -> Option<Boot> {
    use updraft_boot::factory::{Course, Press, Rollback};
    let rollback = Rollback {
        slots: SLOTS,
        factory: crate::chip::FACTORY,
        config: config(),
        mode: MODE,
        runs_at: Some((0x0800_c000, 0x0804_bfff)),
    };
    let pressed = || if black_box(false) { Press::Yes } else { Press::No };
    match rollback.boot(platform, |platform| load(platform), pressed) {
        Course::Start(boot) | Course::StartFactory(boot) => Some(boot),
        Course::Prompt(_) => rollback.roll_back(platform).ok(),
    }
}
