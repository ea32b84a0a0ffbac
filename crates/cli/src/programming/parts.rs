//! The parts of a first flashing, checked against the board.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Serialize;
use updraft_board::{Area, Board, Role, suits};
use updraft_flash::AreaId;
use updraft_image::{
    Flags, HashKind, HashOnly, Header, PublicKey as Embedded, Software, TlvArea, TlvType, validate,
};
use updraft_sign::hex::Segment;
use updraft_sign::{Padding, PublicKey, SignOptions, known_key, segments};

use crate::commands::key;
use crate::input::Input;
use crate::output::Output;
use crate::report::Hint;
use crate::signing::for_board;

/// What is to be in the flash.
#[derive(clap::Args)]
pub struct Contents {
    /// The bootloader: binary, Intel HEX or ELF.
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,
    /// The signed application for the primary slot; of several images, N=FILE.
    #[arg(long, value_name = "[N=]FILE")]
    app: Vec<String>,
    /// The signed image to go back to. It is linked for the primary slot and stored in the factory
    /// area; the addresses of Intel HEX may be those of either.
    #[arg(long, value_name = "FILE")]
    factory: Option<PathBuf>,
    /// A key that the bootloader trusts, private or public, to check the images with; may be
    /// repeated.
    #[arg(short, long)]
    key: Vec<PathBuf>,
    /// Give the application a trailer that says it is confirmed.
    #[arg(long)]
    confirm: bool,
    /// Take images without a signature.
    #[arg(long)]
    allow_unsigned: bool,
    /// These are for the field: refuse images signed with a published key.
    #[arg(long)]
    release: bool,
    /// Take images signed with a published key all the same.
    #[arg(long)]
    allow_sample_key: bool,
}

/// Something that lies in an area.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// Name of the area.
    pub area: String,
    /// Its number.
    #[serde(skip)]
    pub id: AreaId,
    /// Name of its flash device.
    pub device: String,
    /// The file that it came from.
    pub file: PathBuf,
    /// Where it begins on its device, in bytes.
    pub offset: u32,
    /// Where that is mapped into memory, if it is.
    pub address: Option<u32>,
    /// Bytes of the file, or of the image with its TLVs.
    pub size: u32,
    /// The version of an image.
    pub version: Option<String>,
    /// Of an image that has to be signed, whether its signature was checked with a key.
    pub signature_checked: Option<bool>,
    /// Whether the bytes are those of the file, from its first to its last.
    #[serde(skip)]
    pub whole: bool,
    /// Its bytes: at offsets from the beginning of the area.
    #[serde(skip)]
    pub pieces: Vec<Segment>,
}

impl Contents {
    /// Reads and checks everything, in the order of the flash.
    pub fn parts(&self, board: &Board, out: &Output) -> anyhow::Result<Vec<Part>> {
        let keys = self.key.iter().map(|path| key::load_public(path, out));
        let keys = keys.collect::<anyhow::Result<Vec<PublicKey>>>()?;
        let vet = Vet { contents: self, board, keys: &keys, out };
        let mut parts = Vec::new();
        if let Some(path) = &self.bootloader {
            let area = area(board, Role::Bootloader, 0)?;
            parts.push(vet.bootloader(area, path)?);
        }
        for app in &self.app {
            let (image, path) = numbered(app)?;
            let area = area(board, Role::Primary, image)?;
            if parts.iter().any(|part: &Part| part.id == area.id) {
                return Err(anyhow!("image {image} is given twice")).usage("--app N=FILE");
            }
            parts.push(vet.image(area, area, Path::new(path))?);
        }
        if let Some(path) = &self.factory {
            let stored = area(board, Role::Factory, 0)?;
            parts.push(vet.image(stored, area(board, Role::Primary, 0)?, path)?);
        }
        if parts.is_empty() {
            return Err(anyhow!("there is nothing to program"))
                .usage("give --bootloader FILE, --app FILE or --factory FILE");
        }
        parts.sort_by_key(|part| (part.address, part.offset));
        Ok(parts)
    }
}

/// `1=FILE`, or `FILE` for image 0.
fn numbered(text: &str) -> anyhow::Result<(u8, &str)> {
    match text.split_once('=') {
        Some((number, path)) if !number.is_empty() && number.len() < 3 => {
            let number = number.parse().with_context(|| format!("{number} is no image number"));
            Ok((number.usage("--app 1=FILE")?, path))
        }
        _ => Ok((0, text)),
    }
}

fn area(board: &Board, role: Role, image: u8) -> anyhow::Result<&Area> {
    let found = match role {
        Role::Bootloader => board.area(role),
        _ => board.slot(image, role),
    };
    found
        .ok_or_else(|| anyhow!("{} has no {} area for image {image}", board.name(), role.name()))
        .usage(format!("`updraft boards {}` shows its areas", board.name()))
}

