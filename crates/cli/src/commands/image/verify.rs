//! `updraft image verify`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use updraft_board::{Area, Board, suits};
use updraft_image::{
    Decoder, Describe, Flags, HashOnly, Header, Refusal, Rules, Signed, Software, TlvType,
    Validated, image_hash, validate, validate_compressed,
};
use updraft_sign::{PublicKey, hex, known_key, missing, payloads, rules_of};
use zeroize::Zeroizing;

use super::{encryption, release};
use crate::commands::{boards, key};
use crate::input::is_hex;
use crate::output::{GOOD, Output, styled};
use crate::report::Hint;

/// Options of `updraft image verify`.
#[derive(clap::Args)]
#[command(
    after_help = "With --board, the rules are those of the board's bootloader: hash, signature
scheme, size, vendor and class id. Without, hash and kind of signature are taken from the image.
Exit code 0: the bootloader takes it. 1: it refuses, and the reason is printed. Where imgtool's verify
says something else, that is told.

Examples:
  updraft image verify --board virtual-nor-4k -k key.pub.pem app.signed.bin
  updraft image verify -k key.pem app.signed.bin
  updraft image verify app.unsigned.bin        the hash alone
  updraft image verify -k key.pem --decrypt device-key.pem app.encrypted.bin"
)]
pub struct Args {
    /// The image: binary or Intel HEX.
    file: PathBuf,
    /// A key that the device trusts, private or public; may be repeated.
    #[arg(short, long)]
    key: Vec<PathBuf>,
    /// The board: a name from `updraft boards`, or a board file.
    #[arg(short, long, value_name = "NAME|FILE")]
    board: Option<String>,
    /// Which of the board's images this is.
    #[arg(long, default_value_t = 0, requires = "board")]
    image: u8,
    /// Of an encrypted image, the private key of the device that it is for, or the wrapping key.
    #[arg(long, value_name = "KEY")]
    decrypt: Option<PathBuf>,
    /// Lowest security counter that the device accepts.
    #[arg(long, value_parser = super::number)]
    security_counter: Option<u32>,
    /// A manifest that has to be signed with one of the keys, and about this file.
    #[arg(long, value_name = "FILE", requires = "key")]
    manifest: Option<PathBuf>,
    /// The bill of materials that the image has to name.
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
}

/// A key that the device trusts.
struct Trusted<'a> {
    path: &'a Path,
    key: PublicKey,
    pem: Zeroizing<String>,
}

/// What imgtool's own check says: the image is valid for one of the keys, or why not.
type Theirs = Result<(), String>;

