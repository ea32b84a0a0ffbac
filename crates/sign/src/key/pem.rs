//! PEM files with keys.

use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

use super::KeyError;

/// A PEM block with a key.
pub struct Block {
    /// What the block says that it is.
    pub label: &'static str,
    /// Its content.
    pub der: Zeroizing<Vec<u8>>,
}

impl Block {
    const LABELS: [&'static str; 5] =
        ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY", "RSA PUBLIC KEY"];

    /// The first block that is a key; others, such as EC PARAMETERS, are passed over.
    pub fn find(text: &str) -> Result<Self, KeyError> {
        let mut rest = text;
        while let Some(at) = rest.find("-----BEGIN ") {
            let block = &rest[at..];
            rest = &block["-----BEGIN ".len()..];
            let Some((label, inside)) = rest.split_once("-----") else {
                break;
            };
            if label == "ENCRYPTED PRIVATE KEY" {
                return Err(KeyError::Encrypted);
            }
            if inside.trim_start().starts_with("Proc-Type:") {
                return Err(KeyError::Legacy);
            }
            if let Some(label) = Self::LABELS.into_iter().find(|known| *known == label) {
                let end = format!("-----END {label}-----");
                let len = block.find(&end).map_or(block.len(), |at| at + end.len());
                let (_, der) =
                    pem_rfc7468::decode_vec(&block.as_bytes()[..len]).map_err(KeyError::Pem)?;
                return Ok(Self { label, der: Zeroizing::new(der) });
            }
        }
        Err(KeyError::NoPem)
    }
}

/// A block of PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    // The label is one of ours and the DER a few hundred bytes: encoding cannot fail.
    pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}
