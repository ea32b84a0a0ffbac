//! An encrypted image, read as plaintext.

use crate::{BodyCipher, ContentKey, Header, KeyUnwrap, Refusal, Source, WrappedKey};

/// A source that gives the plaintext of the image in another one, so that
/// [`validate`](crate::validate) hashes what the hash is over. An image without the flag is given
/// as it is.
#[derive(Debug)]
pub struct Decrypted<S> {
    source: S,
    cipher: Option<BodyCipher>,
}

impl<S: Source> Decrypted<S> {
    /// The image in `source` whose header is `header`, read with the content key that `unwrap`
    /// finds in it.
    pub fn open<U: KeyUnwrap + ?Sized>(
        mut source: S,
        header: &Header,
        unwrap: &mut U,
    ) -> Result<Self, Refusal<S::Error>> {
        let key = match WrappedKey::find(&mut source, header, unwrap.format())? {
            Some(wrapped) => Some(wrapped.unwrap(unwrap).map_err(Refusal::ContentKey)?),
            None => None,
        };
        Self::with_key(source, header, key.as_ref())
    }

    /// The same with a key that is known already; without one, the image as it is.
    pub fn with_key(
        source: S,
        header: &Header,
        key: Option<&ContentKey>,
    ) -> Result<Self, Refusal<S::Error>> {
        let cipher = key.map(|key| BodyCipher::new(key, header)).transpose();
        Ok(Self { source, cipher: cipher.map_err(Refusal::Header)? })
    }

    /// What it reads from.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }
}

impl<S: Source> Source for Decrypted<S> {
    type Error = S::Error;

    fn size(&self) -> u32 {
        self.source.size()
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), S::Error> {
        self.source.read(offset, buf)?;
        if let Some(cipher) = &self.cipher {
            cipher.apply(offset, buf);
        }
        Ok(())
    }
}

/// The output of a decompressed image is plaintext wherever it is kept.
#[cfg(feature = "compression")]
impl<W: crate::Window> crate::Window for Decrypted<W> {
    fn reach(&self) -> u32 {
        self.source.reach()
    }

    fn look_back(&mut self, at: u32, buf: &mut [u8]) -> Result<(), W::Error> {
        self.source.look_back(at, buf)
    }

    fn keep(&mut self, at: u32, bytes: &[u8]) -> Result<(), W::Error> {
        self.source.keep(at, bytes)
    }
}
