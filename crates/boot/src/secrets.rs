//! The content keys of encrypted images that change places.
//!
//! Plaintext is nowhere but in the primary slot: what enters it passes through the cipher of the
//! incoming image, what leaves it through that of the outgoing one. The keys are found through the
//! images' headers and TLVs, which a swap takes apart; so both are saved with the record of the
//! swap, and found there again after a power cut. Source: MCUboot `docs/encrypted_images.md` and
//! `boot/bootutil/src/encrypted.c`.

use updraft_flash::{FlashMap, TrailerAccess};
use updraft_image::{
    BodyCipher, Header, KeyLength, KeySlot, KeyUnwrap, Refusal, SavedKey, Source, TrailerKeys,
    Verifier, WrappedKey,
};

use crate::outcome::Step;
use crate::slots::Slot;
use crate::{BootError, Place, Slots};

/// The key of one image that is encrypted.
#[derive(Debug)]
struct Secret {
    cipher: BodyCipher,
    /// What a trailer keeps of it, if it keeps keys.
    saved: Option<SavedKey>,
}

/// Whether this build knows any content keys. Without, there are no secrets, and nothing is linked
/// that would find or keep some.
pub(crate) const KNOWN: bool = !KeyLength::ALL.is_empty();

/// The content keys of the two images that an installation deals with. Wiped when dropped.
#[derive(Debug, Default)]
pub struct Secrets {
    outgoing: Option<Secret>,
    incoming: Option<Secret>,
}

/// What happens to the bytes of an image while they are copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Through<'c> {
    cipher: Option<&'c BodyCipher>,
    at: u32,
}

impl Through<'_> {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { cipher: None, at: 0 };

    /// The same from `offset` bytes further on.
    pub(crate) fn from(self, offset: u32) -> Self {
        Self { at: self.at.saturating_add(offset), ..self }
    }

    /// Does it to `piece`, which lies `offset` bytes behind the first one copied.
    pub(crate) fn apply(&self, offset: u32, piece: &mut [u8]) {
        if let Some(cipher) = self.cipher {
            cipher.apply(self.at.saturating_add(offset), piece);
        }
    }
}

impl Secret {
    /// The key of the image in `slot`, if it is encrypted.
    fn of_image<M: FlashMap>(
        map: &mut M,
        slot: &Slot,
        key: &mut dyn KeyUnwrap,
    ) -> Result<Option<Self>, Refusal<M::Error>> {
        let header = match slot.header(map) {
            Err(Refusal::Read(error)) => return Err(Refusal::Read(error)),
            Err(_) => return Ok(None),
            Ok(header) => header,
        };
        Self::of_source(&mut slot.source(map), &header, slot.trailer.layout().keys(), key)
    }

    /// The key of the image in `source`, of which `keep` is to be saved.
    fn of_source<E>(
        source: &mut dyn Source<Error = E>,
        header: &Header,
        keep: Option<TrailerKeys>,
        key: &mut dyn KeyUnwrap,
    ) -> Result<Option<Self>, Refusal<E>> {
        let wrapped = WrappedKey::find(source, header, key.format())?;
        let Some(wrapped) = wrapped else { return Ok(None) };
        let content = wrapped.unwrap(key).map_err(Refusal::ContentKey)?;
        let cipher = BodyCipher::new(&content, header).map_err(Refusal::Header)?;
        let saved = keep.map(|keep| keep.save(&wrapped, &content));
        Ok(Some(Self { cipher, saved }))
    }
}

impl Secrets {
    /// Learns the keys of the images in the slots; of the incoming one alone, if the other will not
    /// be kept.
    pub(crate) fn find<M: FlashMap, V: Verifier>(
        &mut self,
        map: &mut M,
        verifier: &mut V,
        slots: &Slots,
        keeps_outgoing: bool,
    ) -> Result<(), Refusal<M::Error>> {
        let Some(key) = verifier.private_key().filter(|_| KNOWN) else { return Ok(()) };
        self.incoming = Secret::of_image(map, &slots.secondary, key)?;
        if keeps_outgoing {
            self.outgoing = Secret::of_image(map, &slots.primary, key)?;
        }
        Ok(())
    }

