//! What the options of `sign` mean.

use std::path::Path;

use updraft_board::{class_id, vendor_id};
use updraft_image::{Dependency, HashKind, KeyLength, TlvType, UpgradeMode, Version};
use updraft_sign::{
    Compression, Encryption, Endian, KeyFormat, KeyKind, Padding, Placement, Recipient,
    SecurityCounter, SignOptions,
};

use super::Input;
use crate::Failure;
use crate::command_line::{Opt, Takes, Values, no_integer, text};
use crate::key_file::unreadable;
use crate::python::{based, from_hex, repr};

/// In the order of imgtool's help.
pub const OPTIONS: &[Opt] = &[
    Opt::new("--vid", Takes::Text("TEXT"), "Vendor id: a UUID, or a name that one is made of."),
    Opt::new(
        "--cid",
        Takes::Text("TEXT"),
        "Class id, the kind of board: a UUID, or a name within \
        the vendor.",
    ),
    Opt::new(
        "--vector-to-sign",
        Takes::Choice(&["payload", "digest"]),
        "Write what somebody else is to sign, instead of an image.",
    ),
    Opt::new(
        "--hmac-sha",
        Takes::Choice(&["auto", "256", "512"]),
        "The hash that content keys are wrapped with. 512: X25519 only.",
    ),
    Opt::new(
        "--sha",
        Takes::Choice(&["auto", "256", "384", "512"]),
        "The hash; auto: what the key asks for, 256 without.",
    ),
    Opt::new(
        "--sig-out",
        Takes::Text("filename"),
        "Write the signature to this file as well, in \
        base64.",
    ),
    Opt::flag("--pure", "Sign the image itself and not its hash: Ed25519 only."),
    Opt::new("--fix-sig-pubkey", Takes::Text("filename"), "The key behind --fix-sig."),
    Opt::new(
        "--fix-sig",
        Takes::Text("filename"),
        "A signature that somebody else has made, in \
        base64.",
    ),
    Opt::new("--key", Takes::Text("filename"), "The private key, PEM.").short('k'),
    Opt::new(
        "--public-key-format",
        Takes::Choice(&["hash", "full"]),
        "How the image names its key: by hash (the default), or with all of it.",
    ),
    Opt::new(
        "--max-align",
        Takes::Choice(&["8", "16", "32"]),
        "Spacing of the trailer's fields. Default: 8, or --align if that is more.",
    ),
    Opt::new(
        "--align",
        Takes::Choice(&["1", "2", "4", "8", "16", "32"]),
        "Write size of the flash. Default: 1.",
    ),
    Opt::new("--version", Takes::Text("TEXT"), "major[.minor[.revision[+build]]]")
        .short('v')
        .required()
        .checked(version_form),
    Opt::new("--security-counter", Takes::Text("TEXT"), "A number, or auto: made of the version.")
        .short('s')
        .checked(counter_form),
    Opt::new(
        "--dependencies",
        Takes::Text("TEXT"),
        "Other images that have to be there: \"(IMAGE, VERSION), ...\"",
    )
    .short('d')
    .checked(|text| dependencies(text).map(drop)),
    Opt::flag(
        "--pad-sig",
        "Fill ECDSA signatures with zeros to 72 bytes (P-384: 103), for \
        bootloaders before MCUboot 1.5.",
    ),
    Opt::new("--header-size", Takes::Based, "Bytes of the header, at least 32.")
        .short('H')
        .required()
        .checked(header_size_form),
    Opt::flag(
        "--pad-header",
        "Put the header in front of the input; otherwise the input begins \
        with zeros for it.",
    ),
    Opt::new(
        "--slot-size",
        Takes::Based,
        "Bytes of the slot; of two different ones, the \
        secondary.",
    )
    .short('S')
    .required(),
    Opt::flag("--pad", "Pad to the slot, with a trailer: pending, to be tested."),
    Opt::flag("--test", "The same."),
    Opt::flag("--confirm", "Pad to the slot, with a trailer: confirmed, for good."),
    Opt::new(
        "--max-sectors",
        Takes::Decimal,
        "Sectors that the trailer has status records for. \
        Default: 128.",
    )
    .short('M'),
    Opt::new(
        "--boot-record",
        Takes::Text("sw_type"),
        "Add a boot record, with this name in \
        attestation tokens: at most 12 characters.",
    ),
    Opt::flag("--overwrite-only", "The bootloader copies over the primary slot and never swaps."),
    Opt::new(
        "--endian",
        Takes::Choice(&["little", "big"]),
        "Order of bytes in header, TLVs and \
        trailer.",
    )
    .short('e'),
    Opt::flag("--clear", "With --encrypt, leave the body as it is: an image for the primary slot.")
        .short('c'),
    Opt::new(
        "--compression",
        Takes::Choice(&["disabled", "lzma2", "lzma2armthumb"]),
        "Compress the body, if that makes the image smaller.",
    ),
    Opt::new(
        "--encrypt-keylen",
        Takes::Choice(&["128", "256"]),
        "Bits of the content key. \
        Default: 128.",
    ),
    Opt::new(
        "--encrypt",
        Takes::Text("filename"),
        "Encrypt for the devices with this key, public \
        or private.",
    )
    .short('E'),
    Opt::flag("--save-enctlv", "The bootloader saves TLVs and not keys in its trailers."),
    Opt::new("--rom-fixed", Takes::Based, "Flash address of the only slot that it runs in.")
        .short('F'),
    Opt::new("--load-addr", Takes::Based, "RAM address that it is copied to and runs at.")
        .short('L'),
    Opt::new("--hex-addr", Takes::Based, "Address of the image in Intel HEX output.").short('x'),
    Opt::new(
        "--erased-val",
        Takes::Choice(&["0", "0xff"]),
        "What erased flash reads as. Default: \
        0xff.",
    )
    .short('R'),
    Opt::new(
        "--custom-tlv-file",
        Takes::Pair("[tag] [filename]"),
        "Add a protected TLV with the content of a file. May be repeated.",
    ),
    Opt::new(
        "--custom-tlv",
        Takes::Pair("[tag] [value]"),
        "Add a protected TLV: 0x and hexadecimal digits, or text. May be repeated.",
    ),
    Opt::flag("--non-bootable", "Mark it as never to be booted."),
];

