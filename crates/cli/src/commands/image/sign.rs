//! `updraft image sign`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use updraft_board::{Board, Role, Signing, class_id, suits, vendor_id};
use updraft_image::{
    Flags, HashKind, HashOnly, Header, HeaderError, PublicKey, Refusal, Software, TlvArea, TlvType,
    UpgradeMode, Version, validate,
};
use updraft_sign::hex;
use updraft_sign::manifest::Resource;
use updraft_sign::signing::SigningKey;
use updraft_sign::{
    Compression, Encryption, KeyFormat, Padding, Placement, SecurityCounter, SignError,
    SignOptions, dependencies, pad, parse_custom_tlv, segments, sign, wrap_format,
};

use super::{encryption, number, release};
use crate::commands::{boards, key};
use crate::files;
use crate::input::{is_hex, read};
use crate::output::{GOOD, Output, WARN, styled};
use crate::report::Hint;
use crate::signing::for_board;

/// Options of `updraft image sign`.
#[derive(clap::Args)]
// `--version` is the image's here.
#[command(disable_version_flag = true)]
#[command(after_help = "With --board, header size, slot size, alignments, trailer, erased value,
upgrade mode, hash and ids come from the board file, and what the board's bootloader would refuse is
refused. Options override the board's defaults, but not its slots, trailers and flash. Without --board, -H and -S are needed, and the
options mean what they mean to imgtool. Files called *.hex are Intel HEX.

Without -v, the version is that of the file VERSION beside the build or in the working folder: one
line such as 1.2.3+4, or VERSION_MAJOR = 1 and so on as Zephyr has it; without such a file 0.0.0.

Examples:
  updraft image sign --board virtual-nor-4k -k key.pem app.bin
  updraft image sign --board virtual-nor-4k -k key.pem -v 1.2.3 app.bin app.signed.bin
  updraft image sign --board my/board.toml -k key.pem -v 1.2.3+4 -s auto app.hex app.signed.hex
  updraft image sign -k key.pem -H 0x200 -S 0x40000 --align 8 --pad-header -v 1.2.3 in.bin out.bin")]
