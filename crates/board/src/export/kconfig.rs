//! Kconfig of a Zephyr application: what its devicetree cannot say.
//!
//! Source of the names: Zephyr, `modules/Kconfig.mcuboot`.

use std::fmt::Write as _;

use updraft_image::UpgradeMode;

use super::ExportError;
use crate::Board;
use crate::schema::DowngradePrevention;

pub(super) fn fragment(board: &Board) -> Result<String, ExportError> {
    let mut text = format!("# {}, from boards/{}.toml.\n", board.description(), board.name());
    text.push_str("CONFIG_BOOTLOADER_MCUBOOT=y\n");
    let header = board.image_defaults().header_size;
    let _ = writeln!(text, "CONFIG_ROM_START_OFFSET={header:#x}");
    match mode(board.mode()) {
        Some(mode) => {
            let _ = writeln!(text, "CONFIG_MCUBOOT_BOOTLOADER_MODE_{mode}=y");
        }
        None => {
            let _ = writeln!(text, "# Zephyr has no word for {}.", board.mode());
        }
    }
    if board.images() > 1 {
        let _ = writeln!(text, "CONFIG_UPDATEABLE_IMAGE_NUMBER={}", board.images());
    }
    if board.boot().downgrade_prevention != DowngradePrevention::None {
        text.push_str("CONFIG_MCUBOOT_BOOTLOADER_NO_DOWNGRADE=y\n");
    }
    let _ = writeln!(text, "CONFIG_MCUBOOT_GENERATE_UNSIGNED_IMAGE=y");
    let _ = writeln!(text, "# {}", board.how_to_sign());
    Ok(text)
}

fn mode(mode: UpgradeMode) -> Option<&'static str> {
    Some(match mode {
        UpgradeMode::OverwriteOnly => "OVERWRITE_ONLY",
        UpgradeMode::SwapScratch => "SWAP_SCRATCH",
        UpgradeMode::SwapMove => "SWAP_USING_MOVE",
        UpgradeMode::SwapOffset => "SWAP_USING_OFFSET",
        UpgradeMode::DirectXip => "DIRECT_XIP",
        UpgradeMode::DirectXipRevert => "DIRECT_XIP_WITH_REVERT",
        UpgradeMode::RamLoad => "RAM_LOAD",
        UpgradeMode::SingleSlot => "SINGLE_APP",
        UpgradeMode::FirmwareLoader => "FIRMWARE_UPDATER",
        _ => return None,
    })
}
