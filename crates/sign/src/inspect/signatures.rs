//! Whose the signatures are, and whether they hold.

use std::fmt;

use serde::Serialize;
use updraft_image::{HashKind, Header, PureCheck, Scheme, Software, TlvEntry, TlvType, Verifier};

use super::tlvs::payload;
use super::{Digests, NamedKey, is_pure};
use crate::{PublicKey, known_key};

/// How a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureState {
    /// It is the key's.
    Good,
    /// It is not the key's.
    Wrong,
    /// The key is not at hand.
    UnknownKey,
    /// No key is named before it: bootloaders pass over it.
    NoKey,
    /// It covers the image itself, which is encrypted.
    Encrypted,
}

/// A signature, explained.
#[derive(Clone, Debug, Serialize)]
pub struct SignatureInfo {
    /// Its TLV type's name.
    pub kind: String,
    /// Where it begins.
    pub offset: u32,
    /// How it stands.
    pub state: SignatureState,
    /// Whose it is.
    pub key: Option<String>,
    /// Whether it covers the image itself and not its hash.
    pub pure: bool,
}

impl fmt::Display for SignatureInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.state, &self.key) {
            (SignatureState::Good, Some(key)) => write!(f, "good, by {key}"),
            (SignatureState::Wrong, Some(key)) => write!(f, "wrong for {key}"),
            (SignatureState::NoKey, _) => f.write_str("no key is named before it"),
            (SignatureState::Encrypted, _) => f.write_str("not checked: the image is encrypted"),
            _ => f.write_str("not checked: the key is not at hand"),
        }
    }
}

/// A key that the image names, as far as it can be told.
struct Named {
    name: String,
    key: Option<PublicKey>,
}

/// Checks every signature against the key that is named before it.
pub fn check(
    file: &[u8],
    header: &Header,
    entries: &[TlvEntry],
    digests: &Digests,
    keys: &[NamedKey],
    findings: &mut Vec<String>,
) -> Vec<SignatureInfo> {
    let pure = is_pure(file, entries);
    let mut signatures = Vec::new();
    let mut named: Option<Named> = None;
    for entry in entries {
        let data = payload(file, entry).unwrap_or_default();
        match entry.kind {
            TlvType::KEYHASH | TlvType::PUBKEY => {
                named = Some(Named {
                    name: name_of(entry.kind, data, keys),
                    key: find(entry.kind, data, digests.kind(), keys),
                });
                if let Some(known) = published(entry.kind, data) {
                    findings.push(format!(
                        "signed with {known}: its private half is published, anybody can sign"
                    ));
                }
            }
            TlvType::ECDSA_SIG | TlvType::ED25519 | TlvType::RSA2048 | TlvType::RSA3072 => {
                let named = named.take();
                let state = match named.as_ref().map(|named| &named.key) {
                    None => SignatureState::NoKey,
                    Some(_) if pure && digests.encrypted => SignatureState::Encrypted,
                    Some(Some(key)) if key.scheme().is_some_and(|it| it.tlv() == entry.kind) => {
                        match holds(file, header, key, digests, pure, data) {
                            true => SignatureState::Good,
                            false => SignatureState::Wrong,
                        }
                    }
                    Some(_) => SignatureState::UnknownKey,
                };
                if state == SignatureState::Wrong {
                    findings.push(format!("the {} signature is wrong", entry.kind));
                }
                signatures.push(SignatureInfo {
                    kind: entry.kind.to_string(),
                    offset: entry.offset,
                    state,
                    key: named.map(|named| named.name),
                    pure,
                });
            }
            _ => {}
        }
    }
    if signatures.is_empty() {
        findings.push("not signed: only bootloaders without keys take it".into());
    }
    signatures
}

fn holds(
    file: &[u8],
    header: &Header,
    key: &PublicKey,
    digests: &Digests,
    pure: bool,
    signature: &[u8],
) -> bool {
    let Some(key) = key.as_embedded() else {
        return false;
    };
    let keys = [key];
    let mut verifier = Software::new(&keys);
    if pure && key.scheme() == Scheme::Ed25519 {
        let signed = header.hashed_len().ok().and_then(|len| file.get(..len as usize));
        let check = signature.try_into().ok().and_then(|s| verifier.verify_pure(0, s));
        return match (signed, check) {
            (Some(signed), Some(mut check)) => {
                check.update(signed);
                check.finish().is_yes()
            }
            _ => false,
        };
    }
    digests.signed.is_some_and(|digest| verifier.verify(0, &digest, signature).is_yes())
}

/// The key that a KEYHASH or PUBKEY names, if it is at hand.
fn find(kind: TlvType, data: &[u8], hash: HashKind, keys: &[NamedKey]) -> Option<PublicKey> {
    if kind == TlvType::PUBKEY {
        return PublicKey::from_der(data).ok();
    }
    let mut keys = keys.iter().map(|named| &named.key);
    keys.find(|key| key.hash(hash).as_bytes() == data).cloned()
}

/// What the named key is called: the name of the key at hand, of a published one, or its hash.
pub fn name_of(kind: TlvType, data: &[u8], keys: &[NamedKey]) -> String {
    let at_hand = keys.iter().find(|named| match kind {
        TlvType::PUBKEY => named.key.as_der() == data,
        _ => HashKind::ALL.into_iter().any(|hash| named.key.hash(hash).as_bytes() == data),
    });
    let published = published(kind, data);
    match (at_hand, published) {
        (Some(named), _) => named.name.clone(),
        (None, Some(known)) => known,
        (None, None) => {
            let hash = sha256(kind, data);
            format!("an unknown key, {}…", &hash[..hash.len().min(16)])
        }
    }
}

/// SHA-256 of the key: what names it.
fn sha256(kind: TlvType, data: &[u8]) -> String {
    match kind {
        TlvType::PUBKEY => updraft_image::Digest::of(HashKind::Sha256, data).to_string(),
        _ => super::hex(data),
    }
}

fn published(kind: TlvType, data: &[u8]) -> Option<String> {
    let known = known_key(&sha256(kind, data))?;
    Some(format!("{} ({})", known.name, known.origin))
}