pub struct Args {
    /// The build: binary or Intel HEX.
    input: PathBuf,
    /// The image to write; app.signed.bin of app.bin if left out.
    output: Option<PathBuf>,
    /// The private key: a PEM file, or pkcs11:token=…;object=… for one in a token (the PIN is in
    /// UPDRAFT_PKCS11_PIN, in the URI's pin-source file, or asked for; other users can read it in a
    /// pin-value). Without a key the image gets
    /// a hash only.
    #[arg(short, long)]
    key: Option<PathBuf>,
    /// A program that signs with the private half of the public key KEY: it reads the digest (for
    /// Ed25519 the message) and writes the signature.
    #[arg(long, value_name = "COMMAND", requires = "key")]
    signer: Option<String>,
    /// major[.minor[.revision]][+build]
    #[arg(short = 'v', long = "version", value_name = "VERSION")]
    image_version: Option<Version>,
    /// An image that is out in the field: the new one has to have a higher version, and no lower
    /// security counter.
    #[arg(long, value_name = "IMAGE")]
    previous: Option<PathBuf>,
    /// This one is for the field: refuse keys whose private half is published.
    #[arg(long)]
    release: bool,
    /// Sign with a published key all the same.
    #[arg(long)]
    allow_sample_key: bool,
    /// The board: a name from `updraft boards`, or a board file.
    #[arg(short, long, value_name = "NAME|FILE")]
    board: Option<String>,
    /// Which of the board's images this is.
    #[arg(long, default_value_t = 0, requires = "board")]
    image: u8,
    /// Offset of the firmware in the image.
    #[arg(short = 'H', long, value_parser = number, required_unless_present = "board")]
    header_size: Option<u32>,
    /// Put the header in front of the input; otherwise the input begins with zeros for it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    pad_header: Option<bool>,
    /// Bytes of the slot; of two slots of different sizes, the secondary.
    #[arg(short = 'S', long, value_parser = number, required_unless_present = "board")]
    slot_size: Option<u32>,
    /// Write size of the flash: what one swap status record takes. Default 1.
    #[arg(long, value_parser = number)]
    align: Option<u32>,
    /// Spacing of the trailer's fields: 8, 16 or 32.
    #[arg(long, value_parser = number)]
    max_align: Option<u32>,
    /// Sectors that the trailer has status records for. Default 128.
    #[arg(short = 'M', long, value_parser = number)]
    max_sectors: Option<u32>,
    /// The bootloader copies over the primary slot and never swaps.
    #[arg(long)]
    overwrite_only: bool,
    /// What erased flash reads as: 0 or 0xff.
    #[arg(short = 'R', long, value_parser = PossibleValuesParser::new(["0", "0xff"]))]
    erased_val: Option<String>,
    /// Pad to the slot with a trailer: pending, to be tested.
    #[arg(long, visible_alias = "test")]
    pad: bool,
    /// Pad to the slot with a trailer: confirmed, for good.
    #[arg(long)]
    confirm: bool,
    /// Do not pad, although the mode wants a trailer: the running application writes it.
    #[arg(long, conflicts_with_all = ["pad", "confirm"])]
    no_pad: bool,
    /// Security counter: a number, or `auto` to take it from the version.
    #[arg(short, long, value_parser = security_counter)]
    security_counter: Option<SecurityCounter>,
    /// Other images that have to be there: "(IMAGE, VERSION), …".
    #[arg(short, long, value_name = "LIST")]
    dependencies: Option<String>,
    /// Name in attestation tokens, at most 12 characters.
    #[arg(long, value_name = "NAME")]
    boot_record: Option<String>,
    /// A protected TLV: type 0x00a0 to 0xfffe, and text or 0x…
    #[arg(long, num_args = 2, value_names = ["TYPE", "VALUE"])]
    custom_tlv: Vec<String>,
    /// A protected TLV with the content of a file.
    #[arg(long, num_args = 2, value_names = ["TYPE", "FILE"])]
    custom_tlv_file: Vec<String>,
    /// Vendor id: a UUID or a name.
    #[arg(long, value_name = "UUID|NAME")]
    vid: Option<String>,
    /// Class id, the kind of board: a UUID or a name.
    #[arg(long, value_name = "UUID|NAME")]
    cid: Option<String>,
    /// RAM address that the image is copied to and runs at.
    #[arg(short = 'L', long, value_parser = number, conflicts_with = "rom_fixed")]
    load_addr: Option<u32>,
    /// Flash address of the only slot that the image runs in.
    #[arg(short = 'F', long, value_parser = number)]
    rom_fixed: Option<u32>,
    /// Never to be booted.
    #[arg(long)]
    non_bootable: bool,
    /// The hash; by default what the board or the key asks for.
    #[arg(long, value_enum, default_value_t)]
    sha: Sha,
    /// Sign the image itself and not its hash (Ed25519).
    #[arg(long)]
    pure: bool,
    /// Fill ECDSA signatures to 72 bytes (P-384: 103), for bootloaders before MCUboot 1.5.
    #[arg(long)]
    pad_sig: bool,
    /// Compress the body, if that makes the image smaller.
    #[arg(long, value_enum, default_value_t)]
    compression: CompressionKind,
    /// How the image names its key: its hash, or the whole key.
    #[arg(long, value_enum, default_value_t)]
    public_key_format: PublicKeyFormat,
    /// The firmware's bill of materials, CycloneDX: its hash becomes a protected TLV.
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// Write a signed manifest of the release beside the image, as OUTPUT.manifest.json or into
    /// FILE.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, requires = "key")]
    manifest: Option<Option<PathBuf>>,
    /// Address of the image in Intel HEX output.
    #[arg(short = 'x', long, value_parser = number)]
    hex_addr: Option<u32>,
    #[command(flatten)]
    encryption: encryption::Encrypt,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Sha {
    #[default]
    Auto,
    #[value(name = "256")]
    Sha256,
    #[value(name = "384")]
    Sha384,
    #[value(name = "512")]
    Sha512,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum PublicKeyFormat {
    #[default]
    Hash,
    Full,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum CompressionKind {
    #[default]
    Disabled,
    /// LZMA2.
    Lzma2,
    /// LZMA2 behind a filter for ARM Thumb code.
    #[value(name = "lzma2armthumb")]
    Lzma2ArmThumb,
}

fn security_counter(text: &str) -> Result<SecurityCounter, String> {
    match text.eq_ignore_ascii_case("auto") {
        true => Ok(SecurityCounter::FromVersion),
        false => number(text).map(SecurityCounter::Value),
    }
}

/// Runs it.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let board = args.board.as_deref().map(boards::load).transpose()?;
    let target = board.as_ref().map(|board| Target::new(board, args.image)).transpose()?;
    let key = args.key.as_deref();
    let key = key.map(|key| key::load_signing(key, args.signer.as_deref(), out)).transpose()?;
    let key = key.as_deref();
    if let Some(target) = &target {
        target.check_key(key)?;
    }
    let for_the_field = args.release && !args.allow_sample_key;
    if let (true, Some(key), Some(path)) = (for_the_field, key, &args.key) {
        let hash = key.public().hash(HashKind::Sha256).to_string();
        key::refuse_published(path, &hash, "anybody can sign with it")?;
    }
    let version = release::version(args.image_version, &args.input, out)?;
    let mut options = options(args, version, target.as_ref())?;
    let board = target.as_ref().map(|target| (target.board.name(), &target.signing));
    options.encryption = args.encryption.encryption(board, for_the_field, out)?;
    let sbom = args.sbom.as_deref().map(release::sbom).transpose()?;
    options.custom_tlvs.extend(sbom.as_ref().map(|(_, tlv)| tlv.clone()));
    if let Some(target) = &target {
        target.check_geometry(&options)?;
        target.check_padding(args, &options)?;
    }
    let (input, from_file) = read(&args.input)?;
    if input.is_empty() {
        return Err(anyhow!("{} is empty", args.input.display()))
            .hint("did the build, or objcopy, go wrong?");
    }
    let unpadded = SignOptions { padding: Padding::None, ..options.clone() };
    let image = sign(&input, &unpadded, key).or_else(|error| {
        let remedy = error.remedy();
        let too_large =
            matches!(error, SignError::TooLarge { .. } | SignError::TooLargeForMode { .. });
        let error = Err(error).hint(remedy);
        match target.as_ref().filter(|_| too_large) {
            Some(target) => error.context(target.limits()),
            None => error,
        }
    })?;
    if let Some(target) = &target {
        match &options.encryption {
            None => target.check_image(&image, key, out)?,
            // Nobody but the device can decrypt it: checked is what it will find.
            Some(encryption) => {
                let clear = Some(Encryption { clear: true, ..encryption.clone() });
                let clear = SignOptions { encryption: clear, ..unpadded };
                target.check_image(&sign(&input, &clear, key)?, key, out)?;
            }
        }
    }
    if let Some(previous) = &args.previous {
        release::follows(&image, previous, target.as_ref().map(|target| target.board.mode()))?;
    }
    let output = args.output.clone().unwrap_or_else(|| release::output(&args.input));
    // Not signed again: content keys are random.
    let mut file = image.clone();
    if is_hex(&output) {
        let address = address(args, &options, from_file)?;
        file = hex::emit(&segments(file, &options, address)?).into_bytes();
    } else {
        pad(&mut file, &options)?;
    }
    let manifest = match (&args.manifest, key) {
        (Some(path), Some(key)) => {
            let path = path.clone().unwrap_or_else(|| release::manifest_of(&output));
            let mut made = release::manifest(&output, &file, &image, board.map(|(name, _)| name))?;
            made.predicate.build = Some(Resource::of(file_name(&args.input), &input));
            made.predicate.sbom = sbom.map(|(resource, _)| resource);
            Some((path, made.sign(key)?))
        }
        _ => None,
    };
    let manifest = manifest.as_ref().map(|(path, text)| (path.as_path(), text.as_bytes()));
    let outputs: Vec<_> =
        [(output.as_path(), file.as_slice())].into_iter().chain(manifest).collect();
    let named: Vec<_> = outputs.iter().map(|(path, _)| *path).collect();
    files::apart(&named, &args.inputs())?;
    files::write_all(&outputs)?;
    tell(&output, &options, target.as_ref(), key, &image, out)
}

impl Args {
    /// The files that are read, keys apart: those are never replaced anyway.
    fn inputs(&self) -> Vec<&Path> {
        let tlvs = self.custom_tlv_file.chunks_exact(2).map(|pair| Path::new(&pair[1]));
        let files = [&self.previous, &self.sbom].into_iter().flatten().map(PathBuf::as_path);
        [self.input.as_path()].into_iter().chain(files).chain(tlvs).collect()
    }
}

/// Where the image lies: as told, or in front of what the input's HEX file begins with.
fn address(args: &Args, options: &SignOptions, from_file: Option<u32>) -> anyhow::Result<u32> {
    let header = if options.pad_header { options.header_size } else { 0 };
    match (args.hex_addr, from_file) {
        (Some(address), _) => Ok(address),
        (None, Some(address)) => address.checked_sub(header).with_context(|| {
            format!("the input begins at {address:#x}, there is no room for the header before it")
        }),
        (None, None) => {
            Err(anyhow!("Intel HEX has addresses, and the binary input none")).usage("give -x ADDR")
        }
    }
}

/// The board that the image is for.
struct Target<'b> {
    board: &'b Board,
    image: u8,
    signing: Signing,
}

impl<'b> Target<'b> {
    fn new(board: &'b Board, image: u8) -> anyhow::Result<Self> {
        let images = board.images();
        let signing = board
            .signing(image)
            .ok_or_else(|| anyhow!("{} has no image {image}, it has {images}", board.name()))
            .usage("images are counted from 0")?;
        Ok(Self { board, image, signing })
    }

