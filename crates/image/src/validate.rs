//! Whether an image may be booted: MCUboot's validation, rule by rule.
//!
//! Source: MCUboot `docs/design.md`, "Integrity check", and `boot/bootutil/src/image_validate.c`.

use core::fmt;
use core::hint::black_box;

use crate::hardened::again;
use crate::text::{self, Bytes, Hex};
use crate::{
    Decision, Describe, Digest, Flags, HashKind, Hasher, Header, HeaderError, PureCheck, Scheme,
    Source, Text, TlvArea, TlvEntry, TlvError, TlvKind, TlvType, UnwrapError, Verifier,
};

/// Bytes read at a time.
const PIECE: usize = 256;
/// The longest payload that validation reads: a signature, which only RSA makes longer than 128
/// bytes. A chip whose hardware checks RSA signatures asks for the feature as well.
const LONGEST: usize = if cfg!(feature = "sig-rsa") { 384 } else { 128 };

/// How much is shown of hashes and ids that are not as they should be: enough to tell them apart.
/// A refusal passes through many hands, each of which has to make room for it.
const SHOWN: usize = 4;

/// The first bytes of `bytes`.
fn beginning(bytes: &[u8]) -> [u8; SHOWN] {
    bytes.first_chunk().copied().unwrap_or_default()
}

/// Whether to accept exactly what the original accepts, or to be safer where it is too trusting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// Exactly the original's verdicts and flash operations. Only builds with the feature
    /// `imitate` know how.
    #[cfg(feature = "imitate")]
    Imitate,
    /// Refuses, in addition: a key hash that is only the beginning of a key's hash; a header size
    /// below 32; a protected TLV that reaches out of its area; a security counter outside the
    /// protected area, or a board's id there; a second image hash or signature in which not every
    /// one is right.
    #[default]
    Strict,
}

impl Strictness {
    /// Whether to be safer than the original.
    pub const fn is_strict(self) -> bool {
        match self {
            #[cfg(feature = "imitate")]
            Self::Imitate => false,
            Self::Strict => true,
        }
    }
}

/// What a signature covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Signed {
    /// The image hash.
    #[default]
    Hash,
    /// The image itself (Ed25519 only), marked by a SIG_PURE TLV. The hash TLV is not looked at.
    Image,
}

/// The ids of a board. An image made for another one is refused. Source: MCUboot
/// `docs/design.md`, and `boot/bootutil/src/image_validate.c` built with MCUBOOT_UUID_VID and
/// MCUBOOT_UUID_CID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BoardIds {
    /// Vendor id: what a UUID_VID TLV has to say. `None`: not looked at.
    pub vendor: Option<[u8; 16]>,
    /// Class id: what a UUID_CID TLV has to say. `None`: not looked at.
    pub class: Option<[u8; 16]>,
    /// Whether an image has to carry the ids that the board has, as the original asks where it is
    /// built to look at them. Otherwise an image without ids fits every board.
    pub required: bool,
}

/// What a bootloader asks of an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// The hash algorithm that the bootloader was built for.
    pub hash: HashKind,
    /// What signatures cover.
    pub signed: Signed,
    /// Safer than the original, or not.
    pub strictness: Strictness,
    /// Encryption and compression flags that this bootloader can deal with. An encryption flag
    /// says nothing about what is in the slot: it is set in a primary slot with plaintext, too.
    /// What is hashed here is what the source gives, see [`crate::encryption`].
    pub supported: Flags,
    /// Largest image with its TLVs, in bytes; 0 for no bound but the slot.
    pub max_size: u32,
    /// Only types with a meaning to the bootloader may stand in the unprotected area.
    pub allow_list: bool,
    /// Lowest security counter accepted; `None`: counters are not looked at.
    pub security_counter: Option<u32>,
    /// The board's ids. `None`: it has none, and those of images are not looked at.
    pub board: Option<BoardIds>,
}

/// An image that may be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Its hash.
    pub hash: Digest,
    /// Its size in bytes, TLVs included.
    pub size: u32,
    /// Its security counter, if the rules ask for one.
    pub security_counter: Option<u32>,
    /// Which key signed it; `None` if none had to.
    pub key: Option<usize>,
    /// The ids of the board that it was made for, as far as they were looked at.
    ids: Ids,
    /// Everything that was decided on the way.
    decision: Decision,
}

