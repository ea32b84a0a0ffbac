//! Bootloaders of emulated boards for images that are signed in another way, to be weighed by what a
//! boot with them costs. Their board files are made from those of `boards`, and lie beside them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{BOOTLOADER, Board, board, compile, folder, replace, target_dir};
use crate::elf;
use crate::firmware::Toolchain;
use crate::process::run as run_command;
use crate::workspace;

/// A board with another signature.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    of: &'static str,
    signature: &'static str,
    /// KiB of larger slots, where the board has flash for them.
    slots: Option<u32>,
}

const fn large(of: &'static str, signature: &'static str) -> Variant {
    Variant { of, signature, slots: Some(768) }
}

/// Those that every run of the tests takes: the one kind of signature that no board with tests on an
/// emulated processor has.
pub const TESTED: &[Variant] = &[large("mps2-an386", "rsa-2048")];

/// All others.
pub const FURTHER: &[Variant] = &[
    large("mps2-an386", "none"),
    large("mps2-an386", "rsa-3072"),
    large("mps2-an386", "ecdsa-p256"),
    large("mps2-an386", "ecdsa-p384"),
    large("mps2-an386", "ed25519"),
    Variant { of: "microbit", signature: "ecdsa-p256", slots: None },
];

/// Builds these bootloaders.
pub fn build(variants: &[Variant]) -> Result<()> {
    for variant in variants {
        variant.build().with_context(|| format!("the bootloader of {}", variant.name()))?;
    }
    Ok(())
}

/// The variant of this name.
fn named(name: &str) -> Option<&'static Variant> {
    TESTED.iter().chain(FURTHER).find(|variant| variant.name() == name)
}

/// Whether there is a variant of this name.
pub fn is_one(name: &str) -> bool {
    named(name).is_some()
}

/// Builds the bootloader of this variant; where it is.
pub fn build_named(name: &str) -> Result<PathBuf> {
    let variant = named(name).with_context(|| format!("{name} is no variant"))?;
    build(std::slice::from_ref(variant))?;
    Ok(folder(name).join("bootloader.elf"))
}

impl Variant {
    fn name(&self) -> String {
        format!("{}-{}", self.of, self.signature)
    }

    fn build(&self) -> Result<()> {
        let name = self.name();
        let folder = folder(&name);
        fs::create_dir_all(&folder)?;
        let of = board(self.of)?;
        let file = folder.join("board.toml");
        let of_board = fs::read_to_string(&of.file)?.parse().context(self.of)?;
        replace(&file, self.board_file(of_board)?.to_string().as_bytes())?;
        let variant = Board { name, file, signature: self.signature.to_owned(), ..of };

        let [target, _] = &variant.targets;
        let toolchain = Toolchain::choose(target)?;
        let mut command = compile(&variant, target, &toolchain, "rustc");
        let key = format!("vectors/mcuboot/keys/{}.pub.pem", self.signature);
        command.env("UPDRAFT_KEY", workspace::root().join(key));
        run_command(command.args(["--bin", BOOTLOADER]))?;
        let built = target_dir(&toolchain).join(target).join("debug").join(BOOTLOADER);
        let linked = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
        let (_, bytes) = elf::image(&linked).context("a program has something to load")?;
        replace(&folder.join("bootloader.elf"), &linked)?;
        replace(&folder.join("bootloader.bin"), &bytes)
    }

    /// Its board file: what the board's says, but for name and signature, slots, and serial recovery,
    /// which a boot does not come by and which needs its room.
    fn board_file(&self, mut file: toml::Table) -> Result<toml::Table> {
        file.insert("name".into(), self.name().into());
        file.remove("recovery");
        let boot = file.get_mut("boot").and_then(toml::Value::as_table_mut);
        let boot = boot.context("a board file says how it boots")?;
        boot.insert("signature".into(), self.signature.into());
        let Some(kib) = self.slots else { return Ok(file) };
        boot.insert("max_sectors".into(), 256.into());
        let areas = file.get_mut("area").and_then(toml::Value::as_array_mut);
        for area in areas.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
            let size = match area.get("role").and_then(toml::Value::as_str) {
                // The one that images are moved up in has a sector more.
                Some("primary") => kib + 4,
                Some("secondary") => kib,
                _ => continue,
            };
            area.insert("size".into(), format!("{size}K").into());
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_its_board_but_for_signature_and_slots() {
        let [variant] = TESTED else { panic!("{TESTED:?}") };
        let file = fs::read_to_string(&board(variant.of).unwrap().file).unwrap();
        let file = variant.board_file(file.parse().unwrap()).unwrap();
        assert_eq!(file["name"].as_str(), Some("mps2-an386-rsa-2048"));
        assert_eq!(file["class"].as_str(), Some("mps2-an386"));
        assert_eq!(file["boot"]["signature"].as_str(), Some("rsa-2048"));
        let sizes = file["area"].as_array().unwrap().iter();
        let sizes: Vec<_> = sizes.map(|area| area["size"].as_str().unwrap()).collect();
        assert_eq!(sizes, ["64K", "772K", "768K", "64K"]);
    }
}
