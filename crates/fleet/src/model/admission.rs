//! Which releases are admitted.
//!
//! ```text
//! file ─▶ header ─▶ whole? ─▶ whose signature? ─▶ hash, signature, board ids ─▶ suits the board? ─▶ Image
//!           │         │            │                     │                          │
//!           └─ not an image        └─ a published key    └─ what its bootloader     └─ placed, linked
//!                     └─ cut off      is refused            would refuse               and padded for it
//! ```
//! The verdicts are those of [`updraft_image::validate`] and [`updraft_board::suits`], which `updraft
//! image verify` asks too. Whatever a board's bootloader puts up with, a server is strict: it walks
//! TLVs as the strict bootloader does, so that none is hidden from it.

use std::collections::BTreeMap;

use updraft_board::{Board, LoadError, suits};
use updraft_image::{
    Decoder, Digest, Flags, HashKind, HashOnly, Header, OutOfRange, Refusal, Rules, Scheme,
    Software, Strictness, TlvArea, TlvError, TlvKind, TlvType, Validated, validate,
    validate_compressed, validate_sealed,
};
use updraft_sign::{
    KnownKey, NamedKey, known_key, known_key_called, missing, payloads, rules_of, wrap_format,
};

use super::{ArtifactId, Image, Reason, Refused, Release, ReleaseName, Signature};

/// Bytes that a compressed image may decompress to where no board says how many it has room for.
const LARGEST_UNCOMPRESSED: u32 = 64 << 20;

/// What somebody wants to have admitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The name of the release.
    pub name: ReleaseName,
    /// The board that it is for, by its name.
    pub board: Option<String>,
    /// Its images, in any order.
    pub images: Vec<SubmittedImage>,
    /// Whether images that a published key has signed are wanted.
    pub allow_sample_key: bool,
}

/// An image file that somebody wants to have admitted.
#[derive(Clone, Debug)]
pub struct SubmittedImage {
    /// Which of the board's images it is.
    pub number: u8,
    /// The file.
    pub bytes: Vec<u8>,
}

/// What a server admits.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    trusted: Vec<NamedKey>,
    allow_sample_key: bool,
    boards: BTreeMap<String, Board>,
}

/// A key that cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Everybody can sign with it.
    #[error("{} is {} ({}): everybody has its private half", .0, .1.name, .1.origin)]
    SampleKey(String, &'static KnownKey),
    /// No signature is checked with such a key.
    #[error("{0} is for encryption: it signs no images")]
    DoesNotSign(String),
}

/// There is no board of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no board is called {name:?}")]
pub struct UnknownBoard {
    /// The name.
    pub name: String,
    /// What it may have been meant to be.
    pub hint: String,
}

impl Policy {
    /// Admits whole, valid images, whoever has signed them, unless it was a published key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits images that a published key has signed, if the submission asks for that too.
    pub fn allowing_sample_keys(mut self) -> Self {
        self.allow_sample_key = true;
        self
    }

    /// From now on one of the trusted keys has to have signed every image, and this is one.
    pub fn trusting(mut self, key: NamedKey) -> Result<Self, TrustError> {
        if key.key.as_embedded().is_none() {
            return Err(TrustError::DoesNotSign(key.name));
        }
        match known_key(&key.key.hash(HashKind::Sha256).to_string()) {
            Some(known) if !self.allow_sample_key => Err(TrustError::SampleKey(key.name, known)),
            _ => {
                self.trusted.push(key);
                Ok(self)
            }
        }
    }

    /// Knows `board` beside those that come with the program, and instead of one of its name.
    pub fn with_board(mut self, board: Board) -> Self {
        self.boards.insert(board.name().to_owned(), board);
        self
    }

    /// The names of the trusted keys.
    pub fn trusted(&self) -> impl Iterator<Item = &str> {
        self.trusted.iter().map(|key| key.name.as_str())
    }

    /// Whether it admits images that a published key has signed, if it is asked for that.
    pub fn allows_sample_keys(&self) -> bool {
        self.allow_sample_key
    }

