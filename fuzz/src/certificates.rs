//! Arbitrary certificates of kits, and lists of revoked ones: the text of a file, and what a block
//! of one holds.
//!
//! Asserts: of a certificate that is read, something can be said; a list that is gone on with has
//! all that it had, and is read again.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use der::pem::{LineEnding, decode_vec, encode_string};
use updraft_certs::{Authority, Lifetime, certificates, listing};

const LABELS: [&str; 2] = ["CERTIFICATE", "X509 CRL"];

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("fuzz", Lifetime::LIST).expect("an authority"))
}

fn read(text: &str) {
    // 2030.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
    for certificate in certificates(text, now).into_iter().flatten() {
        assert!((1..=3).contains(&certificate.version));
        assert!(!certificate.uses.is_empty(), "it is good for something, if only for anything");
        assert!(certificate.concerns.iter().all(|concern| !concern.remedy().is_empty()));
    }
    // A line of a string for each, a line that names the file, and an empty one.
    assert!(listing("a.crt", text).lines().count() >= text.lines().count());
    let authority = authority();
    let _ = authority.revoke(None, &[text], Lifetime::LIST);
    if let Ok(list) = authority.revoke(Some(text), &[], Lifetime::LIST) {
        let again = authority.revoke(Some(&list.list), &[], Lifetime::LIST);
        assert_eq!(again.expect("a list that was written is read").total, list.total);
    }
    let _ = Authority::from_pem(text, text);
}

/// Takes one input.
pub fn run(data: &[u8]) {
    read(&String::from_utf8_lossy(data));
    for label in LABELS {
        if let Ok(text) = encode_string(label, LineEnding::LF, data) {
            read(&text);
        }
    }
}

/// Certificates of OpenSSL, of this project and of AWS's signers, and a list; as text, and what
/// their first blocks hold.
pub fn seeds() -> Vec<Vec<u8>> {
    let files = [
        "vectors/ota/listing/ca.crt",
        "vectors/ota/listing/both.pem",
        "vectors/ota/aws-codesign.crt",
        "crates/certs/tests/openssl-p256.crt",
    ];
    let mut texts: Vec<_> = files.iter().map(|file| crate::repository_file(file)).collect();
    let own = authority().to_pem().expect("a certificate that can be written").certificate;
    let list = authority().revoke(None, &[&own], Lifetime::LIST).expect("a list").list;
    texts.extend([own.into_bytes(), list.into_bytes()]);
    let mut seeds = vec![crate::repository_file("vectors/x509/server.der")];
    seeds.extend(texts.iter().filter_map(|text| decode_vec(text).ok()).map(|(_, der)| der));
    seeds.extend(texts);
    seeds
}
