//! `verify`: whether an image is whole, and signed with a key.

use updraft_image::{
    Digest, HashKind, Hasher, PureCheck, Scheme, Software, TlvKind, TlvType, Verifier,
};
use updraft_sign::{KeyKind, PublicKey};

use super::image_file::Content;
use super::tlvs::{IMAGE_MAGIC, Image};
use super::{image_file, say};
use crate::command_line::{Command, Opt, Takes, Values};
use crate::key_file::KeyFile;
use crate::{Console, Failure};

pub const VERIFY: Command = Command {
    name: "verify",
    about: "Check that an image is whole, and that a key has signed it.",
    options: &[Opt::new(
        "--key",
        Takes::Text("filename"),
        "The key, PEM; without it only the \
        hash is checked.",
    )
    .short('k')],
    arguments: &["IMGFILE"],
    run,
};

/// Bytes of an image that say what it is.
const HEADER: usize = 32;

/// What an image is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid, by its digest, which imgtool does not name if it stands behind the signature.
    Digest(Option<Digest>),
    /// Valid, by this signature over the image itself.
    Signature(Vec<u8>),
    NoImage,
    NoTlvs,
    WrongHash,
    NoSignature,
    /// The key does not go with the image's hash.
    OtherHash,
}

impl Verdict {
    /// What is said of an image that is not valid.
    pub fn refusal(&self) -> Option<&'static str> {
        Some(match self {
            Self::Digest(_) | Self::Signature(_) => return None,
            Self::NoImage => "Invalid image magic; is this an MCUboot image?",
            Self::NoTlvs => "Invalid TLV info magic; is this an MCUboot image?",
            Self::WrongHash => "Image has an invalid hash",
            Self::NoSignature => "No signature found for the given key",
            Self::OtherHash => "Key type does not match TLV record",
        })
    }
}

fn run(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let key = values.file("--key").map(|path| KeyFile::load(&path, console)).transpose()?;
    let path = values.argument(0);
    let missing = format!("Image file {} not found", path.display());
    let (mut content, _) = image_file::open(path, &missing)?;
    let verdict = verify(&mut content, key.as_ref())?;
    let header = content.part(0, HEADER)?;
    let image = Image::whole(&header);
    let valid = |console: &mut dyn Console, last: Option<String>| {
        let [major, minor] = image.array(20)?;
        say(console, "Image was correctly validated")?;
        let (revision, build) = (image.u16(22)?, image.u32(24)?);
        say(console, &format!("Image version: {major}.{minor}.{revision}+{build}"))?;
        last.map_or(Ok(()), |last| say(console, &last))
    };
    match verdict {
        Verdict::Digest(digest) => {
            valid(console, digest.map(|digest| format!("Image digest: {digest}")))
        }
        Verdict::Signature(signature) => {
            let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            valid(console, Some(format!("Image signature over image: {digits}")))
        }
        refused => {
            say(console, refused.refusal().unwrap_or_default())?;
            Err(Failure::Said)
        }
    }
}

/// Judges an image as imgtool does: by the first hash and, with a key, by the first signature of
/// its type that is right.
pub fn verify(content: &mut Content<'_>, key: Option<&KeyFile>) -> Result<Verdict, Failure> {
    let size = content.size();
    let header = content.part(0, HEADER)?;
    let header = Image::part(&header, 0, size);
    // Every image has a header with a version.
    header.u32(24)?;
    if header.u32(0)? != IMAGE_MAGIC {
        return Ok(Verdict::NoImage);
    }
    let mut at = usize::from(header.u16(8)?) + header.u32(12)? as usize;
    let word = |content: &mut Content<'_>, at| {
        let bytes = content.part(at, 2)?;
        Image::part(&bytes, at, size).u16(at)
    };
    if word(content, at)? == TlvKind::Protected.magic() {
        at += usize::from(word(content, at + 2)?);
    }
    if word(content, at)? != TlvKind::Unprotected.magic() {
        return Ok(Verdict::NoTlvs);
    }
    let len = usize::from(word(content, at + 2)?);
    // The last TLV may pass the end.
    let area = content.part(at, len + 4 + usize::from(u16::MAX))?.into_owned();
    let (tlvs, _) = Image::part(&area, at, size).tlvs(at + 4, at + len)?;
    // Only the lower byte counts; the other one is not looked at.
    let kinds = || tlvs.iter().map(|tlv| (TlvType(tlv.kind & 0xff), tlv.payload));
    let is_pure = kinds().any(|(kind, _)| kind == TlvType::SIG_PURE);
    let mut hashed = Hashed { content, end: at, known: Vec::new() };
    let mut digest = None;
    for (kind, payload) in kinds() {
        if let Some(hash) = HashKind::from_tlv(kind) {
            if key.is_some_and(|key| !goes_with(key, hash)) {
                return Ok(Verdict::OtherHash);
            }
            let found = hashed.digest(hash)?;
            if found.as_bytes() != payload {
                return Ok(Verdict::WrongHash);
            }
            if key.is_none() {
                return Ok(Verdict::Digest(Some(found)));
            }
            digest = Some(found);
            continue;
        }
        let Some(key) = key else { continue };
        if is_pure {
            if kind == TlvType::ED25519 && is_pure_signature(key.public(), payload, &mut hashed)? {
                return Ok(Verdict::Signature(payload.to_vec()));
            }
            continue;
        }
        let scheme = key.public().scheme().ok_or_else(signs_nothing)?;
        if kind == scheme.tlv() && is_signature(key.public(), scheme, payload, &mut hashed, digest)?
        {
            let hash = kinds().find_map(|(kind, it)| Some((HashKind::from_tlv(kind)?, it)));
            return match hash {
                Some((hash, it)) if hashed.digest(hash)?.as_bytes() == it => {
                    Ok(Verdict::Digest(digest))
                }
                Some(_) => Ok(Verdict::WrongHash),
                // imgtool takes it, and no bootloader does.
                None => Err(Failure::error("the image has no hash", "sign the build again")),
            };
        }
    }
    Ok(Verdict::NoSignature)
}

