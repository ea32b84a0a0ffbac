//! The body's cipher of a build without one.

use crate::{ContentKey, Header, HeaderError, KeyLength};

/// Encrypts or decrypts the body of one image. In a build without the feature `enc` there is none,
/// as there are no keys: nothing that would need one is linked.
#[derive(Debug)]
pub struct BodyCipher(KeyLength);

impl BodyCipher {
    /// The cipher of the image with `header`, whose content key is `key`.
    #[expect(unreachable_code, reason = "there is no key")]
    pub fn new(key: &ContentKey, _: &Header) -> Result<Self, HeaderError> {
        Ok(Self(key.length()))
    }

    /// Encrypts or decrypts what of the body is in the buffer.
    pub fn apply(&self, _: u32, _: &mut [u8]) {
        match self.0 {}
    }
}