    /// Where the image runs if nothing is said: where the region for images in RAM begins, unless
    /// several share it.
    fn usual_placement(&self) -> Placement {
        let region = self.board.boot().ram_load.as_ref();
        match region.filter(|_| self.board.loads_to_ram() && self.board.images() == 1) {
            Some(region) => Placement::RamLoad(region.base),
            None => Placement::Anywhere,
        }
    }

    /// The bootloader has keys of one kind.
    fn check_key(&self, key: Option<&dyn SigningKey>) -> anyhow::Result<()> {
        let Some(wanted) = self.signing.signature.scheme() else {
            return Ok(());
        };
        match key.map(|key| key.public().scheme()) {
            None => Err(anyhow!("{} boots images signed with {wanted} only", self.board.name()))
                .usage("give -k KEY; `updraft key new` makes one"),
            Some(Some(scheme)) if scheme == wanted => Ok(()),
            Some(_) => Err(anyhow!(
                "{} boots images signed with {wanted}, not {}",
                self.board.name(),
                key.map_or(String::new(), |key| key.public().kind().to_string()),
            ))
            .hint("sign with another key, or change boot.signature in the board file"),
        }
    }

    /// What the bootloader will say.
    fn check_image(
        &self,
        image: &[u8],
        key: Option<&dyn SigningKey>,
        out: &Output,
    ) -> anyhow::Result<()> {
        let header = Header::parse(image)?;
        if suits::lacks_vectors(self.board, &header, image) {
            out.note(format_args!(
                "{} the build begins with no vector table: where it was linked for is not checked",
                styled(WARN, "note:")
            ));
        }
        let mut slot = image.to_vec();
        slot.resize(slot.len().max(self.signing.slot_size as usize), self.signing.erased);
        let rules = self.board.rules(self.image);
        let ring: Vec<PublicKey<'_>> =
            key.and_then(|key| key.public().as_embedded()).into_iter().collect();
        let mut source = slot.as_slice();
        let verdict = match self.signing.signature.scheme() {
            Some(_) => validate(&mut source, &header, &rules, &mut Software::new(&ring)),
            None => validate(&mut source, &header, &rules, &mut HashOnly),
        };
        let verdict = match verdict {
            Ok(_) => suits::check(self.board, self.image, &header, image)
                .or_else(|(reason, hint)| Err(anyhow!(reason)).hint(hint)),
            Err(refusal) => Err(anyhow!("{refusal}")).hint(advice(&refusal)),
        };
        verdict
            .with_context(|| format!("{}'s bootloader would refuse the image", self.board.name()))
    }

