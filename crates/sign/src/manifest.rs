//! What stands beside a release: who made which file of what, signed.
//!
//! A manifest is an in-toto statement (version 1) about one file, in a DSSE envelope (version 1),
//! signed with the key that signs images. Tools for software supply chains read both. Source:
//! in-toto attestation framework, "Statement layer specification"; DSSE, `protocol.md`.
//!
//! ```text
//! { payloadType, payload: base64({ subject: [{ name, sha256 }], predicate: { version, board,
//!   sbom, … } }), signatures: [{ keyid, sig }] }
//! signed:  "DSSEv1" SP len(payloadType) SP payloadType SP len(payload) SP payload
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use updraft_image::{Digest, HashKind, PureCheck, Scheme, Software, TlvType, Verifier};

use crate::inspect::Inspection;
use crate::signing::SigningKey;
use crate::{KeyError, PublicKey};

/// The TLV that holds the SHA-256 of an image's bill of materials: 32 bytes, protected. It is one
/// of the types that MCUboot leaves to users.
pub const SBOM: TlvType = TlvType(0x5b0e);

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "urn:updraft:firmware-release:v1";

/// Why a manifest is none, or not this file's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file is not of the form.
    #[error("no manifest: {0}")]
    Format(String),
    /// It is signed by nobody who is trusted.
    #[error("the manifest is signed by none of the keys")]
    Signature,
    /// It is about another file.
    #[error("the manifest is about a file with SHA-256 {expected}, this one has {found}")]
    OtherFile {
        /// What the manifest names.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(rename = "_type")]
    statement: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    /// What is said of the file.
    pub predicate: Release,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: Sha256,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sha256 {
    sha256: String,
}

/// A release of firmware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The version in the header.
    pub version: String,
    /// The board that it was signed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Bytes of the file.
    pub size: u64,
    /// The image hash, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_hash: Option<String>,
    /// The security counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_counter: Option<u32>,
    /// The build that the image was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Resource>,
    /// The bill of materials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Resource>,
    /// What made it.
    pub builder: String,
}

