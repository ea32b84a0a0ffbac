//! Arbitrary text as what a release comes with: a manifest, a bill of materials, the name of a key
//! in a token.
//!
//! Asserts: no manifest is trusted that no key has signed; what a key's name is shown as names the
//! same key, without the PIN.

use updraft_sign::PublicKey;
use updraft_sign::manifest::{Manifest, sbom_hash};
use updraft_sign::signing::TokenUri;

const KEY: &str = "vectors/mcuboot/keys/ed25519.pub.pem";

/// Takes one input.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = sbom_hash(data);
    if let Ok(uri) = TokenUri::parse(&text) {
        let again = TokenUri::parse(&uri.to_string()).expect("a name that was shown is read");
        assert_eq!(again, TokenUri { pin: None, ..uri });
    }
    thread_local! {
        static KEYS: Vec<PublicKey> = {
            let pem = crate::repository_file(KEY);
            vec![PublicKey::from_pem(&String::from_utf8_lossy(&pem)).expect("a key")]
        };
    }
    KEYS.with(|keys| assert!(Manifest::open(&text, keys).is_err(), "nobody has signed it"));
}

/// A manifest by nobody, bills of materials, and a key's name with everything in it.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"e30=\",\"signatures\":[{\
         \"keyid\":\"\",\"sig\":\"AAAA\"}]}",
        "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\"}",
        "<?xml version=\"1.0\"?><bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\"/>",
        "pkcs11:token=a%20b;serial=1;model=m;manufacturer=n;slot-id=7;object=o;id=%00%fe;\
         type=private?module-path=/x.so&pin-value=12%2634&pin-source=file:pin",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