    /// Slots, trailers and flash are the board's: what says otherwise would put the trailer where
    /// the bootloader does not look for it.
    fn check_geometry(&self, options: &SignOptions) -> anyhow::Result<()> {
        let board = for_board(&self.signing, options.version);
        let modes = |options: &SignOptions| u32::from(options.mode == UpgradeMode::OverwriteOnly);
        for (option, given, board) in [
            ("--slot-size", options.slot_size, board.slot_size),
            ("--align", options.align, board.align),
            ("--max-align", options.trailer_align(), board.trailer_align()),
            ("--max-sectors", options.max_sectors, board.max_sectors),
            ("--erased-val", options.erased.into(), board.erased.into()),
            ("--overwrite-only", modes(options), modes(&board)),
        ] {
            if given != board {
                let name = self.board.name();
                return Err(anyhow!("{option} is {given:#x}, and {board:#x} on {name}"))
                    .usage(format!("leave {option} out: the board file decides"));
            }
        }
        Ok(())
    }

    /// Where the trailer says what becomes of an image, one without a trailer is erased.
    fn check_padding(&self, args: &Args, options: &SignOptions) -> anyhow::Result<()> {
        let wanted = self.board.has_trials() && !args.no_pad;
        // Where words are written once, the application has to be the one that marks the image.
        let device = self.board.slot(self.image, Role::Primary).map(|area| self.board.device(area));
        let once = device.is_some_and(|device| device.kind() != updraft_flash::Kind::Nor);
        if !wanted || once || options.padding != Padding::None {
            return Ok(());
        }
        Err(anyhow!(
            "{}, {}, erases an image that has no trailer",
            self.board.name(),
            self.board.mode()
        ))
        .usage(
            "--pad for a trial, --confirm for good; --no-pad if the running application takes the \
             image and marks it",
        )
    }