/// What parts are checked with.
struct Vet<'a> {
    contents: &'a Contents,
    board: &'a Board,
    keys: &'a [PublicKey],
    out: &'a Output,
}

impl Vet<'_> {
    fn bootloader(&self, area: &Area, path: &Path) -> anyhow::Result<Part> {
        let input = Input::open(path)?;
        let name = || path.display().to_string();
        let pieces = inside(area, &input).with_context(name)?;
        let bytes: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
        let first = pieces.first().map_or(&[][..], |piece| &piece.bytes);
        if bytes == 0 || Header::parse(first).is_ok() {
            let what = if bytes == 0 { "is empty" } else { "is an image" };
            return Err(anyhow!("{} {what}", path.display()))
                .usage("--bootloader takes the bootloader itself, --app an image");
        }
        // What was read fits an area, whose size is a u32.
        Ok(self.part(area, path, bytes as u32, !input.placed, pieces))
    }

    /// An image that is stored in `area` and runs in `runs`.
    fn image(&self, area: &Area, runs: &Area, path: &Path) -> anyhow::Result<Part> {
        let name = || path.display().to_string();
        let mut input = Input::open(path)?;
        // Linked for where it runs, and stored elsewhere.
        let moved = input.placed && area.id != runs.id && input.address() == runs.address;
        if let (true, Some(from), Some(to)) = (moved, runs.address, area.address) {
            for segment in &mut input.segments {
                segment.address = segment.address.wrapping_sub(from).wrapping_add(to);
            }
        }
        let pieces = match (moved, area.address) {
            (true, None) => inside(runs, &input),
            _ => inside(area, &input),
        };
        let pieces = pieces.with_context(name)?;
        if let Some(offset) = pieces.first().map(|piece| piece.address).filter(|at| *at > 0) {
            let reason = anyhow!("{} begins {offset:#x} into {}", path.display(), area.name);
            return Err(reason).hint("an image begins where its area begins");
        }
        let flat = input.flat(self.board.device(area).erased).with_context(name)?;
        let header = Header::parse(&flat)
            .with_context(|| format!("{} is no image", path.display()))
            .hint("sign it: updraft image sign --board BOARD -k KEY")?;
        if flat.len() > area.size as usize {
            let (len, size) = (flat.len(), area.size);
            return Err(anyhow!("{len} bytes, and area {} has {size}", area.name))
                .with_context(name);
        }
        let checked = self.check(runs, &header, &flat).with_context(name)?;
        let mut part = self.part(area, path, flat.len() as u32, !input.placed, pieces);
        part.version = Some(header.version.to_string());
        part.signature_checked = checked;
        if area.id == runs.id {
            self.finish(area, &header, &flat, &mut part).with_context(name)?;
        }
        Ok(part)
    }

    /// Sees to the trailer of an image in the slot that it runs from.
    fn finish(
        &self,
        area: &Area,
        header: &Header,
        flat: &[u8],
        part: &mut Part,
    ) -> anyhow::Result<()> {
        let Some(signing) = self.board.signing(area.image) else { return Ok(()) };
        let mut source = flat;
        let size = TlvArea::open(&mut source, header)?.end() as usize;
        let padded = flat.len() > size;
        if self.contents.confirm {
            // Whatever trailer it came with: this is the one of this slot.
            let options = SignOptions {
                padding: Padding::Confirmed,
                slot_size: area.size,
                ..for_board(&signing, header.version)
            };
            part.pieces = segments(flat.get(..size).unwrap_or(flat).to_vec(), &options, 0)?;
            (part.whole, part.size) = (false, size as u32);
            return Ok(());
        }
        if padded && flat.len() != area.size as usize {
            return Err(anyhow!(
                "it is padded to {} bytes, the slot has {}",
                flat.len(),
                area.size
            ))
            .hint("--confirm puts the trailer where the bootloader of this slot looks for it");
        }
        if !padded && self.board.has_trials() {
            return Err(anyhow!("{} erases an image without a trailer", self.board.mode()))
                .usage("--confirm gives it one");
        }
        Ok(())
    }

    fn part(&self, area: &Area, path: &Path, size: u32, whole: bool, pieces: Vec<Segment>) -> Part {
        Part {
            area: area.name.clone(),
            id: area.id,
            device: self.board.device(area).name.clone(),
            file: path.to_owned(),
            offset: area.offset,
            address: area.address,
            size,
            version: None,
            signature_checked: None,
            whole,
            pieces,
        }
    }

    /// What the bootloader says to the image, and whose it is. Returns whether a signature that has
    /// to be there was checked.
    fn check(&self, runs: &Area, header: &Header, file: &[u8]) -> anyhow::Result<Option<bool>> {
        let board = self.board;
        let refused = || format!("the bootloader of {} would refuse it", board.name());
        let mut slot = file.to_vec();
        if slot.len() > runs.size as usize {
            return Err(anyhow!("{} bytes, and the slot has {}", slot.len(), runs.size))
                .with_context(refused);
        }
        slot.resize(runs.size as usize, board.device(runs).erased);
        let rules = board.rules(runs.image);
        let ring: Vec<Embedded<'_>> = self.keys.iter().filter_map(PublicKey::as_embedded).collect();
        if header.flags.intersects(Flags::COMPRESSED) {
            return Err(anyhow!("its body is compressed, and would be run as it is"))
                .hint("sign it without --compression for the first flashing");
        }
        let scheme = board.boot().signature.scheme();
        let signed = scheme.is_some_and(|scheme| tlv(header, file, scheme.tlv()).is_some());
        let demanded = scheme.is_some() && (signed || !self.contents.allow_unsigned);
        if demanded && !signed {
            return Err(anyhow!("it is not signed"))
                .usage("sign it with -k KEY; --allow-unsigned programs it all the same");
        }
        let mut source = slot.as_slice();
        let verdict = match (demanded, ring.is_empty()) {
            (true, false) => validate(&mut source, header, &rules, &mut Software::new(&ring)),
            _ => validate(&mut source, header, &rules, &mut HashOnly),
        };
        let hint = match header.flags.intersects(Flags::ENCRYPTED) {
            true => "the primary slot holds plaintext: sign it with --clear",
            false => "`updraft image verify` tells more",
        };
        verdict.map_err(|refusal| anyhow!("{refusal}")).hint(hint).with_context(refused)?;
        suits::check(board, runs.image, header, file)
            .or_else(|(reason, hint)| Err(anyhow!(reason)).hint(hint))
            .with_context(refused)?;
        self.check_signer(header, file)?;
        if demanded && ring.is_empty() {
            self.out.note("note: no signature is checked without the device's key: give -k KEY");
        }
        Ok(demanded.then_some(!ring.is_empty()))
    }

    /// Warns of a published key, or refuses it.
    fn check_signer(&self, header: &Header, file: &[u8]) -> anyhow::Result<()> {
        let hash = match (tlv(header, file, TlvType::KEYHASH), tlv(header, file, TlvType::PUBKEY)) {
            (Some(hash), _) => hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            (None, Some(key)) => updraft_image::Digest::of(HashKind::Sha256, key).to_string(),
            (None, None) => String::new(),
        };
        let Some(known) = known_key(&hash) else { return Ok(()) };
        let who = format!("{} ({})", known.name, known.origin);
        if self.contents.release && !self.contents.allow_sample_key {
            return Err(anyhow!("it is signed with the published key {who}"))
                .usage("sign it with a key of your own, or give --allow-sample-key");
        }
        self.out.note(format_args!(
            "warning: signed with the published key {who}: anybody can make such images"
        ));
        Ok(())
    }
}

