//! Whom a networked application trusts and who it is, as bytes that its image carries
//! (`firmware/application/src/network/identity.rs` reads them).

use std::fs;

use crate::variable;

/// Bytes of it, padded with zeros: it can be filled after the build as long as it fits.
const SIZE: usize = 2048;

/// What of a file's DER goes into the image.
type Pick = fn(&[u8]) -> Vec<u8>;

/// What the variables name; nobody is trusted without them.
pub fn bytes() -> Vec<u8> {
    let mut bytes = b"updraft-tls 1\n".to_vec();
    let key: Pick = |der| {
        // PKCS#8 of a P-256 key holds the number behind the only octet string of 32 bytes.
        let at = der.windows(4).position(|window| window == [2, 1, 1, 4]);
        let at = at.unwrap_or_else(|| panic!("UPDRAFT_TLS_KEY is no P-256 key in PKCS#8"));
        der[at + 5..at + 37].to_vec()
    };
    let whole: Pick = <[u8]>::to_vec;
    let parts: [(&str, Pick); 4] = [
        ("UPDRAFT_TLS_CA", whole),
        ("UPDRAFT_TLS_CERT", whole),
        ("UPDRAFT_TLS_KEY", key),
        ("UPDRAFT_TLS_CRL", revoked),
    ];
    for (name, pick) in parts {
        let der = variable(name).map(|path| {
            println!("cargo::rerun-if-changed={path}");
            let pem = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let (_, der) =
                pem_rfc7468::decode_vec(&pem).unwrap_or_else(|error| panic!("{path}: {error}"));
            pick(&der)
        });
        let part = der.unwrap_or_default();
        bytes.extend((part.len() as u16).to_le_bytes());
        bytes.extend(part);
    }
    assert!(bytes.len() <= SIZE, "certificates, key and list do not fit into {SIZE} bytes");
    bytes.resize(SIZE, 0);
    bytes
}

/// The serial numbers of a list of revoked certificates, each behind its length.
fn revoked(list: &[u8]) -> Vec<u8> {
    let unread = "UPDRAFT_TLS_CRL is no list of revoked certificates";
    let mut packed = Vec::new();
    for serial in updraft_x509::serials(list).unwrap_or_else(|_| panic!("{unread}")) {
        let serial = serial.unwrap_or_else(|_| panic!("{unread}"));
        packed.push(u8::try_from(serial.len()).unwrap_or_else(|_| panic!("{unread}")));
        packed.extend(serial);
    }
    packed
}
