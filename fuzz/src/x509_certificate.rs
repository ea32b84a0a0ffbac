//! A certificate that a server sends. What is believed lies in what was signed.

use updraft_x509::Certificate;

/// Takes one input.
pub fn run(data: &[u8]) {
    let Ok(certificate) = Certificate::parse(data) else { return };
    let signed = certificate.signed();
    assert!(data.windows(signed.len()).any(|window| window == signed));
    assert!(certificate.signature().len() < data.len());
    for name in ["broker.lan", "127.0.0.1", "a.fleet.example", ""] {
        if certificate.fits(&certificate, name).is_ok() {
            assert!(!name.is_empty(), "nobody is called nothing");
        }
    }
}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    // Of a server, self-signed, with an address and two names; made with OpenSSL.
    vec![crate::repository_file("vectors/x509/server.der")]
}