    /// The board of that name. A name from outside is never taken for a file.
    pub fn board(&self, name: &str) -> Result<Board, UnknownBoard> {
        let unknown = |hint: String| UnknownBoard { name: name.to_owned(), hint };
        if let Some(board) = self.boards.get(name) {
            return Ok(board.clone());
        }
        if name.contains(['/', '\\']) || name.ends_with(".toml") {
            let hint = "a server is asked by a board's name: give it the file when it is started, \
                        --board FILE";
            return Err(unknown(hint.into()));
        }
        Board::load(name).map_err(|error| match error {
            LoadError::Unknown { hint, .. } => unknown(hint),
            error => unknown(error.to_string()),
        })
    }

    /// Whether an image that was admitted once is still good enough: a policy may have become
    /// stricter since, and a key known as published.
    pub fn still_admits(&self, image: &Image) -> Result<(), Reason> {
        let said = image.sample_key.as_deref().and_then(known_key_called);
        let named = || image.key_hash.as_deref().and_then(known_key);
        match said.or_else(named) {
            Some(key) if !self.allow_sample_key => {
                Err(Reason::SampleKey { key, server: false, request: false })
            }
            None if image.sample_key.is_some() && !self.allow_sample_key => Err(Reason::NotTrusted),
            _ if self.trusted.is_empty() => Ok(()),
            _ => match &image.signature {
                // A name is that of a file, behind which may be another key by now.
                Signature::Good(_) if self.trusted.iter().any(|key| has_hash(key, image)) => Ok(()),
                _ => Err(Reason::NotTrusted),
            },
        }
    }

    /// Admits `submission` at the time `now`, in seconds since 1970, or says why not.
    pub fn admit(&self, submission: &Submission, now: u64) -> Result<Release, Refused> {
        let whole = |reason| Refused { image: None, reason };
        let board = submission.board.as_deref().map(|name| self.board(name)).transpose();
        let board = board
            .map_err(|UnknownBoard { name, hint }| whole(Reason::UnknownBoard { name, hint }))?;
        let mut images = Vec::with_capacity(submission.images.len());
        for image in &submission.images {
            let examiner = Examiner {
                policy: self,
                board: board.as_ref(),
                request: submission.allow_sample_key,
            };
            let refused = |reason| Refused { image: Some(image.number), reason };
            images.push(examiner.examine(image).map_err(refused)?);
        }
        images.sort_by_key(|image: &Image| image.number);
        if let Some(pair) = images.windows(2).find(|pair| pair[0].number == pair[1].number) {
            return Err(whole(Reason::Twice(pair[0].number)));
        }
        let Some(first) = images.first() else { return Err(whole(Reason::NoImage)) };
        Ok(Release {
            name: submission.name.clone(),
            version: first.version.clone(),
            board: board.as_ref().map(|board| board.name().to_owned()),
            images,
            created: now,
        })
    }
}

/// Looks at the images of one submission.
struct Examiner<'a> {
    policy: &'a Policy,
    board: Option<&'a Board>,
    /// Whether the submission allows published keys.
    request: bool,
}

/// What is known of an image's content once it is checked.
struct Content<'p> {
    hash: Digest,
    signature: Signature,
    encrypted: bool,
    /// The trusted key that has signed it.
    by: Option<&'p NamedKey>,
}

/// What is read of an image before it is judged.
#[derive(Default)]
struct Facts {
    security_counter: Option<u32>,
    key_hash: Option<String>,
    sample_key: Option<&'static KnownKey>,
    signatures: Vec<TlvType>,
    /// Whether a signature stands there before which no key is named.
    nameless: bool,
}

/// Bytes of the shortest hash that names a key: SHA-256.
const SHORTEST_HASH: usize = 32;

