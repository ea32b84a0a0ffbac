//! What images are checked with.

use core::hint::black_box;

use updraft_image::Verifier;

/// Keys lie in flash; which they are is not for the compiler to know.
static KEY: [u8; KEY_LEN] = [0; KEY_LEN];
#[cfg(not(any(feature = "rsa", feature = "enc-rsa")))]
const KEY_LEN: usize = 91;
/// With room for the largest key there is.
#[cfg(any(feature = "rsa", feature = "enc-rsa"))]
const KEY_LEN: usize = 1200;

#[cfg(any(feature = "ecdsa-p256", feature = "ecdsa-p384", feature = "ed25519", feature = "rsa"))]
fn signatures() -> impl Verifier {
    use updraft_image::{PublicKey, Software};
    struct Parsed<'k>(Option<PublicKey<'k>>);
    impl Verifier for Parsed<'_> {
        type Pure = <Software<'static> as Verifier>::Pure;

        fn demands_signature(&self) -> bool {
            true
        }

        fn key(&self, index: usize) -> Option<PublicKey<'_>> {
            self.0.filter(|_| index == 0)
        }

        fn verify(
            &mut self,
            _: usize,
            digest: &updraft_image::Digest,
            signature: &[u8],
        ) -> updraft_image::Decision {
            let Some(key) = self.0 else { return updraft_image::Decision::NO };
            Software::new(&[key]).verify(0, digest, signature)
        }

        fn verify_pure(&mut self, _: usize, signature: &[u8; 64]) -> Option<Self::Pure> {
            Software::new(&[self.0?]).verify_pure(0, signature)
        }
    }
    Parsed(PublicKey::from_der(black_box(&KEY)).ok())
}

#[cfg(not(any(
    feature = "ecdsa-p256",
    feature = "ecdsa-p384",
    feature = "ed25519",
    feature = "rsa"
)))]
fn signatures() -> impl Verifier {
    black_box(&KEY);
    updraft_image::HashOnly
}

#[cfg(not(any(
    feature = "enc-kw",
    feature = "enc-p256",
    feature = "enc-rsa",
    feature = "enc-x25519"
)))]
pub fn verifier() -> impl Verifier {
    signatures()
}

#[cfg(any(feature = "enc-x25519", feature = "enc-p256"))]
pub fn verifier() -> impl Verifier {
    use updraft_image::{KeyLength, WithPrivateKey};
    #[cfg(feature = "enc-x25519")]
    type Key = updraft_image::encryption::EciesX25519;
    #[cfg(not(feature = "enc-x25519"))]
    type Key = updraft_image::encryption::EciesP256;
    let Ok(key) = Key::from_pkcs8(black_box(&KEY), KeyLength::Aes128) else { loop {} };
    WithPrivateKey::new(signatures(), key)
}

#[cfg(feature = "enc-kw")]
pub fn verifier() -> impl Verifier {
    use updraft_image::WithPrivateKey;
    use updraft_image::encryption::AesKeyWrap;
    let wrapping = black_box(&KEY).first_chunk::<16>();
    let Some(key) = wrapping.and_then(|key| AesKeyWrap::from_slice(key)) else { loop {} };
    WithPrivateKey::new(signatures(), key)
}

#[cfg(feature = "enc-rsa")]
pub fn verifier() -> impl Verifier {
    use updraft_image::encryption::RsaOaep;
    use updraft_image::{KeyLength, WithPrivateKey};
    let Ok(key) = RsaOaep::from_pkcs1(black_box(&KEY), KeyLength::Aes128) else { loop {} };
    WithPrivateKey::new(signatures(), key)
}