/// Parts of a version before they are known to fit.
fn version_parts(text: &str) -> Option<[u64; 4]> {
    // A line's end is none of it, to Python.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (numbers, build) = match text.split_once('+') {
        Some((numbers, build)) => (numbers, Some(build)),
        None => (text, None),
    };
    let mut numbers: Vec<_> = numbers.split('.').collect();
    if numbers.len() > 3 || (build.is_some() && numbers.len() < 3) {
        return None;
    }
    numbers.resize(3, "0");
    numbers.push(build.unwrap_or("0"));
    let number = |digits: &str| {
        let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let whole = whole && (digits == "0" || !digits.starts_with('0'));
        whole.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let parts: Vec<_> = numbers.into_iter().map(number).collect::<Option<_>>()?;
    parts.try_into().ok()
}

fn version_form(text: &str) -> Result<(), String> {
    match version_parts(text) {
        Some(_) => Ok(()),
        None => {
            Err("Invalid version number, should be maj.min.rev+build with later parts optional"
                .into())
        }
    }
}

/// A version that fits in a header.
fn version(text: &str) -> Result<Version, Failure> {
    let fits = |[major, minor, revision, build]: [u64; 4]| {
        Some(Version::new(
            major.try_into().ok()?,
            minor.try_into().ok()?,
            revision.try_into().ok()?,
            build.try_into().ok()?,
        ))
    };
    version_parts(text).and_then(fits).ok_or_else(|| {
        let hint = "major and minor go to 255, revision to 65535, build to 4294967295";
        Failure::error(format!("version {text} does not fit in an image header"), hint)
    })
}

fn counter_form(text: &str) -> Result<(), String> {
    match text.eq_ignore_ascii_case("auto") || based(text).is_some() {
        true => Ok(()),
        false => Err(no_integer(text)),
    }
}

fn header_size_form(text: &str) -> Result<(), String> {
    match based(text) {
        Some(..32) => Err("Minimum value for -H/--header-size is 32".into()),
        Some(65536..) => {
            Err(format!("a header of {text} bytes does not fit its 16-bit field: at most 65535"))
        }
        _ => Ok(()),
    }
}

/// Bytes of the header, which the option's check keeps within 16 bits.
pub fn header_size(values: &Values) -> usize {
    values.number("--header-size").and_then(|size| size.try_into().ok()).unwrap_or_default()
}

