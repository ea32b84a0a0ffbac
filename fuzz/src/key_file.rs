//! Arbitrary text as a key file in PEM.
//!
//! Asserts: a private key that is read is read again, as the same key, once written out, and so is
//! a public one.

use updraft_sign::{DecryptionKey, Key, PublicKey, Recipient, is_locked};

/// Takes one input.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ =
        (is_locked(&text), Recipient::from_text(&text), DecryptionKey::from_text(&text).is_ok());
    if let Ok(key) = Key::from_pem(&text) {
        let again = Key::from_pem(&key.to_pem()).expect("a key that was written is read");
        assert_eq!(again.public(), key.public());
    }
    if let Ok(key) = PublicKey::from_pem(&text) {
        assert_eq!(PublicKey::from_pem(&key.to_pem()).as_ref().ok(), Some(&key));
        assert_eq!(PublicKey::from_der(key.as_der()).as_ref().ok(), Some(&key));
    }
}

/// Keys of every type, private and public.
pub fn seeds() -> Vec<Vec<u8>> {
    let names = crate::repository_names("vectors/mcuboot/keys");
    names
        .iter()
        .map(|name| crate::repository_file(&format!("vectors/mcuboot/keys/{name}")))
        .collect()
}