/// The ids of the board that an image was made for, each folded to a word; 0 where there is none. They
/// have been compared in full; this is for asking again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ids {
    vendor: u32,
    class: u32,
}

impl Ids {
    /// Bytes of an id in one word that is not 0.
    fn fold(id: &[u8]) -> u32 {
        id.iter().fold(1, |word: u32, byte| word.rotate_left(5) ^ u32::from(*byte)) | 1
    }
}

impl Validated {
    /// Whether this was really decided: a yes that a fault has made up does not stand. To be asked
    /// right before the image is started.
    pub fn stands(&self) -> bool {
        again(|| self.decision.is_yes() && self.decision.still())
    }

    /// Whether the ids that it carries are those of `board`, compared anew. To be asked right before
    /// the image is started, of the board's own ids and not of a copy that the validation has used.
    #[inline(never)]
    pub fn is_for(&self, board: Option<&BoardIds>) -> bool {
        let Some(board) = board else { return true };
        let pairs = [(self.ids.vendor, &board.vendor), (self.ids.class, &board.class)];
        let is_this = |(found, expected): (u32, &Option<[u8; 16]>)| match expected {
            Some(_) if found == 0 => !board.required,
            Some(expected) => found == Ids::fold(expected),
            None => true,
        };
        again(|| pairs.into_iter().all(is_this))
    }
}

/// Why an image may not be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal<E> {
    /// The header is not acceptable.
    Header(HeaderError),
    /// The TLVs cannot be walked.
    Tlv(TlvError<E>),
    /// The image with its TLVs is larger than the slots can exchange.
    TooLarge {
        /// Size in bytes, TLVs included.
        size: u32,
        /// Largest size that this mode and these slots allow.
        max: u32,
    },
    /// No hash TLV of the algorithm in use.
    NoHash {
        /// The algorithm that the bootloader expects.
        expected: HashKind,
    },
    /// The content is not what the hash TLV says: damaged or altered.
    Hash {
        /// How the hash of the content begins.
        computed: [u8; SHOWN],
    },
    /// A TLV has a length that its type does not allow.
    TlvLength {
        /// The TLV.
        entry: TlvEntry,
    },
    /// A TLV stands in the unprotected area and may not.
    NotAllowed {
        /// The TLV.
        entry: TlvEntry,
    },
    /// A compressed image cannot be decompressed.
    #[cfg(feature = "compression")]
    Compressed(crate::CompressionError<core::convert::Infallible>),
    /// Not signed with any key of this device.
    NoSignature {
        /// Whether a key hash was there that belongs to none of the device's keys.
        unknown_key: bool,
    },
    /// The signature is wrong.
    Signature {
        /// Number of the key that it claims to be from.
        key: usize,
    },
    /// Not marked as signed over the image itself, where that is required.
    NotPure,
    /// The security counter is missing.
    NoSecurityCounter,
    /// The security counter is lower than what this device has run.
    SecurityCounter {
        /// The image's.
        found: u32,
        /// The lowest that the device accepts.
        minimum: u32,
    },
    /// Made for another board or by another vendor.
    OtherBoard {
        /// UUID_VID or UUID_CID.
        kind: TlvType,
        /// How the id in the image begins.
        found: [u8; SHOWN],
        /// How the device's id begins.
        expected: [u8; SHOWN],
    },
    /// It does not say which board it is for.
    NoBoardId {
        /// UUID_VID or UUID_CID.
        kind: TlvType,
    },
    /// It cannot be loaded to where it wants to run.
    NotLoadable {
        /// The address that its header names; `None` if it was not made to be loaded at all.
        address: Option<u32>,
    },
    /// The board has reasons of its own.
    Vetoed,
    /// Encrypted, with no TLV that this device could take the content key from.
    NoContentKey {
        /// The type of the TLV that it needs.
        expected: TlvType,
    },
    /// The content key cannot be unwrapped.
    ContentKey(UnwrapError),
    /// The source failed.
    Read(E),
}

impl<E> From<TlvError<E>> for Refusal<E> {
    fn from(error: TlvError<E>) -> Self {
        match error {
            TlvError::Read(error) => Self::Read(error),
            TlvError::Header(error) => Self::Header(error),
            error => Self::Tlv(error),
        }
    }
}