/// Image numbers and versions: as many `(NUMBER` as `, VERSION)`, whatever else is between.
fn dependencies(text: &str) -> Result<Vec<(u64, [u64; 4])>, String> {
    let digits = |text: &str| {
        let len = text.bytes().take_while(u8::is_ascii_digit).count();
        (len > 0).then(|| text[..len].parse().unwrap_or(u64::MAX))
    };
    let images: Vec<u64> = text.split('(').skip(1).filter_map(digits).collect();
    if images.is_empty() {
        return Err(format!("Image dependency format is invalid: {text}"));
    }
    let raw = |part: &str| {
        let part = part.trim_start();
        let len = part.bytes().take_while(|b| b.is_ascii_digit() || b".+".contains(b)).count();
        (len > 0 && part[len..].starts_with(')')).then(|| part[..len].to_owned())
    };
    let versions: Vec<String> = text.split(',').skip(1).filter_map(raw).collect();
    if images.len() != versions.len() {
        let (images, versions) = (images.len(), versions.len());
        return Err(format!("{text} names {images} images and {versions} versions"));
    }
    let versions = versions.iter().map(|text| match version_parts(text) {
        Some(parts) => Ok(parts),
        None => version_form(text).map(|()| [0; 4]),
    });
    let versions = versions.collect::<Result<Vec<_>, _>>()?;
    Ok(images.into_iter().zip(versions).collect())
}

/// An image has one address at most. 0 is none.
pub fn check_addresses(values: &Values) -> Result<(), Failure> {
    let set = |option| values.number(option).is_some_and(|address| address != 0);
    match set("--load-addr") && set("--rom-fixed") {
        true => Err(Failure::usage("Can not set rom_fixed and load_addr at the same time")),
        false => Ok(()),
    }
}

fn u32_of(number: i128, what: &str) -> Result<u32, Failure> {
    number.try_into().map_err(|_| {
        let hint = "it goes from 0 to 4294967295";
        Failure::error(format!("{what} {number} does not fit in 32 bits"), hint)
    })
}

/// The options of an image that is made of `input`.
pub fn of(values: &Values, input: &Input<'_>) -> Result<SignOptions, Failure> {
    let custom_tlvs = custom_tlvs(values)?;
    let pure = values.flag("--pure");
    let hash = match values.choice("--sha") {
        Some("256") => Some(HashKind::Sha256),
        Some("384") => Some(HashKind::Sha384),
        Some("512") => Some(HashKind::Sha512),
        _ => None,
    };
    if pure && hash.is_some() {
        let message = "a pure signature goes with one hash: --pure and --sha exclude each other";
        return Err(Failure::usage(message));
    }
    check_hash(values, input, hash)?;
    let boot_record = values.text("--boot-record")?.map(str::to_owned);
    if let Some(name) = boot_record.as_ref().filter(|name| name.chars().count() > 12) {
        let len = name.chars().count();
        let message = format!("{} has {len} characters, a boot record at most 12", repr(name));
        return Err(Failure::usage(message));
    }
    let version = version(values.text("--version")?.unwrap_or_default())?;
    let padding = match (values.flag("--confirm"), values.flag("--test"), values.flag("--pad")) {
        (true, _, _) => Padding::Confirmed,
        (_, true, _) => Padding::Test,
        (_, _, true) => Padding::Pending,
        _ => Padding::None,
    };
    let slot_size = slot_size(values, padding)?;
    let mut options = SignOptions::new(version, header_size(values) as u32, slot_size);
    options.pad_header = values.flag("--pad-header");
    options.align = values.number("--align").unwrap_or(1) as u32;
    options.max_align = values.number("--max-align").map(|align| align as u32);
    options.max_sectors = match values.decimal("--max-sectors") {
        None => 128,
        Some(..0) => {
            let message = "Invalid value for '-M' / '--max-sectors': no slot has fewer than none";
            return Err(Failure::usage(message));
        }
        Some(sectors) => sectors.try_into().unwrap_or(u32::MAX),
    };
    if values.flag("--overwrite-only") {
        options.mode = UpgradeMode::OverwriteOnly;
    }
    options.padding = padding;
    if values.choice("--erased-val") == Some("0") {
        options.erased = 0;
    }
    options.security_counter = match values.choice("--security-counter") {
        None => None,
        Some(text) if text.eq_ignore_ascii_case("auto") => Some(SecurityCounter::FromVersion),
        Some(text) => {
            let counter = u32_of(based(text).unwrap_or(-1), "the security counter")?;
            Some(SecurityCounter::Value(counter))
        }
    };
    options.dependencies = dependencies_that_fit(values)?;
    options.placement = placement(values)?;
    options.non_bootable = values.flag("--non-bootable");
    options.hash = hash;
    options.pure = pure;
    options.pad_signature = values.flag("--pad-sig");
    (options.vendor_id, options.class_id) = ids(values)?;
    options.custom_tlvs = custom_tlvs;
    if values.choice("--public-key-format") == Some("full") {
        options.key_format = KeyFormat::Full;
    }
    options.boot_record = boot_record;
    options.compression = match values.choice("--compression") {
        Some("lzma2") => Some(Compression::Lzma2),
        Some("lzma2armthumb") => Some(Compression::Lzma2ArmThumb),
        _ => None,
    };
    options.encryption = encryption(values, input)?;
    if values.choice("--endian") == Some("big") {
        options.endian = Endian::Big;
    }
    options.nested = true;
    Ok(options)
}