    /// The key of an image in `source` that is brought in without a record.
    pub(crate) fn of_source<S: Source, V: Verifier>(
        source: &mut S,
        header: &Header,
        verifier: &mut V,
    ) -> Result<Self, Refusal<S::Error>> {
        let Some(key) = verifier.private_key().filter(|_| KNOWN) else {
            return Ok(Self::default());
        };
        let incoming = Secret::of_source(source, header, None, key)?;
        Ok(Self { incoming, ..Self::default() })
    }

    /// The keys that were saved in `trailer` when the swap began. `headers` are the places where
    /// the headers of the outgoing and of the incoming image are now.
    pub(crate) fn of_record<M: FlashMap, V: Verifier>(
        map: &mut M,
        verifier: &mut V,
        trailer: &TrailerAccess,
        headers: [Place; 2],
    ) -> Step<Self, M> {
        let (Some(keep), Some(key)) = (trailer.layout().keys(), verifier.private_key()) else {
            return Ok(Self::default());
        };
        let mut restore = |slot, place: Place| -> Step<Option<Secret>, M> {
            let saved = trailer.read_key(map, slot).map_err(BootError::Flash)?;
            let Some(saved) = saved else { return Ok(None) };
            let content = keep.restore(&saved, key).map_err(BootError::ContentKey)?;
            let mut bytes = [0; Header::SIZE];
            map.read(place.area, place.offset, &mut bytes).map_err(BootError::Flash)?;
            // Without a header nobody knows what of the image is to be encrypted.
            let header = Header::parse(&bytes).map_err(|_| BootError::BadStatus)?;
            let cipher = BodyCipher::new(&content, &header).map_err(|_| BootError::BadStatus)?;
            Ok(Some(Secret { cipher, saved: Some(saved) }))
        };
        let [outgoing, incoming] = headers;
        Ok(Self {
            outgoing: restore(KeySlot::Primary, outgoing)?,
            incoming: restore(KeySlot::Secondary, incoming)?,
        })
    }

    /// What happens to the outgoing image from its offset `at` on when it leaves the primary slot.
    pub(crate) fn outgoing(&self, at: u32) -> Through<'_> {
        Through { cipher: self.outgoing.as_ref().map(|secret| &secret.cipher), at }
    }

    /// What happens to the incoming image from its offset `at` on when it enters the primary slot.
    pub(crate) fn incoming(&self, at: u32) -> Through<'_> {
        Through { cipher: self.incoming.as_ref().map(|secret| &secret.cipher), at }
    }

    fn saved(&self) -> [(KeySlot, Option<&SavedKey>); 2] {
        [(KeySlot::Primary, &self.outgoing), (KeySlot::Secondary, &self.incoming)]
            .map(|(slot, secret)| (slot, secret.as_ref().and_then(|secret| secret.saved.as_ref())))
    }

    /// Saves both keys in `trailer`, where that has room for them.
    pub(crate) fn write<M: FlashMap>(
        &self,
        map: &mut M,
        trailer: &TrailerAccess,
    ) -> Result<(), M::Error> {
        let mut saved = self.saved().into_iter().filter(|_| KNOWN);
        saved.try_for_each(|(slot, key)| trailer.write_key(map, slot, key))
    }

    /// Whether `trailer` has these keys.
    pub(crate) fn are_in<M: FlashMap>(
        &self,
        map: &mut M,
        trailer: &TrailerAccess,
    ) -> Result<bool, M::Error> {
        for (slot, key) in self.saved().into_iter().filter(|_| KNOWN) {
            let saved = trailer.read_key(map, slot)?;
            if saved.as_ref().map(SavedKey::as_bytes) != key.map(SavedKey::as_bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