impl<E> Refusal<E> {
    /// The same refusal of a source that fails differently: `read` says what its failure to be
    /// read amounts to.
    pub fn map_read<F>(self, read: impl FnOnce(E) -> Refusal<F>) -> Refusal<F> {
        match self {
            Self::Read(error) | Self::Tlv(TlvError::Read(error)) => read(error),
            Self::Tlv(TlvError::Header(error)) | Self::Header(error) => Refusal::Header(error),
            Self::Tlv(TlvError::Info { offset, found }) => {
                Refusal::Tlv(TlvError::Info { offset, found })
            }
            Self::Tlv(TlvError::ProtectedSize { header, area }) => {
                Refusal::Tlv(TlvError::ProtectedSize { header, area })
            }
            Self::Tlv(TlvError::Bounds { offset, end }) => {
                Refusal::Tlv(TlvError::Bounds { offset, end })
            }
            Self::TooLarge { size, max } => Refusal::TooLarge { size, max },
            Self::NoHash { expected } => Refusal::NoHash { expected },
            Self::Hash { computed } => Refusal::Hash { computed },
            Self::TlvLength { entry } => Refusal::TlvLength { entry },
            Self::NotAllowed { entry } => Refusal::NotAllowed { entry },
            Self::NoSignature { unknown_key } => Refusal::NoSignature { unknown_key },
            Self::Signature { key } => Refusal::Signature { key },
            Self::NotPure => Refusal::NotPure,
            Self::NoSecurityCounter => Refusal::NoSecurityCounter,
            Self::SecurityCounter { found, minimum } => Refusal::SecurityCounter { found, minimum },
            Self::OtherBoard { kind, found, expected } => {
                Refusal::OtherBoard { kind, found, expected }
            }
            Self::NoBoardId { kind } => Refusal::NoBoardId { kind },
            Self::NotLoadable { address } => Refusal::NotLoadable { address },
            Self::Vetoed => Refusal::Vetoed,
            Self::NoContentKey { expected } => Refusal::NoContentKey { expected },
            Self::ContentKey(error) => Refusal::ContentKey(error),
            #[cfg(feature = "compression")]
            Self::Compressed(error) => Refusal::Compressed(error),
        }
    }
}

impl<E: Describe> Describe for Refusal<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::Header(error) => error.describe(to),
            Self::Tlv(error) => error.describe(to),
            Self::TooLarge { size, max } => {
                to.fill("the image takes {} bytes, the slots can exchange {}", &[size, max]);
            }
            Self::NoHash { expected } => to.fill("no {} TLV", &[&expected.tlv()]),
            Self::Hash { computed } => {
                let computed = Bytes(computed);
                to.fill("damaged: it hashes to {}…, not to its hash TLV", &[&computed]);
            }
            Self::TlvLength { entry } => {
                to.fill("a {} TLV cannot have {} bytes", &[&entry.kind, &entry.len]);
            }
            Self::NotAllowed { entry } => {
                to.fill("an unprotected {} TLV is not allowed", &[&entry.kind]);
            }
            Self::NoSignature { unknown_key: true } => {
                to.say("signed with a key that is not trusted");
            }
            Self::NoSignature { unknown_key: false } => to.say("not signed"),
            Self::Signature { key } => to.fill("the signature is not valid for key {}", &[key]),
            Self::NotPure => to.say("the signature does not cover the image itself"),
            Self::NoSecurityCounter => to.say("no security counter"),
            Self::SecurityCounter { found, minimum } => {
                to.fill("security counter {} is below {}", &[found, minimum]);
            }
            Self::OtherBoard { kind, found, expected } => {
                let [found, expected] = [found, expected].map(|id| Bytes(id));
                let things: [&dyn Describe; 3] = [kind, &found, &expected];
                to.fill("made for another board: {} {}…, this is {}…", &things);
            }
            Self::NoBoardId { kind } => {
                to.fill("for no board: no {} TLV", &[kind]);
            }
            Self::Vetoed => to.say("the board refuses it"),
            Self::NotLoadable { address: None } => to.say("not made to be loaded to RAM"),
            Self::NotLoadable { address: Some(address) } => {
                let address = Hex(*address, 8);
                to.fill("to be loaded to {}, where there is no room", &[&address]);
            }
            Self::NoContentKey { expected } => {
                to.fill("encrypted, without the {} TLV read here", &[expected]);
            }
            Self::ContentKey(error) => error.describe(to),
            #[cfg(feature = "compression")]
            Self::Compressed(error) => error.describe(to),
            Self::Read(error) => error.describe(to),
        }
    }
}