/// A slot's bytes. Without padding 0 and less mean that the size is not checked.
fn slot_size(values: &Values, padding: Padding) -> Result<u32, Failure> {
    let given = values.number("--slot-size").unwrap_or_default();
    match (u32::try_from(given), padding) {
        (Ok(0) | Err(_), Padding::None) => Ok(u32::MAX),
        (Ok(0), _) => Err(Failure::usage("nothing can be padded to a slot of 0 bytes")),
        (Ok(size), _) => Ok(size),
        (Err(_), _) => {
            Err(Failure::usage(format!("nothing can be padded to a slot of {given} bytes")))
        }
    }
}

/// imgtool's rules which key goes with which hash; what it says names the key as imgtool does.
fn check_hash(values: &Values, input: &Input<'_>, hash: Option<HashKind>) -> Result<(), Failure> {
    let Some(key) = input.signer() else {
        // What somebody else is to sign needs no key yet.
        if values.flag("--pure") && !values.flag("--vector-to-sign") {
            let message = "--pure is about a signature, and nobody signs: give -k KEY";
            return Err(Failure::usage(message));
        }
        return Ok(());
    };
    let kind = key.public().kind();
    let elsewhere = input.key.is_none();
    if kind == KeyKind::X25519 {
        let cause = "an X25519 key signs nothing";
        let hint = "give a key of type ed25519, ecdsa-p256, ecdsa-p384, rsa-2048 or rsa-3072";
        let signs = elsewhere && !key.is_private();
        return Err(match signs {
            true => Failure::usage(format!("{cause}: {hint}")),
            false => Failure::error(cause, hint),
        });
    }
    if values.flag("--pure") && kind != KeyKind::Ed25519 {
        return Err(Failure::usage(format!("{kind} keys make no pure signatures, Ed25519 does")));
    }
    let allowed: &[HashKind] = match kind {
        KeyKind::EcdsaP384 => &[HashKind::Sha384],
        KeyKind::Ed25519 => &[HashKind::Sha256, HashKind::Sha512],
        KeyKind::EcdsaP256 if !key.is_private() => &[HashKind::Sha256, HashKind::Sha512],
        _ => &[HashKind::Sha256],
    };
    match hash.filter(|hash| !allowed.contains(hash)) {
        None => Ok(()),
        Some(hash) => {
            let allowed: Vec<_> =
                allowed.iter().map(|hash| (hash.size() * 8).to_string()).collect();
            let (hash, allowed) = (hash.size() * 8, allowed.join(", "));
            Err(Failure::usage(format!(
                "Key {} can not be used with --sha {hash}; allowed sha are one of {allowed}",
                signature_name(kind)
            )))
        }
    }
}

/// What imgtool calls the signatures of a type of keys.
fn signature_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::EcdsaP256 => "ECDSA256_SHA256",
        KeyKind::EcdsaP384 => "ECDSA384_SHA384",
        KeyKind::Ed25519 => "ED25519",
        KeyKind::Rsa2048 => "PKCS1_PSS_RSA2048_SHA256",
        KeyKind::Rsa3072 => "PKCS1_PSS_RSA3072_SHA256",
        _ => "X25519",
    }
}

fn dependencies_that_fit(values: &Values) -> Result<Vec<Dependency>, Failure> {
    let Some(text) = values.text("--dependencies")? else { return Ok(Vec::new()) };
    let found = dependencies(text).map_err(Failure::Usage)?;
    let fits = |(image, [major, minor, revision, build]): (u64, [u64; 4])| {
        let image = image.try_into().ok()?;
        let version = Version::new(
            major.try_into().ok()?,
            minor.try_into().ok()?,
            revision.try_into().ok()?,
            build.try_into().ok()?,
        );
        Some(Dependency { image, version })
    };
    found.into_iter().map(fits).collect::<Option<_>>().ok_or_else(|| {
        let hint = "images and versions go to 255.255.65535+4294967295";
        Failure::error(format!("the dependencies {text} do not fit in their fields"), hint)
    })
}