/// The payload of the first TLV of a type.
fn tlv<'f>(header: &Header, file: &'f [u8], kind: TlvType) -> Option<&'f [u8]> {
    let mut source = file;
    let area = TlvArea::open(&mut source, header).ok()?;
    let entry = area.iter_bounded().find(&mut source, kind).ok()??;
    let start = entry.offset as usize;
    file.get(start..start.checked_add(entry.len.into())?)
}

/// What a file holds, at offsets from the beginning of `area`, all of which it has to lie in.
fn inside(area: &Area, input: &Input) -> anyhow::Result<Vec<Segment>> {
    let start = match (input.placed, area.address) {
        (false, _) => 0,
        (true, Some(start)) => start,
        (true, None) => {
            let address = input.address().unwrap_or_default();
            return Err(anyhow!(
                "its addresses begin at {address:#x}, and area {} is mapped nowhere",
                area.name
            ))
            .hint("give it as a binary");
        }
    };
    let moved = |segment: &Segment| {
        let offset = segment.address.checked_sub(start)?;
        let end = u64::from(offset) + segment.bytes.len() as u64;
        let piece = Segment { address: offset, bytes: segment.bytes.clone() };
        (end <= area.size.into()).then_some(piece)
    };
    let outside = input.segments.iter().find(|segment| moved(segment).is_none());
    if let Some(Segment { address, bytes }) = outside {
        let end = u64::from(*address) + bytes.len() as u64;
        let (from, to) = (start, u64::from(start) + u64::from(area.size));
        return Err(anyhow!(
            "it has bytes from {address:#x} to {end:#x}, and area {} is {from:#x} to {to:#x}",
            area.name
        ))
        .hint("was it made for this board?");
    }
    Ok(input.segments.iter().filter_map(moved).collect())
}