    /// How large an image may be.
    fn limits(&self) -> String {
        let Signing { slot_size, mode, .. } = self.signing;
        let working = self.board.capacity(self.image).working;
        format!(
            "too large for {}, {mode}: the slot has {slot_size} bytes, the largest image is \
             {working}",
            self.board.name()
        )
    }
}

/// Which option is in the way of what the board asks for.
fn advice<E>(refusal: &Refusal<E>) -> &'static str {
    match refusal {
        Refusal::Header(HeaderError::Flags { flags }) if flags.intersects(Flags::COMPRESSED) => {
            "leave --compression out: the board's bootloader does not decompress"
        }
        Refusal::NoHash { .. } | Refusal::TlvLength { .. } | Refusal::Signature { .. } => {
            "leave --sha and --pure out: the board file says what is hashed and signed"
        }
        Refusal::NoSignature { .. } => {
            "leave --public-key-format out: the board's bootloader looks keys up by their hash"
        }
        Refusal::OtherBoard { .. } => {
            "leave --vid and --cid out: the board file says what they are"
        }
        Refusal::NoSecurityCounter => "give -s COUNTER, or -s auto to take it from the version",
        _ => "leave out the options that override the board",
    }
}

fn options(
    args: &Args,
    version: Version,
    target: Option<&Target<'_>>,
) -> anyhow::Result<SignOptions> {
    let signing = target.map(|target| &target.signing);
    let mut options = match signing {
        Some(signing) => for_board(signing, version),
        None => SignOptions::new(version, 0, 0),
    };
    options.header_size = args.header_size.unwrap_or(options.header_size);
    options.slot_size = args.slot_size.unwrap_or(options.slot_size);
    options.pad_header = args.pad_header.unwrap_or(options.pad_header);
    options.align = args.align.unwrap_or(options.align);
    options.max_align = args.max_align.or(options.max_align);
    options.max_sectors = args.max_sectors.unwrap_or(options.max_sectors);
    if args.overwrite_only {
        options.mode = UpgradeMode::OverwriteOnly;
    }
    if let Some(erased) = &args.erased_val {
        options.erased = if erased == "0" { 0 } else { 0xff };
    }
    match (args.pad, args.confirm) {
        (_, true) => options.padding = Padding::Confirmed,
        (true, false) => options.padding = Padding::Pending,
        (false, false) => {}
    }
    options.security_counter = args.security_counter;
    if let Some(list) = &args.dependencies {
        options.dependencies =
            dependencies(list).usage("for example -d \"(1, 1.2.3), (2, 0.9)\"")?;
    }
    options.placement = match (args.load_addr, args.rom_fixed) {
        (Some(address), _) => Placement::RamLoad(address),
        (None, Some(address)) => Placement::RomFixed(address),
        (None, None) => target.map_or(Placement::Anywhere, |target| target.usual_placement()),
    };
    options.non_bootable = args.non_bootable;
    match args.sha {
        Sha::Auto => {}
        Sha::Sha256 => options.hash = Some(HashKind::Sha256),
        Sha::Sha384 => options.hash = Some(HashKind::Sha384),
        Sha::Sha512 => options.hash = Some(HashKind::Sha512),
    }
    if args.pure {
        options.pure = true;
        // The board's choice of hash is for signatures over the hash.
        options.hash = options.hash.filter(|_| !matches!(args.sha, Sha::Auto));
    }
    options.pad_signature = args.pad_sig;
    options.key_format = match args.public_key_format {
        PublicKeyFormat::Hash => KeyFormat::Hash,
        PublicKeyFormat::Full => KeyFormat::Full,
    };
    options.compression = match args.compression {
        CompressionKind::Disabled => None,
        CompressionKind::Lzma2 => Some(Compression::Lzma2),
        CompressionKind::Lzma2ArmThumb => Some(Compression::Lzma2ArmThumb),
    };
    options.boot_record.clone_from(&args.boot_record);
    if let Some(vendor) = &args.vid {
        options.vendor_id = Some(vendor_id(vendor).usage("see `updraft image sign --help`")?);
    }
    if let Some(class) = &args.cid {
        let id = class_id(class, options.vendor_id).usage("give --vid too, or a UUID")?;
        options.class_id = Some(id);
    }
    options.custom_tlvs = custom_tlvs(args)?;
    Ok(options)
}

