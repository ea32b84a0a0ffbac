//! Private keys that a passphrase is needed for: EncryptedPrivateKeyInfo (PKCS#8) with PBES2
//! (RFC 8018), as imgtool and OpenSSL write them.

use pkcs8::pkcs5::{self, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::pem::pem;
use super::{KeyError, damaged};
use crate::der;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// Rounds of PBKDF2 with SHA-256, OWASP's recommendation of 2023.
const ROUNDS: u32 = 600_000;

/// Whether reading the key in `text` takes a passphrase.
pub fn is_locked(text: &str) -> bool {
    matches!(super::Block::find(text), Err(KeyError::Encrypted))
}

/// Rounds of PBKDF2, or the cost of scrypt, that are still tried: some seconds of work.
const MOST_ROUNDS: u64 = 20_000_000;

/// Whether trying a passphrase takes longer than anybody makes it.
fn takes_forever(scheme: &pkcs5::EncryptionScheme) -> bool {
    let rounds = match scheme.pbes2().map(|scheme| &scheme.kdf) {
        Some(pbes2::Kdf::Pbkdf2(params)) => params.iteration_count.into(),
        Some(pbes2::Kdf::Scrypt(params)) => {
            let blocks = u64::from(params.block_size) * u64::from(params.parallelization);
            params.cost_parameter.saturating_mul(blocks)
        }
        _ => 0,
    };
    rounds > MOST_ROUNDS
}

/// The same PEM file without encryption.
pub fn unlock(text: &str, passphrase: &str) -> Result<Zeroizing<String>, KeyError> {
    let begin = format!("-----BEGIN {LABEL}-----");
    let end = format!("-----END {LABEL}-----");
    let at = text.find(&begin).ok_or(KeyError::NoPem)?;
    let block = &text[at..];
    let block = block.find(&end).map_or(block, |at| &block[..at + end.len()]);
    let (_, bytes) = pem_rfc7468::decode_vec(block.as_bytes()).map_err(KeyError::Pem)?;
    let info = EncryptedPrivateKeyInfoRef::try_from(bytes.as_slice()).map_err(damaged)?;
    if takes_forever(&info.encryption_algorithm) {
        return Err(damaged("trying a passphrase would take more than 20 million rounds"));
    }
    let plain = info.encryption_algorithm.decrypt(passphrase, info.encrypted_data.as_bytes());
    let plain = Zeroizing::new(plain.map_err(|error| match error {
        // What another key decrypts does not end as it should.
        pkcs5::Error::DecryptFailed | pkcs5::Error::EncryptFailed => KeyError::Passphrase,
        other => damaged(other),
    })?);
    PrivateKeyInfoRef::try_from(plain.as_slice()).map_err(|_| KeyError::Passphrase)?;
    Ok(Zeroizing::new(pem("PRIVATE KEY", &plain)))
}

/// PrivateKeyInfo in PEM, encrypted with AES-256-CBC.
pub fn lock(key: &[u8], passphrase: &str) -> Result<String, KeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut iv)).map_err(KeyError::Random)?;
    let scheme =
        pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv).map_err(damaged)?;
    let data = scheme.encrypt(passphrase, key).map_err(damaged)?;
    let scheme = pkcs8::der::Encode::to_der(&pkcs5::EncryptionScheme::from(scheme));
    let scheme = Zeroizing::new(scheme.map_err(damaged)?);
    Ok(pem(LABEL, &der::sequence(&[scheme, der::octets(&data)])))
}