fn placement(values: &Values) -> Result<Placement, Failure> {
    let address = |option| -> Result<Option<u32>, Failure> {
        let given = values.number(option).filter(|address| *address != 0);
        given.map(|address| u32_of(address, option)).transpose()
    };
    Ok(match (address("--load-addr")?, address("--rom-fixed")?) {
        (Some(address), _) => Placement::RamLoad(address),
        (_, Some(address)) => Placement::RomFixed(address),
        (None, None) => Placement::Anywhere,
    })
}

type Ids = (Option<[u8; 16]>, Option<[u8; 16]>);

fn ids(values: &Values) -> Result<Ids, Failure> {
    let wrong =
        |error: updraft_board::IdError| Failure::error(&error, "give a UUID, or --vid as well");
    let vendor = values.text("--vid")?.map(vendor_id).transpose().map_err(wrong)?;
    let class = values.text("--cid")?.map(|text| class_id(text, vendor));
    Ok((vendor, class.transpose().map_err(wrong)?))
}

/// Those with a value, then those with a file.
fn custom_tlvs(values: &Values) -> Result<Vec<(TlvType, Vec<u8>)>, Failure> {
    let mut tlvs: Vec<(i128, Vec<u8>)> = Vec::new();
    let given = values.pairs("--custom-tlv").map(|pair| (pair, false));
    let files = values.pairs("--custom-tlv-file").map(|pair| (pair, true));
    for ((tag, value), from_file) in given.chain(files) {
        let tag = text(tag)?;
        let number = based(tag).ok_or_else(|| {
            Failure::error(format!("{} is no type of TLVs", repr(tag)), "give a number")
        })?;
        if tlvs.iter().any(|(before, _)| *before == number) {
            return Err(Failure::usage(format!("Custom TLV {number:#x} already exists.")));
        }
        let known = u16::try_from(number).ok().filter(|kind| *kind < 0xa0);
        // imgtool has no name for the obsolete one.
        let known = known.map(TlvType).filter(|kind| *kind != TlvType::ECDSA224);
        if known.is_some_and(|kind| kind.name().is_some()) {
            let message = format!("Custom TLV {number:#x} conflicts with predefined TLV.");
            return Err(Failure::usage(message));
        }
        let bytes = match from_file {
            true => {
                let path = Path::new(value);
                std::fs::read(path).map_err(|error| unreadable(path, &error))?
            }
            false => tlv_value(text(value)?)?,
        };
        tlvs.push((number, bytes));
    }
    let fits = |(number, bytes): (i128, Vec<u8>)| {
        let kind = u16::try_from(number).ok().map(TlvType).filter(|kind| kind.is_custom());
        let kind = kind.ok_or_else(|| {
            Failure::usage(format!(
                "Invalid custom TLV type value '{number:#06x}', allowed value should be between \
                 0x00a0 and 0xfffe"
            ))
        })?;
        match u16::try_from(bytes.len()) {
            Ok(_) => Ok((kind, bytes)),
            Err(_) => {
                let cause = format!("custom TLV {number:#x} has {} bytes", bytes.len());
                Err(Failure::error(cause, "a TLV holds 65535"))
            }
        }
    };
    tlvs.into_iter().map(fits).collect()
}

fn tlv_value(value: &str) -> Result<Vec<u8>, Failure> {
    let Some(digits) = value.strip_prefix("0x") else { return Ok(value.as_bytes().to_vec()) };
    if !digits.chars().count().is_multiple_of(2) {
        return Err(Failure::usage("Custom TLV length is odd."));
    }
    from_hex(digits).ok_or_else(|| {
        let cause = format!("{value} is no hexadecimal value");
        Failure::error(cause, "text does not begin with 0x")
    })
}

fn encryption(values: &Values, input: &Input<'_>) -> Result<Option<Encryption>, Failure> {
    let Some(recipient) = &input.recipient else { return Ok(None) };
    let sha512 = values.choice("--hmac-sha") == Some("512");
    let rsa = matches!(recipient.kind(), KeyKind::Rsa2048 | KeyKind::Rsa3072);
    if sha512 && !rsa && recipient.kind() != KeyKind::X25519 {
        return Err(Failure::usage("Currently only ECIES-X25519 supports HMAC-SHA512"));
    }
    let mut encryption = Encryption::new(Recipient::Device(recipient.clone()));
    if values.choice("--encrypt-keylen") == Some("256") {
        encryption.key_length = KeyLength::Aes256;
    }
    // RSA has no such hash.
    encryption.sha512 = sha512 && !rsa;
    encryption.clear = values.flag("--clear");
    encryption.save_wrapped = values.flag("--save-enctlv");
    match encryption.format() {
        Ok(_) => Ok(Some(encryption)),
        Err(error) => Err(Failure::usage(format!("{error}: {}", error.remedy()))),
    }
}