fn custom_tlvs(args: &Args) -> anyhow::Result<Vec<(TlvType, Vec<u8>)>> {
    let kind = |text: &str| {
        let number = number(text).ok().and_then(|number| u16::try_from(number).ok());
        number
            .map(TlvType)
            .ok_or_else(|| anyhow!("`{text}` is no TLV type"))
            .usage("custom TLV types are 0x00a0 to 0xfffe")
    };
    let mut tlvs = Vec::new();
    for pair in args.custom_tlv.chunks_exact(2) {
        let value = parse_custom_tlv(&pair[1]).usage("for example --custom-tlv 0xa0 0x01ff")?;
        tlvs.push((kind(&pair[0])?, value));
    }
    for pair in args.custom_tlv_file.chunks_exact(2) {
        let value =
            std::fs::read(&pair[1]).with_context(|| format!("{} cannot be read", pair[1]))?;
        tlvs.push((kind(&pair[0])?, value));
    }
    Ok(tlvs)
}

/// The last part of a path.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Says what was made.
fn tell(
    output: &Path,
    options: &SignOptions,
    target: Option<&Target<'_>>,
    key: Option<&dyn SigningKey>,
    image: &[u8],
    out: &Output,
) -> anyhow::Result<()> {
    let header = Header::parse(image)?;
    let mut source = image;
    let area = TlvArea::open(&mut source, &header)?;
    let mut tlvs = area.iter_bounded();
    let (mut hash, mut body) = (String::new(), None);
    while let Some(entry) = tlvs.next(&mut source)? {
        let payload = &image[entry.offset as usize..][..entry.len.into()];
        if entry.kind == TlvType::DECOMP_SIZE {
            body = payload.try_into().ok().map(u32::from_le_bytes);
        }
        if HashKind::from_tlv(entry.kind).is_some() {
            hash = payload.iter().map(|byte| format!("{byte:02x}")).collect();
            break;
        }
    }
    let room = u64::from(options.slot_size).saturating_sub(options.trailer_size());
    let largest = options.max_image.map_or(room, |max| room.min(max.into()));
    let key_hash = key.map(|key| key.public().hash(HashKind::Sha256).to_string());
    let board = target.map(|target| target.board.name());
    let encrypted = wrap_format(image).map(encryption::describe);
    let result = json!({
        "file": output,
        "version": header.version.to_string(),
        "size": image.len(),
        "largest": largest,
        "hash": hash,
        "key_hash": key_hash,
        "board": board,
        "compressed_from": body,
        "encrypted": encrypted.as_ref(),
    });
    out.result(&result, |to| {
        let percent = 100.0 * image.len() as f64 / (largest.max(1)) as f64;
        writeln!(
            to,
            "{} {}: version {}{}",
            styled(GOOD, "signed"),
            output.display(),
            header.version,
            board.map_or(String::new(), |board| format!(" for {board}")),
        )?;
        writeln!(to, "  size {} bytes of at most {largest} ({percent:.1} %)", image.len())?;
        match (body, options.compression) {
            (Some(body), _) => {
                let stored = header.img_size;
                writeln!(to, "  body {body} bytes, compressed to {stored}")?;
            }
            (None, Some(_)) => writeln!(
                to,
                "  {} not compressed: that would not make the image smaller",
                styled(WARN, "note:"),
            )?,
            (None, None) => {}
        }
        match (&encrypted, &options.encryption) {
            (Some(format), Some(Encryption { clear: true, .. })) => {
                writeln!(to, "  body in plaintext, with {format}")?;
            }
            (Some(format), _) => writeln!(to, "  body encrypted: {format}")?,
            (None, _) => {}
        }
        writeln!(to, "  hash {hash}")?;
        match &key_hash {
            Some(key_hash) => writeln!(to, "  key  {key_hash}"),
            None => writeln!(to, "  key  none: only bootloaders without keys take it"),
        }
    })
}