fn imgtools_verdict(file: &[u8], keys: &[Trusted<'_>]) -> Theirs {
    if keys.is_empty() {
        return updraft_imgtool::verdict(file, None);
    }
    let mut refusal = Ok(());
    for key in keys {
        refusal = updraft_imgtool::verdict(file, Some(&key.pem));
        if refusal.is_ok() {
            break;
        }
    }
    refusal
}

fn told(theirs: &Theirs) -> Value {
    match theirs {
        Ok(()) => json!({ "valid": true }),
        Err(reason) => json!({ "valid": false, "reason": reason }),
    }
}

/// The bootloader's refusal, with what imgtool says of the image.
fn beside(refused: anyhow::Result<()>, theirs: &Theirs) -> anyhow::Result<()> {
    let refused = refused.fact("imgtool", told(theirs));
    match theirs {
        Ok(()) => {
            refused.hint("imgtool's verify takes this image: it looks at less than bootloaders do")
        }
        Err(_) => refused,
    }
}

/// The image in a file that holds `bytes`.
fn content(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    if !is_hex(path) {
        return Ok(bytes.to_vec());
    }
    let segment = hex::parse(&String::from_utf8_lossy(bytes));
    Ok(segment.with_context(|| format!("{} cannot be used", path.display()))?.bytes)
}

/// Runs it.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let board = args.board.as_deref().map(boards::load).transpose()?;
    let keys = args.key.iter().map(|path| {
        let (key, pem) = key::load_public_and_text(path, out)?;
        Ok(Trusted { path, key, pem })
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    // Read once: what is verified, what imgtool judges and what a manifest vouches for is the same.
    let bytes = std::fs::read(&args.file);
    let bytes = bytes.with_context(|| format!("{} cannot be read", args.file.display()))?;
    let mut file = content(&args.file, &bytes)?;
    let theirs = &imgtools_verdict(&file, &keys);
    let refused = || format!("{} is refused", args.file.display());
    let header = match Header::parse(&file).hint("`updraft image sign` makes an image of a build") {
        Ok(header) => header,
        Err(error) => return beside(Err(error), theirs).with_context(refused),
    };
    if board.as_ref().is_some_and(is_signed) && keys.is_empty() {
        return Err(anyhow!("the board's bootloader checks signatures"))
            .usage("give the key that it trusts: -k KEY");
    }
    if let Some(key) = &args.decrypt {
        file = encryption::decrypt(&file, key).with_context(refused)?;
    }
    let board = board.as_ref();
    let slot = board.map(|board| anyhow::Ok((board, slot(board, args.image)?)));
    let slot = slot.transpose().with_context(refused)?;
    let verified = match judge(args, slot, &keys, &file, &header) {
        Ok(verified) => verified,
        Err(error) => return beside(Err(error), theirs).with_context(refused),
    };
    let Verified { valid, rules, key, uncompressed } = verified;
    if let Some(sbom) = &args.sbom {
        release::check_sbom(sbom, &file, &header).with_context(refused)?;
    }
    let manifest = args.manifest.as_deref().map(|path| {
        let trusted: Vec<_> = keys.iter().map(|key| key.key.clone()).collect();
        let manifest = release::open_manifest(path, &trusted, &bytes)?;
        release::agrees(&manifest, &header, board.map(Board::name), args.sbom.as_deref())
            .with_context(|| format!("{} says otherwise", path.display()))?;
        anyhow::Ok(manifest)
    });
    let manifest = manifest.transpose().with_context(refused)?;
    let hash = valid.hash.to_string();
    let result = json!({
        "valid": true,
        "version": header.version.to_string(),
        "size": valid.size,
        "hash": hash,
        "key": key,
        "imgtool": told(theirs),
        "manifest": manifest.as_ref().map(|manifest| &manifest.predicate),
        "non_bootable": header.flags.contains(Flags::NON_BOOTABLE),
        "uncompressed": uncompressed.map(|image| {
            json!({ "size": image.size, "hash": image.hash.to_string() })
        }),
    });
    out.result(&result, |to| {
        let name = args.file.display();
        writeln!(to, "{} {name}: version {}", styled(GOOD, "valid"), header.version)?;
        writeln!(to, "  size {} bytes", valid.size)?;
        if rules.signed == Signed::Hash {
            writeln!(to, "  hash {hash}")?;
        }
        if let Some(image) = &uncompressed {
            writeln!(to, "  decompresses to a valid image of {} bytes", image.size)?;
        }
        match key {
            Some(key) => writeln!(to, "  key  {}", key.display())?,
            None if board.is_some() => writeln!(to, "  key  none: the board asks for none")?,
            None => writeln!(to, "  key  not checked: give -k KEY")?,
        }
        if let Err(reason) = theirs {
            writeln!(to, "  imgtool's verify refuses it all the same: {reason}")?;
        }
        if let Some(path) = args.manifest.as_ref().filter(|_| manifest.is_some()) {
            writeln!(to, "  manifest {}", path.display())?;
        }
        if let Some(sbom) = &args.sbom {
            writeln!(to, "  bill of materials {}", sbom.display())?;
        }
        if header.flags.contains(Flags::NON_BOOTABLE) {
            writeln!(to, "  marked as never to be booted")?;
        }
        Ok(())
    })
}

fn is_signed(board: &Board) -> bool {
    board.boot().signature.scheme().is_some()
}

/// What is found of an image that the bootloader takes.
struct Verified<'a> {
    valid: Validated,
    rules: Rules,
    /// Whose signature it is.
    key: Option<&'a Path>,
    uncompressed: Option<Validated>,
}

/// Says what the bootloader says to the image in `file`, with this header, in that slot of that
/// board.
fn judge<'a>(
    args: &Args,
    slot: Option<(&Board, &Area)>,
    keys: &'a [Trusted<'_>],
    file: &[u8],
    header: &Header,
) -> anyhow::Result<Verified<'a>> {
    let board = slot.map(|(board, _)| board);
    let slot = match slot {
        Some((board, area)) => suits::in_slot(board, area, file)
            .ok_or_else(|| anyhow!("{} bytes do not fit in a slot of {}", file.len(), area.size))
            .hint("is this an image for another board?")?,
        None => file.to_vec(),
    };
    let rules = match board {
        Some(board) => board.rules(args.image),
        None => rules_of(file, header),
    };
    let security_counter = args.security_counter.or(rules.security_counter);
    let rules = Rules { security_counter, ..rules };
    let signed = board.map_or(!keys.is_empty(), is_signed);
    // Not every key verifies.
    let embedded = keys.iter().filter_map(|key| Some((key.path, key.key.as_embedded()?)));
    let (paths, ring): (Vec<&Path>, Vec<_>) = embedded.unzip();
    let mut source = slot.as_slice();
    let verdict = match signed {
        true => validate(&mut source, header, &rules, &mut Software::new(&ring)),
        false => validate(&mut source, header, &rules, &mut HashOnly),
    };
    let valid = match verdict {
        Ok(valid) => valid,
        Err(refusal) => {
            if let Some(missing) = missing(file, header) {
                return Err(anyhow!("the file ends {missing} bytes before the image does"))
                    .hint("it was cut off on its way: fetch or build it again");
            }
            let hint = match (&refusal, &args.decrypt) {
                (Refusal::Hash { .. }, None) if header.flags.intersects(Flags::ENCRYPTED) => {
                    Some("the image is encrypted: give the device's key, --decrypt KEY".into())
                }
                (Refusal::Hash { .. }, Some(_)) => Some(
                    "it was damaged, or its body is in plaintext (--clear): leave --decrypt out"
                        .into(),
                ),
                _ => advice(&refusal, file, header),
            };
            let error = Err(anyhow!("{}", reason(&refusal, &slot, header, &rules)));
            return match hint {
                Some(hint) => error.hint(hint),
                None => error,
            };
        }
    };
    if let Some(board) = board
        && let Err((reason, hint)) = suits::check(board, args.image, header, file)
    {
        return Err(anyhow!(reason)).hint(hint);
    }
    let uncompressed = match header.flags.intersects(Flags::COMPRESSED) {
        true => Some(uncompressed(&slot, header, &rules, signed.then_some(ring.as_slice()))),
        false => None,
    };
    let uncompressed = uncompressed
        .transpose()
        .hint("the body was compressed wrongly, or is not the one that was signed")?;
    let key = valid.key.and_then(|index| paths.get(index).copied());
    Ok(Verified { valid, rules, key, uncompressed })
}