impl<E: Describe> fmt::Display for Refusal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for Refusal<E> {}

/// Hashes what the image hash covers: header, body and protected TLVs.
// What it needs of the stack is free again before the TLVs are walked.
#[inline(never)]
pub fn image_hash<E>(
    source: &mut dyn Source<Error = E>,
    header: &Header,
    kind: HashKind,
) -> Result<Digest, Refusal<E>> {
    let mut hasher = Hasher::new(kind);
    feed(source, header, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

fn feed<E>(
    source: &mut dyn Source<Error = E>,
    header: &Header,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), Refusal<E>> {
    let len = header.hashed_len().map_err(Refusal::Header)?;
    let mut piece = [0; PIECE];
    let mut at = 0;
    while at < len {
        // Of a number that the compiler does not know it looks once more whether the buffer is as long: a
        // disturbed processor would have the image written over the stack.
        let n = black_box((len - at).min(PIECE as u32));
        let Some(piece) = piece.get_mut(..n as usize) else {
            break;
        };
        source.read(at, piece).map_err(Refusal::Read)?;
        sink(piece);
        at += n;
    }
    Ok(())
}

/// Checks the image in `source`, whose header is `header`, against `rules` and the keys of
/// `verifier`. Nothing that the image claims is trusted before the whole walk has ended well.
pub fn validate<E, V: Verifier>(
    source: &mut dyn Source<Error = E>,
    header: &Header,
    rules: &Rules,
    verifier: &mut V,
) -> Result<Validated, Refusal<E>> {
    let strict = rules.strictness.is_strict();
    header.check(source.size(), rules.supported).map_err(Refusal::Header)?;
    if strict && usize::from(header.hdr_size) < Header::SIZE {
        let hdr_size = header.hdr_size;
        return Err(Refusal::Header(HeaderError::HeaderSize { hdr_size }));
    }
    let hash = image_hash(source, header, rules.hash)?;
    walk(source, header, rules, verifier, hash)
}

/// Checks an encrypted image whose content key nobody here can unwrap: everything but that its
/// body is the one that was hashed. An application without the private key uses it; what it
/// returns never [stands](Validated::stands).
pub fn validate_sealed<E, V: Verifier>(
    source: &mut dyn Source<Error = E>,
    header: &Header,
    rules: &Rules,
    verifier: &mut V,
) -> Result<Validated, Refusal<E>> {
    header.check(source.size(), rules.supported).map_err(Refusal::Header)?;
    if rules.signed == Signed::Image && verifier.demands_signature() {
        return Err(Refusal::ContentKey(UnwrapError::NoPrivateKey));
    }
    let expected = rules.hash;
    let mut tlvs = TlvArea::open(source, header)?.iter();
    let entry = tlvs.find(source, expected.tlv())?.ok_or(Refusal::NoHash { expected })?;
    let mut claimed = [0; LONGEST];
    let claimed = entry.payload(source, &mut claimed).map_err(Refusal::Read)?.unwrap_or_default();
    let claimed = Digest::from_slice(expected, claimed);
    let claimed = claimed.ok_or(Refusal::TlvLength { entry })?;
    let validated = walk(source, header, rules, verifier, claimed)?;
    Ok(Validated { decision: Decision::NO, ..validated })
}

/// Walks the TLVs of an image whose content has the hash `hash`.
fn walk<E, V: Verifier>(
    source: &mut dyn Source<Error = E>,
    header: &Header,
    rules: &Rules,
    verifier: &mut V,
    hash: Digest,
) -> Result<Validated, Refusal<E>> {
    let strict = rules.strictness.is_strict();
    let area = TlvArea::open(source, header)?;
    // A payload that nobody reads may claim to reach past the slot's end.
    let max = match rules.max_size {
        0 => source.size(),
        max => max.min(source.size()),
    };
    if area.end() > max {
        return Err(Refusal::TooLarge { size: area.end(), max });
    }
    let pure = rules.signed == Signed::Image && verifier.demands_signature();
    let mut walk = Walk { header, pure, rules, hash: &hash, seen: Seen::default(), key: None };
    let mut tlvs = if strict { area.iter_bounded() } else { area.iter() };
    let mut payload = [0; LONGEST];
    while let Some(entry) = tlvs.next(source)? {
        let Some(meaning) = walk.meaning(verifier, &entry)? else { continue };
        let payload = entry.payload(source, &mut payload).map_err(Refusal::Read)?;
        let payload = payload.ok_or(Refusal::TlvLength { entry })?;
        walk.entry(source, verifier, &entry, meaning, payload)?;
    }
    walk.conclude(verifier.demands_signature(), area.end())
}

/// What the walk over the TLVs has found so far.
#[derive(Default)]
struct Seen {
    hash: Decision,
    pure: Decision,
    unknown_key: bool,
    /// The key of the last signature, and whether it was right.
    signature: Option<(usize, Decision)>,
    security_counter: Option<u32>,
    ids: Ids,
}

struct Walk<'a> {
    header: &'a Header,
    /// Whether the signature over the image itself stands for the hash. Without a signature to
    /// check, anybody could mark an image so, and the hash has to be right.
    pure: bool,
    rules: &'a Rules,
    hash: &'a Digest,
    seen: Seen,
    /// The key that the next signature is to be checked with.
    key: Option<usize>,
}

/// What a TLV is to the validation.
enum Meaning<'a> {
    /// The hash of the image.
    Hash,
    /// The hash of the key that the next signature is from.
    KeyHash,
    /// The mark that signatures cover the image itself.
    Pure,
    /// The security counter.
    Counter,
    /// The vendor's id or the board's, which has to be this one.
    BoardId(&'a [u8; 16]),
    /// A signature to be checked with a key.
    Signature(usize, Scheme),
}

impl<'a> Walk<'a> {
    /// What the TLV `entry` is good for, if anything; refuses what may not stand there, or not with
    /// that length.
    fn meaning<V: Verifier, E>(
        &self,
        verifier: &V,
        entry: &TlvEntry,
    ) -> Result<Option<Meaning<'a>>, Refusal<E>> {
        let Self { pure, rules, .. } = *self;
        let (size, len) = (rules.hash.size(), usize::from(entry.len));
        let unprotected = entry.area == TlvKind::Unprotected;
        let mut allowed =
            !(rules.allow_list && unprotected) || entry.kind.is_allowed_unprotected(pure);
        let (meaning, fits) = match entry.kind {
            kind if kind == rules.hash.tlv() && !pure => (Some(Meaning::Hash), len == size),
            TlvType::KEYHASH => (Some(Meaning::KeyHash), len <= size),
            TlvType::SIG_PURE if pure => (Some(Meaning::Pure), len == 1),
            TlvType::SEC_CNT if rules.security_counter.is_some() => {
                allowed &= !(self.rules.strictness.is_strict() && unprotected);
                (Some(Meaning::Counter), len == 4)
            }
            TlvType::UUID_VID | TlvType::UUID_CID => {
                let expected = rules.board.as_ref().and_then(|board| match entry.kind {
                    TlvType::UUID_VID => board.vendor.as_ref(),
                    _ => board.class.as_ref(),
                });
                allowed &=
                    expected.is_none() || !(self.rules.strictness.is_strict() && unprotected);
                (expected.map(Meaning::BoardId), expected.is_none() || len == 16)
            }
            kind => {
                let key = self.key.and_then(|key| Some((key, verifier.key(key)?.scheme())));
                let key = key.filter(|(_, scheme)| scheme.tlv() == kind);
                let fits = key.is_none_or(|(_, scheme)| scheme.accepts_len(len));
                (key.map(|(key, scheme)| Meaning::Signature(key, scheme)), fits)
            }
        };
        match (allowed, fits) {
            (false, _) => Err(Refusal::NotAllowed { entry: *entry }),
            (true, false) => Err(Refusal::TlvLength { entry: *entry }),
            (true, true) => Ok(meaning),
        }
    }

    fn entry<E, V: Verifier>(
        &mut self,
        source: &mut dyn Source<Error = E>,
        verifier: &mut V,
        entry: &TlvEntry,
        meaning: Meaning<'_>,
        payload: &[u8],
    ) -> Result<(), Refusal<E>> {
        match meaning {
            Meaning::Hash => {
                let equal = Decision::equal(payload, self.hash.as_bytes());
                self.seen.hash = equal;
                if !equal.is_yes() {
                    return Err(Refusal::Hash { computed: beginning(self.hash.as_bytes()) });
                }
            }
            Meaning::KeyHash => {
                self.key = self.find_key(verifier, payload);
                self.seen.unknown_key |= self.key.is_none();
            }
            Meaning::Pure => self.seen.pure = Decision::equal(payload, &[1]),
            Meaning::Counter => {
                let found = payload.first_chunk().copied().map_or(0, u32::from_le_bytes);
                let minimum = self.rules.security_counter.unwrap_or(0);
                if found < minimum {
                    return Err(Refusal::SecurityCounter { found, minimum });
                }
                self.seen.security_counter = Some(found);
            }
            Meaning::BoardId(expected) => {
                if payload != expected {
                    let [found, expected] = [payload, expected].map(beginning);
                    return Err(Refusal::OtherBoard { kind: entry.kind, found, expected });
                }
                let id = Ids::fold(payload);
                match entry.kind {
                    TlvType::UUID_VID => self.seen.ids.vendor = id,
                    _ => self.seen.ids.class = id,
                }
            }
            Meaning::Signature(key, scheme) => {
                self.signature(source, verifier, key, scheme, payload)?;
            }
        }
        Ok(())
    }

    /// The key whose hash the payload gives. The original compares only as many bytes as there
    /// are, so that an empty key hash names the first key.
    fn find_key<V: Verifier>(&self, verifier: &V, payload: &[u8]) -> Option<usize> {
        if self.rules.strictness.is_strict() && payload.len() != self.rules.hash.size() {
            return None;
        }
        (0..)
            .map_while(|index| verifier.key_hash(index, self.rules.hash))
            .position(|hash| hash.as_bytes().starts_with(payload))
    }

    /// The original keeps the verdict of the last signature; strictly, a wrong one is the end.
    fn signature<E, V: Verifier>(
        &mut self,
        source: &mut dyn Source<Error = E>,
        verifier: &mut V,
        key: usize,
        scheme: Scheme,
        signature: &[u8],
    ) -> Result<(), Refusal<E>> {
        let good = match self.rules.signed {
            Signed::Hash => verifier.verify(key, self.hash, signature),
            // That goes with SHA-512 alone (`Scheme::allows`).
            Signed::Image if scheme != Scheme::Ed25519 || !cfg!(feature = "sha512") => Decision::NO,
            Signed::Image => {
                let check = signature.try_into().ok().and_then(|s| verifier.verify_pure(key, s));
                match check {
                    Some(mut check) => {
                        feed(source, self.header, |bytes| check.update(bytes))?;
                        check.finish()
                    }
                    None => Decision::NO,
                }
            }
        };
        if self.rules.strictness.is_strict() && !good.is_yes() {
            return Err(Refusal::Signature { key });
        }
        self.seen.signature = Some((key, good));
        self.key = None;
        Ok(())
    }

    fn conclude<E>(self, demands_signature: bool, size: u32) -> Result<Validated, Refusal<E>> {
        let Seen { hash, pure, unknown_key, signature, security_counter, ids } = self.seen;
        let content = if self.pure { pure } else { hash };
        if !content.is_yes() {
            return Err(match self.pure {
                true => Refusal::NotPure,
                false => Refusal::NoHash { expected: self.rules.hash },
            });
        }
        let (key, origin) = match signature {
            _ if !demands_signature => (None, content),
            Some((key, good)) => (Some(key), good),
            None => return Err(Refusal::NoSignature { unknown_key }),
        };
        if !origin.is_yes() {
            return Err(Refusal::Signature { key: key.unwrap_or(0) });
        }
        if self.rules.security_counter.is_some() && security_counter.is_none() {
            return Err(Refusal::NoSecurityCounter);
        }
        if let Some(board) = self.rules.board.as_ref().filter(|board| board.required) {
            let vendor = board.vendor.is_some() && ids.vendor == 0;
            let class = board.class.is_some() && ids.class == 0;
            if vendor || class {
                let kind = if vendor { TlvType::UUID_VID } else { TlvType::UUID_CID };
                return Err(Refusal::NoBoardId { kind });
            }
        }
        // Asked once more, of the same decisions: whatever was jumped over above is caught here.
        if !content.still() {
            return Err(Refusal::NoHash { expected: self.rules.hash });
        }
        let decision = Decision::both(&origin, &content);
        Ok(Validated { hash: *self.hash, size, security_counter, key, ids, decision })
    }
}