impl Facts {
    fn read(file: &[u8], header: &Header) -> Result<Self, TlvError<OutOfRange>> {
        let mut source = file;
        let mut entries = TlvArea::open(&mut source, header)?.iter_bounded();
        let mut facts = Self::default();
        let mut named = false;
        while let Some(entry) = entries.next(&mut source)? {
            let start = entry.offset as usize;
            let payload = file.get(start..start.saturating_add(entry.len.into()));
            let payload = payload.unwrap_or_default();
            match entry.kind {
                // The beginning of a hash names no key: C builds take it for any key that begins so.
                TlvType::KEYHASH if payload.len() < SHORTEST_HASH => {}
                TlvType::KEYHASH | TlvType::PUBKEY => {
                    named = true;
                    facts.signer(match entry.kind {
                        TlvType::KEYHASH => hex(payload),
                        _ => Digest::of(HashKind::Sha256, payload).to_string(),
                    });
                }
                // Bootloaders take it from nowhere else.
                TlvType::SEC_CNT if entry.area == TlvKind::Protected => {
                    facts.security_counter = payload.try_into().ok().map(u32::from_le_bytes);
                }
                kind if Scheme::ALL.iter().any(|scheme| scheme.tlv() == kind) => {
                    facts.nameless |= !named;
                    named = false;
                    facts.signatures.push(kind);
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    fn signer(&mut self, hash: String) {
        self.sample_key = self.sample_key.or(known_key(&hash));
        self.key_hash.get_or_insert(hash);
    }
}

impl<'p> Examiner<'p> {
    fn examine(&self, image: &SubmittedImage) -> Result<Image, Reason> {
        let file = image.bytes.as_slice();
        let header = Header::parse(file).map_err(Reason::NotAnImage)?;
        if let Some(missing) = missing(file, &header) {
            return Err(Reason::CutOff { missing });
        }
        let facts = Facts::read(file, &header)
            .map_err(|error| Reason::Invalid(Refusal::from(error).to_string()))?;
        self.check_signer(&facts)?;
        let Content { hash, signature, encrypted, by } =
            self.check_content(image, &header, &facts)?;
        if let Some(board) = self.board {
            suits::check(board, image.number, &header, file).map_err(|(reason, hint)| {
                Reason::Unsuited { board: board.name().to_owned(), reason, hint }
            })?;
        }
        Ok(Image {
            number: image.number,
            sha256: ArtifactId::of(file),
            size: file.len() as u64,
            version: header.version.to_string(),
            image_hash: hash.to_string(),
            security_counter: facts.security_counter,
            // Whatever else is named: whose signature is good is known.
            key_hash: by.map(|key| key.key.hash(HashKind::Sha256).to_string()).or(facts.key_hash),
            signature,
            sample_key: facts.sample_key.map(|key| key.name.to_owned()),
            encrypted,
        })
    }

    /// Whose signature it claims to be. This comes first: that anybody can sign such images is the
    /// reason to give, whatever else is wrong with one.
    fn check_signer(&self, facts: &Facts) -> Result<(), Reason> {
        let (server, request) = (self.policy.allow_sample_key, self.request);
        if let Some(key) = facts.sample_key
            && !(server && request)
        {
            return Err(Reason::SampleKey { key, server, request });
        }
        // A bootloader that was built to pass over names would try any key on it, a published one
        // too, and here nobody could tell.
        if facts.nameless {
            return Err(Reason::NoKeyNamed);
        }
        let scheme = self.board.and_then(|board| Some((board, board.boot().signature.scheme()?)));
        match scheme {
            Some((board, scheme)) if !facts.signatures.contains(&scheme.tlv()) => {
                Err(Reason::NotSigned { board: board.name().to_owned(), scheme })
            }
            _ => Ok(()),
        }
    }

    /// Hash, signature and whatever else a bootloader asks for.
    fn check_content(
        &self,
        image: &SubmittedImage,
        header: &Header,
        facts: &Facts,
    ) -> Result<Content<'p>, Reason> {
        let (slot, rules) = self.stored(image, header)?;
        let trusted: Vec<_> = self.policy.trusted.iter().collect();
        let ring: Vec<_> = trusted.iter().filter_map(|key| key.key.as_embedded()).collect();
        let signed = !ring.is_empty();
        let mut source = slot.as_slice();
        let verdict = match signed {
            true => validate(&mut source, header, &rules, &mut Software::new(&ring)),
            false => validate(&mut source, header, &rules, &mut HashOnly),
        };
        let mut encrypted = false;
        let verdict = match verdict {
            // What was hashed is the plaintext. Only the signature over the hash is left to check.
            Err(Refusal::Hash { .. }) if header.flags.intersects(Flags::ENCRYPTED) => {
                encrypted = true;
                if !has_content_key(&image.bytes, header) {
                    return Err(Reason::NoContentKey);
                }
                if !signed {
                    return Err(Reason::Sealed);
                }
                validate_sealed(&mut source, header, &rules, &mut Software::new(&ring))
            }
            verdict => verdict,
        };
        let valid: Validated =
            verdict.map_err(|refusal: Refusal<OutOfRange>| Reason::Invalid(refusal.to_string()))?;
        if header.flags.intersects(Flags::COMPRESSED) && !encrypted {
            self.check_uncompressed(&slot, header, &rules, &ring)?;
        }
        let by = valid.key.and_then(|index| trusted.get(index).copied());
        let signature = match (by, facts.signatures.is_empty()) {
            (Some(key), _) => Signature::Good(key.name.clone()),
            (None, false) => Signature::Unchecked,
            (None, true) => Signature::None,
        };
        Ok(Content { hash: valid.hash, signature, encrypted, by })
    }

    /// The image where its bootloader meets it, and what that asks of it.
    fn stored(&self, image: &SubmittedImage, header: &Header) -> Result<(Vec<u8>, Rules), Reason> {
        let Some(board) = self.board else {
            return Ok((image.bytes.clone(), rules_of(&image.bytes, header)));
        };
        let name = || board.name().to_owned();
        let slot = suits::slot(board, image.number)
            .ok_or_else(|| Reason::NoSuchImage { board: name(), count: board.images() })?;
        let stored = suits::in_slot(board, slot, &image.bytes).ok_or_else(|| {
            let (len, size) = (image.bytes.len(), slot.size);
            Reason::Unsuited {
                board: name(),
                reason: format!("{len} bytes do not fit in a slot of {size}"),
                hint: "is it an image for another board?".into(),
            }
        })?;
        Ok((stored, Rules { strictness: Strictness::Strict, ..board.rules(image.number) }))
    }

    fn check_uncompressed(
        &self,
        slot: &[u8],
        header: &Header,
        rules: &Rules,
        ring: &[updraft_image::PublicKey<'_>],
    ) -> Result<(), Reason> {
        let max_size = if rules.max_size == 0 { LARGEST_UNCOMPRESSED } else { rules.max_size };
        let rules = Rules { max_size, ..*rules };
        let (mut decoder, mut window) = (Decoder::new(), vec![0; Decoder::RING]);
        let (mut source, decoder, window) = (slot, &mut decoder, &mut window);
        let verdict = match ring {
            [] => validate_compressed(&mut source, header, &rules, &mut HashOnly, decoder, window),
            ring => {
                let mut verifier = Software::new(ring);
                validate_compressed(&mut source, header, &rules, &mut verifier, decoder, window)
            }
        };
        verdict.map(|_| ()).map_err(|refusal| Reason::Uncompressed(refusal.to_string()))
    }
}

/// Whether it is this key that has signed an image, of which a trusted key's signature was good.
fn has_hash(key: &NamedKey, image: &Image) -> bool {
    image.key_hash.as_deref() == Some(key.key.hash(HashKind::Sha256).to_string().as_str())
}

/// Whether an encrypted image has the TLV that a device takes its content key from.
fn has_content_key(file: &[u8], header: &Header) -> bool {
    wrap_format(file).is_some_and(|format| {
        let wrapped = payloads(file, header, format.kind());
        wrapped.first().is_some_and(|payload| format.check(format.kind(), payload).is_ok())
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
