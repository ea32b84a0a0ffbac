//! What can be known of an upload before a byte is sent: the cause and the remedy, while both are
//! still cheap.

use anyhow::{Context, anyhow};
use serde::Serialize;
use updraft_board::Board;
use updraft_image::{
    Digest, Flags, HashKind, Header, Source, TlvArea, TlvType, Version, image_hash,
};

use super::session::{ImageState, SlotFact, hex};
use crate::report::Hint;

/// A file that is to be uploaded.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// Its version.
    pub version: Version,
    /// The hash that its TLV gives, which is what devices list.
    pub hash: Digest,
    /// Bytes of the image, TLVs included; more bytes in the file are padding.
    pub size: u32,
    /// Bytes of the file.
    pub len: usize,
    class: Option<[u8; 16]>,
    /// The bootloader copies it to RAM and runs it there.
    runs_in_ram: bool,
}

/// Whether a device lists an image that was uploaded to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It does.
    Listed,
    /// It cannot yet: MCUboot's recovery lists images that it finds valid, and looks for those that
    /// run in RAM where they run, not in the flash that was just written.
    Later,
    /// It does not.
    Missing,
}

/// Whether a bootloader answers: then nothing runs.
pub fn is_bootloader(images: &[ImageState]) -> bool {
    !images.iter().any(|image| image.active)
}

/// The version that a device lists; build numbers come behind a plus or, as servers spell them, a
/// dot.
pub fn version(text: &str) -> Option<Version> {
    let dots = text.match_indices('.').nth(2).map(|(at, _)| at);
    let plus = dots.map(|at| {
        let (numbers, build) = text.split_at(at);
        format!("{numbers}+{}", build.trim_start_matches('.'))
    });
    plus.as_deref().unwrap_or(text).parse().ok()
}

/// What an upload would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// Nothing is in the way.
    Clear,
    /// The device runs this very image.
    Running,
    /// The image is in the other slot already.
    Uploaded,
}

impl Preflight {
    /// Reads what the file says of itself, and checks that it is undamaged.
    pub fn of(file: &[u8]) -> anyhow::Result<Self> {
        let header = Header::parse(file)
            .context("the file is no signed image")
            .hint("sign it first: updraft image sign --board BOARD --key KEY APP.bin IMAGE.bin")?;
        let mut source = file;
        let damaged = "is it cut short? sign it again, or copy it again from where it was signed";
        // Whether the device can deal with them is for the device to say.
        let supported = header.flags & (Flags::ENCRYPTED | Flags::COMPRESSED);
        header.check(u32::MAX, supported).hint(damaged)?;
        let tlvs = TlvArea::open(&mut source, &header).hint(damaged)?;
        let size = tlvs.end();
        if size > source.size() {
            return Err(anyhow!("the file ends before its TLVs do")).hint(damaged);
        }
        let mut found = None;
        let mut class = None;
        let mut entries = tlvs.iter();
        while let Some(entry) = entries.next(&mut source).hint(damaged)? {
            let mut buffer = [0; 64];
            let payload = entry.payload(&mut source, &mut buffer)?.unwrap_or_default();
            if let Some(kind) = HashKind::from_tlv(entry.kind) {
                found = Digest::from_slice(kind, payload);
            } else if entry.kind == TlvType::UUID_CID {
                class = payload.try_into().ok();
            }
        }
        let hash = found.context("the image has no hash TLV").hint(damaged)?;
        let computed = image_hash(&mut source, &header, hash.kind()).hint(damaged)?;
        // The hash of an encrypted image is over what only the device can read.
        if computed != hash && !header.flags.intersects(Flags::ENCRYPTED) {
            return Err(anyhow!(
                "the file is damaged: it hashes to {computed}, its TLV says {hash}"
            ))
            .hint(damaged);
        }
        let runs_in_ram = header.flags.intersects(Flags::RAM_LOAD);
        Ok(Self { version: header.version, hash, size, len: file.len(), class, runs_in_ram })
    }

