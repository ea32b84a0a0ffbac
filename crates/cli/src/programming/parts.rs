//! The parts of a first flashing, checked against the board.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Serialize;
use updraft_board::{Area, Board, Role};
use updraft_flash::AreaId;
use updraft_image::{
    Flags, HashKind, HashOnly, Header, PublicKey as Embedded, Software, TlvArea, TlvType,
    UpgradeMode, validate,
};
use updraft_sign::hex::Segment;
use updraft_sign::{Padding, PublicKey, SignOptions, known_key, segments};

use crate::commands::key;
use crate::input;
use crate::output::Output;
use crate::report::Hint;
use crate::signing::for_board;
use crate::suits;

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
        let (bytes, address) = input::read(path)?;
        let start = offset_in(area, address).with_context(|| path.display().to_string())?;
        let end = u64::from(start) + bytes.len() as u64;
        if end > area.size.into() {
            return Err(anyhow!(
                "{} ends at {end:#x} of area {}, which has {:#x}",
                path.display(),
                area.name,
                area.size
            ))
            .hint("was it linked for this board?");
        }
        let whole = address.is_none();
        let size = bytes.len() as u32;
        let pieces = vec![Segment { address: start, bytes }];
        Ok(self.part(area, path, size, whole, pieces))
    }

    /// An image that is stored in `area` and runs in `runs`.
    fn image(&self, area: &Area, runs: &Area, path: &Path) -> anyhow::Result<Part> {
        let (bytes, address) = input::read(path)?;
        let name = || path.display().to_string();
        let moved = address.filter(|address| Some(*address) == runs.address && area.id != runs.id);
        match offset_in(area, address.filter(|_| moved.is_none())).with_context(name)? {
            0 => {}
            offset => {
                let reason = anyhow!("{} begins {offset:#x} into {}", path.display(), area.name);
                return Err(reason).hint("an image begins where its area begins");
            }
        }
        let header = Header::parse(&bytes)
            .with_context(|| format!("{} is no image", path.display()))
            .hint("sign it: updraft image sign --board BOARD -k KEY")?;
        self.check(runs, &header, &bytes).with_context(name)?;
        let mut part = self.part(area, path, bytes.len() as u32, address.is_none(), Vec::new());
        part.version = Some(header.version.to_string());
        let stored_elsewhere = area.id != runs.id;
        part.pieces = match stored_elsewhere {
            true => vec![Segment { address: 0, bytes }],
            false => self.with_trailer(area, &header, bytes).with_context(name)?,
        };
        part.whole &= part.pieces.len() == 1;
        Ok(part)
    }

    /// The image, and the trailer that says it is confirmed if that is asked for.
    fn with_trailer(
        &self,
        area: &Area,
        header: &Header,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Vec<Segment>> {
        let Some(signing) = self.board.signing(area.image) else {
            return Ok(vec![Segment { address: 0, bytes }]);
        };
        let padded = bytes.len() >= area.size as usize;
        if padded || !self.contents.confirm {
            let needs = self.board.mode() == UpgradeMode::DirectXipRevert;
            if needs && !padded {
                return Err(anyhow!("{} erases an image without a trailer", self.board.mode()))
                    .usage("--confirm gives it one");
            }
            return Ok(vec![Segment { address: 0, bytes }]);
        }
        let options = for_board(&signing, header.version);
        // The trailer of this slot, whatever the sizes of the others.
        let options = SignOptions { padding: Padding::Confirmed, slot_size: area.size, ..options };
        Ok(segments(bytes, &options, 0)?)
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
            whole,
            pieces,
        }
    }

    /// What the bootloader says to the image, and whose it is.
    fn check(&self, runs: &Area, header: &Header, file: &[u8]) -> anyhow::Result<()> {
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
        let scheme = board.boot().signature.scheme();
        let mut source = slot.as_slice();
        let verdict = match (scheme, ring.is_empty()) {
            (Some(_), false) => validate(&mut source, header, &rules, &mut Software::new(&ring)),
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
        self.check_signer(header, file, scheme.map(|scheme| scheme.tlv()))
    }

    fn check_signer(
        &self,
        header: &Header,
        file: &[u8],
        signature: Option<TlvType>,
    ) -> anyhow::Result<()> {
        let mut source = file;
        let mut find = |kind: TlvType| {
            let area = TlvArea::open(&mut source, header).ok()?;
            let entry = area.iter_bounded().find(&mut source, kind).ok()??;
            let start = entry.offset as usize;
            file.get(start..start.checked_add(entry.len.into())?)
        };
        let unsigned = signature.is_some_and(|kind| find(kind).is_none());
        if unsigned && !self.contents.allow_unsigned {
            return Err(anyhow!("it is not signed"))
                .usage("sign it with -k KEY; --allow-unsigned programs it all the same");
        }
        let hash = match (find(TlvType::KEYHASH), find(TlvType::PUBKEY)) {
            (Some(hash), _) => Some(hash.iter().map(|byte| format!("{byte:02x}")).collect()),
            (None, Some(key)) => Some(updraft_image::Digest::of(HashKind::Sha256, key).to_string()),
            (None, None) => None,
        };
        let Some(known) = hash.as_deref().and_then(known_key) else { return Ok(()) };
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

/// How far into `area` an address is; without one, its beginning.
fn offset_in(area: &Area, address: Option<u32>) -> anyhow::Result<u32> {
    let Some(address) = address else { return Ok(0) };
    let end = |start: u32| u64::from(start) + u64::from(area.size);
    match area.address {
        Some(start) if (u64::from(start)..end(start)).contains(&address.into()) => {
            Ok(address - start)
        }
        Some(start) => Err(anyhow!(
            "its addresses begin at {address:#x}, and area {} is {start:#x} to {:#x}",
            area.name,
            end(start)
        ))
        .hint("link it for this board, or give it as a binary"),
        None => Err(anyhow!(
            "its addresses begin at {address:#x}, and area {} is mapped nowhere",
            area.name
        ))
        .hint("give it as a binary"),
    }
}