/// A file by its name and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Resource {
    /// The file `name` with these bytes.
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), sha256: sha256(bytes) }
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Manifest {
    /// About the image in `file`, which is called `name`. `board` is what it was signed for.
    pub fn new(name: &str, file: &[u8], inspection: &Inspection, board: Option<&str>) -> Self {
        let counter = inspection.tlvs.iter().find(|tlv| tlv.kind == TlvType::SEC_CNT.0);
        let counter = counter.and_then(|tlv| tlv.meaning.as_ref()?.parse().ok());
        Self {
            statement: STATEMENT.into(),
            subject: vec![Subject { name: name.into(), digest: Sha256 { sha256: sha256(file) } }],
            predicate_type: PREDICATE.into(),
            predicate: Release {
                version: inspection.header.version.clone(),
                board: board.map(Into::into),
                size: file.len() as u64,
                image_hash: inspection.hash.as_ref().map(|hash| hash.stored.clone()),
                security_counter: counter,
                build: None,
                sbom: None,
                builder: concat!("updraft ", env!("CARGO_PKG_VERSION")).into(),
            },
        }
    }

    /// The name of the file that it is about.
    pub fn subject(&self) -> &str {
        self.subject.first().map_or("", |subject| &subject.name)
    }

    /// The manifest in its envelope, signed.
    pub fn sign(&self, key: &dyn SigningKey) -> Result<String, ManifestError> {
        let format = |error: serde_json::Error| ManifestError::Format(error.to_string());
        let payload = serde_json::to_vec(self).map_err(format)?;
        let message = encoding(PAYLOAD_TYPE, &payload);
        let signature = match prehash(key.public().scheme()) {
            Some(hash) => key.sign_digest(&Digest::of(hash, &message))?,
            None => key.sign_message(&message)?,
        };
        let keyid = key.public().hash(HashKind::Sha256).to_string();
        let envelope = Envelope {
            payload_type: PAYLOAD_TYPE.into(),
            payload: BASE64.encode(payload),
            signatures: vec![Signature { keyid, sig: BASE64.encode(signature) }],
        };
        let mut text = serde_json::to_string_pretty(&envelope).map_err(format)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads an envelope that one of `keys` has signed.
    pub fn open(text: &str, keys: &[PublicKey]) -> Result<Self, ManifestError> {
        let format = |error: &dyn std::fmt::Display| ManifestError::Format(error.to_string());
        let envelope: Envelope = serde_json::from_str(text).map_err(|error| format(&error))?;
        let payload = BASE64.decode(&envelope.payload).map_err(|error| format(&error))?;
        // Nothing of the payload is looked at before it is known whose it is.
        let message = encoding(&envelope.payload_type, &payload);
        let signed = envelope.signatures.iter().filter_map(|it| BASE64.decode(&it.sig).ok());
        let is_good = |signature: &Vec<u8>| keys.iter().any(|key| verify(key, &message, signature));
        if !signed.into_iter().any(|signature| is_good(&signature)) {
            return Err(ManifestError::Signature);
        }
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(format(&format_args!("a payload of type {}", envelope.payload_type)));
        }
        let manifest: Self = serde_json::from_slice(&payload).map_err(|error| format(&error))?;
        match (manifest.statement.as_str(), manifest.predicate_type.as_str()) {
            (STATEMENT, PREDICATE) if manifest.subject.len() == 1 => Ok(manifest),
            (STATEMENT, PREDICATE) => Err(format(&"it is not about one file")),
            (_, other) => Err(format(&format_args!("a statement of type {other}"))),
        }
    }

    /// Checks that it is about `file`.
    pub fn check(&self, file: &[u8]) -> Result<(), ManifestError> {
        let expected = self.subject.first().map_or("", |subject| &subject.digest.sha256);
        let found = sha256(file);
        match expected == found {
            true => Ok(()),
            false => Err(ManifestError::OtherFile { expected: expected.into(), found }),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(HashKind::Sha256, bytes).to_string()
}

/// DSSE's pre-authentication encoding.
fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// What is signed in place of the message; `None` where it is the message itself.
fn prehash(scheme: Option<Scheme>) -> Option<HashKind> {
    match scheme {
        Some(Scheme::EcdsaP384) => Some(HashKind::Sha384),
        Some(Scheme::Ed25519) => None,
        _ => Some(HashKind::Sha256),
    }
}

fn verify(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let Some(embedded) = key.as_embedded() else { return false };
    let ring = [embedded];
    let mut verifier = Software::new(&ring);
    match (prehash(key.scheme()), signature.try_into()) {
        (Some(hash), _) => verifier.verify(0, &Digest::of(hash, message), signature).is_yes(),
        (None, Ok(signature)) => verifier.verify_pure(0, signature).is_some_and(|mut check| {
            check.update(message);
            check.finish().is_yes()
        }),
        (None, Err(_)) => false,
    }
}

/// Why a file is no bill of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no CycloneDX document: neither JSON with \"bomFormat\": \"CycloneDX\" nor XML of its namespace"
)]
pub struct NoSbom;

/// The SHA-256 of a bill of materials in CycloneDX's JSON or XML.
pub fn sbom_hash(bytes: &[u8]) -> Result<Digest, NoSbom> {
    #[derive(Deserialize)]
    struct Bom {
        #[serde(rename = "bomFormat")]
        format: String,
    }
    let json = serde_json::from_slice::<Bom>(bytes).is_ok_and(|bom| bom.format == "CycloneDX");
    let xml = bytes.trim_ascii_start().starts_with(b"<")
        && std::str::from_utf8(bytes)
            .is_ok_and(|text| text.contains("http://cyclonedx.org/schema/bom/"));
    match json || xml {
        true => Ok(Digest::of(HashKind::Sha256, bytes)),
        false => Err(NoSbom),
    }
}

#[cfg(test)]
mod tests {
    use super::{encoding, sbom_hash};

    /// The example of DSSE's protocol document.
    #[test]
    fn what_is_signed_is_unambiguous() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(encoding("http://example.com/HelloWorld", b"hello world"), expected);
    }

    #[test]
    fn bills_of_materials_are_told_from_other_files() {
        assert!(sbom_hash(br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#).is_ok());
        let xml = b"<?xml version=\"1.0\"?><bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\"/>";
        assert!(sbom_hash(xml).is_ok());
        for other in [&b"{}"[..], b"{\"bomFormat\":\"SPDX\"}", b"<html/>", b"\xff", b""] {
            assert!(sbom_hash(other).is_err());
        }
    }
}