/// The refusal, with hashes and ids whole that chips have room to show the beginning of.
fn reason<E: Describe>(
    refusal: &Refusal<E>,
    slot: &[u8],
    header: &Header,
    rules: &Rules,
) -> String {
    let of = |kind| tlvs(slot, header, kind);
    match refusal {
        Refusal::Hash { .. } => {
            let computed = image_hash(&mut { slot }, header, rules.hash).ok();
            let computed = computed.map(|hash| hash.to_string());
            let stored =
                of(rules.hash.tlv()).into_iter().find(|hash| Some(hash) != computed.as_ref());
            if let (Some(computed), Some(stored)) = (computed, stored) {
                return format!(
                    "the content is damaged: it hashes to {computed}, and its hash TLV says {stored}"
                );
            }
        }
        Refusal::OtherBoard { kind, .. } => {
            let ids = rules.board.unwrap_or_default();
            let expected = if *kind == TlvType::UUID_VID { ids.vendor } else { ids.class };
            let expected = expected.map(|id| shown(&id));
            let found = of(*kind).into_iter().find(|id| Some(id) != expected.as_ref());
            if let (Some(found), Some(expected)) = (found, expected) {
                return format!("made for another board: {kind} {found}, this is {expected}");
            }
        }
        _ => {}
    }
    refusal.to_string()
}

/// What the compressed image in `slot` was made of, checked by the same rules.
fn uncompressed(
    slot: &[u8],
    header: &Header,
    rules: &Rules,
    keys: Option<&[updraft_image::PublicKey<'_>]>,
) -> anyhow::Result<Validated> {
    let (mut decoder, mut ring) = (Decoder::new(), vec![0; Decoder::RING]);
    let (mut source, decoder, ring) = (slot, &mut decoder, &mut ring);
    let verdict = match keys {
        Some(keys) => {
            let mut verifier = Software::new(keys);
            validate_compressed(&mut source, header, rules, &mut verifier, decoder, ring)
        }
        None => validate_compressed(&mut source, header, rules, &mut HashOnly, decoder, ring),
    };
    verdict.map_err(|refusal| anyhow!("{refusal}")).context("the image that it decompresses to")
}

/// Where the board's bootloader meets an image: in a slot of its own.
fn slot(board: &Board, image: u8) -> anyhow::Result<&Area> {
    suits::slot(board, image)
        .ok_or_else(|| anyhow!("{} has no image {image}", board.name()))
        .usage("images are counted from 0")
}

fn advice<E>(refusal: &Refusal<E>, file: &[u8], header: &Header) -> Option<String> {
    Some(match refusal {
        Refusal::Hash { .. } | Refusal::Tlv(_) | Refusal::Read(_) => {
            "the file was damaged on its way, or altered: fetch or build it again".into()
        }
        Refusal::NoSignature { unknown_key: true } => {
            let signer = tlvs(file, header, TlvType::KEYHASH).into_iter().next()?;
            match known_key(&signer) {
                Some(known) => format!("it names the published key {}: {signer}", known.name),
                None => format!("it names the key {signer}; `updraft key hash KEY` shows a key's"),
            }
        }
        Refusal::NoSignature { unknown_key: false } => "sign it: updraft image sign -k KEY".into(),
        Refusal::TooLarge { .. } => {
            "`updraft boards NAME` shows how the largest comes about".into()
        }
        Refusal::OtherBoard { .. } => "sign the build for this board: --board NAME".into(),
        _ => return None,
    })
}

/// What the TLVs of a type say, in hexadecimal.
fn tlvs(image: &[u8], header: &Header, kind: TlvType) -> Vec<String> {
    payloads(image, header, kind).into_iter().map(shown).collect()
}

fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
