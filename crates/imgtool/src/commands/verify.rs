//! `verify`: whether an image is whole, and signed with a key.

use updraft_image::{Digest, HashKind, Scheme, Software, TlvKind, TlvType, Verifier};
use updraft_sign::{KeyKind, PublicKey};

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
    let (file, _) = image_file::read(path, &missing)?;
    let verdict = verify(&file, key.as_ref())?;
    let image = Image(&file);
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

/// Judges a file as imgtool does: by the first hash and, with a key, by the first signature of its
/// type that is right.
pub fn verify(file: &[u8], key: Option<&KeyFile>) -> Result<Verdict, Failure> {
    let image = Image(file);
    // Every image has a header with a version.
    image.u32(24)?;
    if image.u32(0)? != IMAGE_MAGIC {
        return Ok(Verdict::NoImage);
    }
    let mut at = usize::from(image.u16(8)?) + image.u32(12)? as usize;
    if image.u16(at)? == TlvKind::Protected.magic() {
        at += usize::from(image.u16(at + 2)?);
    }
    if image.u16(at)? != TlvKind::Unprotected.magic() {
        return Ok(Verdict::NoTlvs);
    }
    let hashed = image.to(at);
    let (tlvs, _) = image.tlvs(at + 4, at + usize::from(image.u16(at + 2)?))?;
    // Only the lower byte counts; the other one is not looked at.
    let kinds = || tlvs.iter().map(|tlv| (TlvType(tlv.kind & 0xff), tlv.payload));
    let is_pure = kinds().any(|(kind, _)| kind == TlvType::SIG_PURE);
    let mut digest = None;
    for (kind, payload) in kinds() {
        if let Some(hash) = HashKind::from_tlv(kind) {
            if key.is_some_and(|key| !goes_with(key, hash)) {
                return Ok(Verdict::OtherHash);
            }
            let found = Digest::of(hash, hashed);
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
            if kind == TlvType::ED25519 && is_pure_signature(key.public(), payload, hashed)? {
                return Ok(Verdict::Signature(payload.to_vec()));
            }
            continue;
        }
        let scheme = key.public().scheme().ok_or_else(signs_nothing)?;
        if kind == scheme.tlv() && is_signature(key.public(), scheme, payload, hashed, digest)? {
            let hash = kinds().find_map(|(kind, it)| Some((HashKind::from_tlv(kind)?, it)));
            return match hash {
                Some((hash, it)) if Digest::of(hash, hashed).as_bytes() == it => {
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
    hashed: &[u8],
    digest: Option<Digest>,
) -> Result<bool, Failure> {
    let Some(embedded) = key.as_embedded() else { return Ok(false) };
    let keys = [embedded];
    let mut verifier = Software::new(&keys);
    // Hashes of one length are of one kind, and large images take their time.
    let hash = |kind: HashKind| match digest.filter(|it| it.as_bytes().len() == kind.size()) {
        Some(known) => known,
        None => Digest::of(kind, hashed),
    };
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
            (signature, hash(kind))
        }
        Scheme::Ed25519 => {
            let digest = digest.ok_or_else(|| {
                Failure::error("the signature stands before the hash", "sign the build again")
            })?;
            (signature, digest)
        }
        _ => (signature, hash(HashKind::Sha256)),
    };
    Ok(verifier.verify(0, &digest, signature))
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
fn is_pure_signature(key: &PublicKey, signature: &[u8], hashed: &[u8]) -> Result<bool, Failure> {
    if key.kind() != KeyKind::Ed25519 {
        let cause = "the image is signed itself, with Ed25519, and the key is of another type";
        return Err(Failure::error(cause, "give the key that signed the image"));
    }
    let keys: Vec<_> = key.as_embedded().into_iter().collect();
    let mut verifier = Software::new(&keys);
    let check = signature.try_into().ok().and_then(|it| verifier.verify_pure(0, it));
    Ok(check.is_some_and(|mut check| {
        use updraft_image::PureCheck;
        check.update(hashed);
        check.finish()
    }))
}