/// What hash and signatures are about: an image up to its TLVs that are not protected.
struct Hashed<'h, 'c> {
    content: &'h mut Content<'c>,
    end: usize,
    /// Large images take their time, and are hashed once.
    known: Vec<Digest>,
}

impl Hashed<'_, '_> {
    fn digest(&mut self, kind: HashKind) -> Result<Digest, Failure> {
        if let Some(known) = self.known.iter().find(|known| known.kind() == kind) {
            return Ok(*known);
        }
        let mut hasher = Hasher::new(kind);
        self.content.each(self.end, |piece| hasher.update(piece))?;
        let digest = hasher.finish();
        self.known.push(digest);
        Ok(digest)
    }
}

fn signs_nothing() -> Failure {
    Failure::error("an X25519 key signs nothing", "give the key that signed the image")
}

/// The hashes that imgtool signs with a key. Of P-256 it takes SHA-512 as well, if somebody else
/// has the private half.
fn goes_with(key: &KeyFile, hash: HashKind) -> bool {
    match key.public().kind() {
        KeyKind::Ed25519 | KeyKind::X25519 if !key.is_private() => {
            key.public().kind() == KeyKind::Ed25519 && hash != HashKind::Sha384
        }
        KeyKind::Ed25519 | KeyKind::X25519 => hash != HashKind::Sha384,
        KeyKind::EcdsaP256 if !key.is_private() => hash != HashKind::Sha384,
        KeyKind::EcdsaP384 => hash == HashKind::Sha384,
        _ => hash == HashKind::Sha256,
    }
}

/// Whether a signature over the image's hash is the key's.
fn is_signature(
    key: &PublicKey,
    scheme: Scheme,
    signature: &[u8],
    hashed: &mut Hashed<'_, '_>,
    digest: Option<Digest>,
) -> Result<bool, Failure> {
    let Some(embedded) = key.as_embedded() else { return Ok(false) };
    let keys = [embedded];
    let mut verifier = Software::new(&keys);
    let (signature, digest) = match scheme {
        Scheme::EcdsaP256 | Scheme::EcdsaP384 => {
            let kind =
                if scheme == Scheme::EcdsaP384 { HashKind::Sha384 } else { HashKind::Sha256 };
            let len = signature.get(1).ok_or_else(|| {
                Failure::error("the ECDSA signature is empty", "sign the build again")
            })?;
            // It may be filled up with zeros.
            let end = signature.len().min(usize::from(*len) + 2);
            let signature = &signature[..end];
            if !is_der(signature) {
                return Ok(false);
            }
            (signature, hashed.digest(kind)?)
        }
        Scheme::Ed25519 => {
            let digest = digest.ok_or_else(|| {
                Failure::error("the signature stands before the hash", "sign the build again")
            })?;
            (signature, digest)
        }
        _ => (signature, hashed.digest(HashKind::Sha256)?),
    };
    Ok(verifier.verify(0, &digest, signature).is_yes())
}

/// Whether an ECDSA signature is written as DER has it: a list of two positive numbers, each as
/// short as it can be.
fn is_der(signature: &[u8]) -> bool {
    fn number(bytes: &[u8]) -> Option<&[u8]> {
        let [0x02, len, rest @ ..] = bytes else { return None };
        let (digits, behind) = rest.split_at_checked(usize::from(*len))?;
        match digits {
            [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => None,
            _ => Some(behind),
        }
    }
    match signature {
        [0x30, len @ ..0x80, numbers @ ..] if usize::from(*len) == numbers.len() => {
            number(numbers).and_then(number).is_some_and(<[u8]>::is_empty)
        }
        _ => false,
    }
}

/// Whether a signature over the image itself is the key's.
fn is_pure_signature(
    key: &PublicKey,
    signature: &[u8],
    hashed: &mut Hashed<'_, '_>,
) -> Result<bool, Failure> {
    if key.kind() != KeyKind::Ed25519 {
        let cause = "the image is signed itself, with Ed25519, and the key is of another type";
        return Err(Failure::error(cause, "give the key that signed the image"));
    }
    let keys: Vec<_> = key.as_embedded().into_iter().collect();
    let mut verifier = Software::new(&keys);
    let check = signature.try_into().ok().and_then(|it| verifier.verify_pure(0, it));
    let Some(mut check) = check else { return Ok(false) };
    hashed.content.each(hashed.end, |piece| check.update(piece))?;
    Ok(check.finish().is_yes())
}
