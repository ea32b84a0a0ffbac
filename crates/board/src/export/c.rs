//! A header of C: the flash map and the switches that MCUboot's own configuration has.
//!
//! Source of the switches: MCUboot, `samples/mcuboot_config`.

use std::fmt::Write as _;

use updraft_image::UpgradeMode;

use super::{ExportError, identifier};
use crate::Board;
use crate::schema::{DowngradePrevention, Signature};

pub(super) fn header(board: &Board) -> Result<String, ExportError> {
    let guard = format!("UPDRAFT_BOARD_{}_H", identifier(board.name()).to_ascii_uppercase());
    let mut text = format!(
        "/* {}, from boards/{}.toml. */\n#ifndef {guard}\n#define {guard}\n\n",
        board.description(),
        board.name()
    );
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "#define {name} {value}");
    };
    line("BOARD_NAME", &format!("{:?}", board.name()));
    for (index, device) in board.flash().iter().enumerate() {
        let name = format!("FLASH_{}", identifier(&device.name).to_ascii_uppercase());
        line(&format!("{name}_DEVICE"), &index.to_string());
        if let Some(base) = device.base {
            line(&format!("{name}_BASE"), &hex(base));
        }
        line(&format!("{name}_SIZE"), &hex(device.size()));
        line(&format!("{name}_WRITE_SIZE"), &hex(device.write_size));
        line(&format!("{name}_ERASED"), &hex(device.erased.into()));
    }
    for area in board.areas() {
        let name = format!("AREA_{}", identifier(&area.name).to_ascii_uppercase());
        line(&format!("{name}_DEVICE"), &area.device.to_string());
        line(&format!("{name}_OFFSET"), &hex(area.offset));
        line(&format!("{name}_SIZE"), &hex(area.size));
        if let Some(address) = area.address {
            line(&format!("{name}_ADDRESS"), &hex(address));
        }
    }
    for (index, ram) in board.ram().iter().enumerate() {
        line(&format!("RAM_{index}_BASE"), &hex(ram.base));
        line(&format!("RAM_{index}_SIZE"), &hex(ram.size));
    }
    line("IMAGE_HEADER_SIZE", &hex(board.image_defaults().header_size));
    for image in 0..board.images() {
        line(&format!("IMAGE_{image}_LARGEST"), &hex(board.capacity(image).max_image));
    }
    let _ = writeln!(text, "\n/* What MCUboot's own configuration calls these. */");
    for (name, value) in flags(board) {
        let _ = writeln!(text, "#define {name} {value}");
    }
    let _ = writeln!(text, "\n/* {} */\n\n#endif", board.how_to_sign());
    Ok(text)
}

fn hex(value: u32) -> String {
    format!("{value:#x}u")
}

/// The switches of MCUboot's that stand for a board.
pub(super) fn flags(board: &Board) -> Vec<(&'static str, u32)> {
    let boot = board.boot();
    let mut flags = vec![
        ("MCUBOOT_IMAGE_NUMBER", board.images().into()),
        ("MCUBOOT_MAX_IMG_SECTORS", boot.max_sectors),
        ("MCUBOOT_BOOT_MAX_ALIGN", boot.max_align),
    ];
    flags.extend(match boot.signature {
        Signature::None => vec![],
        Signature::Rsa2048 => vec![("MCUBOOT_SIGN_RSA", 1), ("MCUBOOT_SIGN_RSA_LEN", 2048)],
        Signature::Rsa3072 => vec![("MCUBOOT_SIGN_RSA", 1), ("MCUBOOT_SIGN_RSA_LEN", 3072)],
        Signature::EcdsaP256 => vec![("MCUBOOT_SIGN_EC256", 1)],
        Signature::EcdsaP384 => vec![("MCUBOOT_SIGN_EC384", 1)],
        Signature::Ed25519 => vec![("MCUBOOT_SIGN_ED25519", 1)],
    });
    flags.extend(mode(board.mode()).iter().map(|name| (*name, 1)));
    for (there, name) in [
        (boot.validate_primary, "MCUBOOT_VALIDATE_PRIMARY_SLOT"),
        (boot.bootstrap, "MCUBOOT_BOOTSTRAP"),
        (boot.downgrade_prevention == DowngradePrevention::Version, "MCUBOOT_DOWNGRADE_PREVENTION"),
        (
            boot.downgrade_prevention == DowngradePrevention::SecurityCounter,
            "MCUBOOT_HW_ROLLBACK_PROT",
        ),
    ] {
        flags.extend(there.then_some((name, 1)));
    }
    flags
}

fn mode(mode: UpgradeMode) -> &'static [&'static str] {
    match mode {
        UpgradeMode::OverwriteOnly => &["MCUBOOT_OVERWRITE_ONLY"],
        UpgradeMode::SwapScratch => &["MCUBOOT_SWAP_USING_SCRATCH"],
        UpgradeMode::SwapMove => &["MCUBOOT_SWAP_USING_MOVE"],
        UpgradeMode::SwapOffset => &["MCUBOOT_SWAP_USING_OFFSET"],
        UpgradeMode::StatusPartition => &["MCUBOOT_SWAP_USING_STATUS"],
        UpgradeMode::DirectXip => &["MCUBOOT_DIRECT_XIP"],
        UpgradeMode::DirectXipRevert => &["MCUBOOT_DIRECT_XIP", "MCUBOOT_DIRECT_XIP_REVERT"],
        UpgradeMode::RamLoad => &["MCUBOOT_RAM_LOAD"],
        UpgradeMode::SingleSlotRamLoad => {
            &["MCUBOOT_RAM_LOAD", "MCUBOOT_SINGLE_APPLICATION_SLOT_RAM_LOAD"]
        }
        UpgradeMode::SingleSlot => &["MCUBOOT_SINGLE_APPLICATION_SLOT"],
        UpgradeMode::FirmwareLoader => &["MCUBOOT_FIRMWARE_LOADER"],
        _ => &[],
    }
}