    /// Its entries in a list. Bootloaders tell hashes only where they were built to; without them the
    /// version has to do.
    fn entries<'i>(&self, images: &'i [ImageState]) -> impl Iterator<Item = &'i ImageState> {
        let (hash, own) = (hex(self.hash.as_bytes()), self.version);
        let bootloader = is_bootloader(images);
        images.iter().filter(move |image| match &image.hash {
            Some(found) => *found == hash,
            None => bootloader && version(&image.version) == Some(own),
        })
    }

    /// Whether the device lists it, now that it was uploaded.
    pub fn listed(&self, images: &[ImageState]) -> Listing {
        match self.entries(images).next() {
            Some(_) => Listing::Listed,
            None if is_bootloader(images) && self.runs_in_ram => Listing::Later,
            None => Listing::Missing,
        }
    }

    /// Whether it was uploaded to where it is started from, as a bootloader takes images: then there
    /// is nothing to ask for.
    pub fn is_in_place(&self, images: &[ImageState]) -> bool {
        let aside = |image: &ImageState| image.slot > 0 && !image.active;
        let bootloader = is_bootloader(images) && !self.entries(images).any(aside);
        bootloader || self.entries(images).any(|image| image.active)
    }

    /// What to say of an image that is missing in a list.
    pub fn missing<T>(images: &[ImageState]) -> anyhow::Result<T> {
        match is_bootloader(images) {
            true => Err(anyhow!("the device took every byte, but finds no valid image in them"))
                .hint(
                    "is it signed with the key that the bootloader trusts? if so, send it again: a \
                 serial line without checksums may have damaged it",
                ),
            false => Err(anyhow!("the device took every byte, but does not list the image"))
                .hint("send it again, and make sure that no other client uploads at the same time"),
        }
    }

    /// Compares the file, for image number `image`, with what the device said of itself.
    pub fn check(
        &self,
        image: u32,
        images: &[ImageState],
        slots: Option<&[SlotFact]>,
        platform: Option<&str>,
    ) -> anyhow::Result<Finding> {
        self.check_board(platform)?;
        self.check_size(image, slots)?;
        let hash = hex(self.hash.as_bytes());
        let holds = |image: &&ImageState| image.hash.as_deref() == Some(&hash);
        let mut own = images.iter().filter(|state| state.image == image);
        let running = own.clone().find(|state| state.active);
        if running.as_ref().is_some_and(holds) {
            return Ok(Finding::Running);
        }
        if let Some(running) = running.filter(|running| !running.confirmed) {
            return Err(anyhow!("the device runs {} on trial", running.version)).hint(
                "confirm it (updraft smp … image confirm) or reset the device, which goes back to \
                 the image before; the other slot is needed for that",
            );
        }
        match own.find(holds) {
            Some(_) => Ok(Finding::Uploaded),
            None => Ok(Finding::Clear),
        }
    }

    /// The class id in the image against that of the board that the device says it is.
    fn check_board(&self, platform: Option<&str>) -> anyhow::Result<()> {
        let board = platform.and_then(|name| Board::load(name).ok());
        let expected = board.as_ref().and_then(Board::ids).and_then(|ids| ids.class);
        let (Some(board), Some(expected), Some(class)) = (board, expected, self.class) else {
            return Ok(());
        };
        if expected == class {
            return Ok(());
        }
        let made_for = updraft_board::built_in()
            .filter_map(|name| Board::load(name).ok())
            .find(|other| other.ids().is_some_and(|ids| ids.class == Some(class)))
            .map_or_else(|| format!("class {}", hex(&class)), |other| other.name().to_owned());
        let name = board.name();
        Err(anyhow!("wrong board: the image was made for {made_for}, the device is a {name}"))
            .hint(format!("sign it with --board {name}"))
    }

    fn check_size(&self, image: u32, slots: Option<&[SlotFact]>) -> anyhow::Result<()> {
        let mut own = slots.unwrap_or_default().iter().filter(|slot| slot.image == image);
        let target = own.find(|slot| slot.upload_image_id.is_some());
        let Some(target) = target else { return Ok(()) };
        let limits = [target.size, target.max_image_size];
        let Some(limit) = limits.into_iter().flatten().min() else { return Ok(()) };
        if self.len <= limit as usize {
            return Ok(());
        }
        let (len, size) = (self.len, self.size);
        if size <= limit {
            return Err(anyhow!("the file is padded: {size} bytes of image in {len} bytes")).hint(
                "sign without --pad, --confirm and --test: the device marks the slot by itself",
            );
        }
        Err(anyhow!("too large: {len} bytes, and the device takes {limit}"))
            .hint("make the firmware smaller, or sign for a board with larger slots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_devices_spell_them() {
        let read = |text| version(text).map(|version| version.to_string());
        assert_eq!(read("1.2.3"), read("1.2.3.0"));
        assert_eq!(read("1.2.3.4"), read("1.2.3+4"));
        assert!(version("1.2.3.4") > version("1.2.3"));
        assert_eq!(read("today's"), None);
    }

    #[test]
    fn bootloaders_list_without_hashes_and_what_runs_in_ram_later() {
        let hash = Digest::of(HashKind::Sha256, b"an image");
        let version = Version { major: 1, minor: 2, revision: 3, build: 0 };
        let mut image =
            Preflight { version, hash, size: 8, len: 8, class: None, runs_in_ram: false };
        let state = |version: &str, hash: Option<String>, active| ImageState {
            image: 0,
            slot: 0,
            version: version.into(),
            hash,
            bootable: true,
            pending: false,
            confirmed: false,
            active,
            permanent: false,
        };
        let its = Some(hex(hash.as_bytes()));
        assert_eq!(image.listed(&[state("1.2.3", its, true)]), Listing::Listed);
        assert_eq!(image.listed(&[state("1.2.3.0", None, false)]), Listing::Listed);
        assert_eq!(image.listed(&[state("1.2.3.0", None, true)]), Listing::Missing);
        assert_eq!(image.listed(&[state("1.2.3", Some("00".into()), false)]), Listing::Missing);
        assert_eq!(image.listed(&[]), Listing::Missing);
        assert!(image.is_in_place(&[state("1.2.3", Some(hex(hash.as_bytes())), true)]));
        assert!(image.is_in_place(&[state("1.2.3", None, false)]));
        let aside = ImageState { slot: 1, ..state("1.2.3", Some(hex(hash.as_bytes())), false) };
        assert!(!image.is_in_place(std::slice::from_ref(&aside)));
        assert!(!image.is_in_place(&[state("1.0.0", Some("00".into()), true), aside]));
        image.runs_in_ram = true;
        assert_eq!(image.listed(&[]), Listing::Later);
        assert_eq!(image.listed(&[state("1.0.0", None, true)]), Listing::Missing);
    }
}
