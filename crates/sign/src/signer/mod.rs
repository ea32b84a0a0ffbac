//! Making an image: header, body, protected TLVs, hash, key, signature, and padding.

mod error;
mod padding;
mod streamed;
mod tlvs;

use updraft_image::{BodyCipher, Digest, Flags, HashKind, Header, Scheme, TlvKind, TlvType};

use self::padding::{check_size, too_large};
use crate::hex::Segment;
use crate::options::{KeyFormat, Placement, SignOptions};
use crate::signing::SigningKey;
use crate::{Compression, Encryption, KeyError, KeyKind, PublicKey};

pub use error::SignError;
pub use padding::{pad, segments};
pub use streamed::{StreamError, Written, sign_stream};

/// Bytes that the TLVs of most images fit in, so that an image is not moved for them.
const TLVS: usize = 4096;

/// Who signs an image.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'k> {
    /// Nobody: it has a hash only.
    Nobody,
    /// This key.
    Key(&'k dyn SigningKey),
    /// Somebody else has signed it: what [`to_be_signed`] says, with the private half of `key`.
    /// Whether that is so is not checked here.
    Elsewhere {
        /// The key.
        key: &'k PublicKey,
        /// Its signature, as the TLV carries it.
        signature: &'k [u8],
    },
}

impl<'k> Signer<'k> {
    /// The key that the image names.
    fn public(self) -> Option<&'k PublicKey> {
        match self {
            Self::Nobody => None,
            Self::Key(key) => Some(key.public()),
            Self::Elsewhere { key, .. } => Some(key),
        }
    }
}

impl<'k> From<Option<&'k dyn SigningKey>> for Signer<'k> {
    fn from(key: Option<&'k dyn SigningKey>) -> Self {
        key.map_or(Self::Nobody, Self::Key)
    }
}

/// An image without its padding, and what it came about with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedImage {
    /// The image: header, body and TLVs.
    pub image: Vec<u8>,
    /// The signature, if it is signed.
    pub signature: Option<Vec<u8>>,
    /// Bytes of the body compressed and before, if compressing was tried: smaller or not.
    pub compressed: Option<(usize, usize)>,
}

/// What is signed when somebody else signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToBeSigned {
    /// Header, body and protected TLVs.
    pub payload: Vec<u8>,
    /// Its hash.
    pub digest: Digest,
}

/// Makes an image of `input`, signed with `key`, or with its hash alone without.
///
/// With [`SignOptions::compression`] the image is compressed if that makes it smaller; its flags
/// tell. Not compressed it has to fit as well, as that is how it ends up in the primary slot.
///
/// With [`SignOptions::encryption`] it is encrypted with a fresh key, so that no two files are the
/// same; hash and signature are those of the plaintext and do not change. An image that does not
/// get smaller by compression is encrypted all the same; imgtool leaves it flagged and plain.
pub fn sign(
    input: &[u8],
    options: &SignOptions,
    key: Option<&dyn SigningKey>,
) -> Result<Vec<u8>, SignError> {
    let mut image = make(input, options, key.into())?.image;
    pad(&mut image, options)?;
    Ok(image)
}

/// Makes an image that lies at `address`, for a programmer, see [`segments`].
pub fn sign_to_segments(
    input: &[u8],
    options: &SignOptions,
    key: Option<&dyn SigningKey>,
    address: u32,
) -> Result<Vec<Segment>, SignError> {
    segments(make(input, options, key.into())?.image, options, address)
}

/// Makes an image as [`sign`] does, without its padding.
pub fn make(
    input: &[u8],
    options: &SignOptions,
    signer: Signer<'_>,
) -> Result<SignedImage, SignError> {
    let maker = Maker::new(options, signer)?;
    let input = with_room_for_header(input, options)?;
    let Some(kind) = options.compression else {
        let plain = maker.make(input, None, true)?;
        check_size(plain.image.len(), options)?;
        return Ok(SignedImage {
            image: plain.image,
            signature: plain.signature,
            compressed: None,
        });
    };
    let plain = maker.make(input.clone(), None, false)?;
    check_size(plain.image.len(), options)?;
    let body = input.len() - usize::from(maker.header_size);
    let (sizes, packed) = match maker.compress(&input, &plain, kind)? {
        (len, Some(packed)) => ((len, body), packed),
        (len, None) if options.encryption.is_some() => {
            ((len, body), maker.make(input, None, true)?)
        }
        (len, None) => ((len, body), plain),
    };
    check_size(packed.image.len(), options)?;
    let Made { image, signature, .. } = packed;
    Ok(SignedImage { image, signature, compressed: Some(sizes) })
}

/// What the holder of a key, `key` if it is known, has to sign so that [`make`] with the same
/// options and [`Signer::Elsewhere`] makes a valid image: RSA and ECDSA the payload, hashed by
/// whoever signs, Ed25519 the digest, or the payload if the signature is to be pure.
pub fn to_be_signed(
    input: &[u8],
    options: &SignOptions,
    key: Option<&PublicKey>,
) -> Result<ToBeSigned, SignError> {
    let hash = match key {
        // The key is not there yet, and the image does not go without.
        None => options.hash.unwrap_or_default(),
        Some(key) => hash_elsewhere(options, key)?,
    };
    let maker = Maker { key, ..Maker::with_hash(options, Signer::Nobody, hash)? };
    if options.compression.is_some() {
        return Err(SignError::CompressedElsewhere);
    }
    let (_, payload) = maker.payload(with_room_for_header(input, options)?, None, true)?;
    Ok(ToBeSigned { digest: Digest::of(hash, &payload), payload })
}

/// What all images of one signing have in common.
struct Maker<'o> {
    options: &'o SignOptions,
    signer: Signer<'o>,
    key: Option<&'o PublicKey>,
    header_size: u16,
    hash: HashKind,
}

/// TLVs, and the signature among them.
type Signed = (Vec<(TlvType, Vec<u8>)>, Option<Vec<u8>>);

/// An image, and what its hash and signature are.
struct Made {
    image: Vec<u8>,
    hash: Digest,
    signature: Option<Vec<u8>>,
}

impl<'o> Maker<'o> {
    fn new(options: &'o SignOptions, signer: Signer<'o>) -> Result<Self, SignError> {
        let key = signer.public();
        let hash = match signer {
            Signer::Elsewhere { key, .. } => hash_elsewhere(options, key)?,
            _ => hash_kind(options, key)?,
        };
        if options.compression.is_some() && matches!(signer, Signer::Elsewhere { .. }) {
            return Err(SignError::CompressedElsewhere);
        }
        Self::with_hash(options, signer, hash)
    }

    fn with_hash(
        options: &'o SignOptions,
        signer: Signer<'o>,
        hash: HashKind,
    ) -> Result<Self, SignError> {
        let header_size = u16::try_from(options.header_size)
            .ok()
            .filter(|size| usize::from(*size) >= Header::SIZE)
            .ok_or(SignError::HeaderSize(options.header_size))?;
        if !options.aligns_are_possible() {
            let (align, max_align) = (options.align, options.trailer_align());
            return Err(SignError::Align { align, max_align });
        }
        Ok(Self { options, signer, key: signer.public(), header_size, hash })
    }

    /// The header of an image with a body of that length, and the TLVs behind the body that the
    /// hash covers.
    fn frame(&self, body: usize, packed: Option<&Packed>) -> Result<(Header, Vec<u8>), SignError> {
        let Self { options, key, header_size, hash, .. } = *self;
        let packed_tlvs = packed.map_or(&[][..], |packed| &packed.tlvs);
        let protected = tlvs::protected(options, hash, key, packed_tlvs)?;
        let too_large = |_| too_large(body.saturating_add(header_size.into()), options);
        let header = Header {
            load_addr: match options.placement {
                Placement::Anywhere => 0,
                Placement::RamLoad(0) | Placement::RomFixed(0) => {
                    return Err(SignError::ZeroAddress);
                }
                Placement::RamLoad(address) | Placement::RomFixed(address) => address,
            },
            hdr_size: header_size,
            // An area is no longer than a u16 tells.
            protect_tlv_size: protected.len() as u16,
            img_size: u32::try_from(body).map_err(too_large)?,
            flags: flags(options) | packed.map_or(Flags::default(), |packed| packed.kind.flags()),
            version: options.version,
            pad: 0,
        };
        Ok((header, protected))
    }

    /// What is signed of an image of the input in `image`, which begins with room for the header:
    /// header, body and protected TLVs.
    fn payload(
        &self,
        mut image: Vec<u8>,
        packed: Option<&Packed>,
        sealed: bool,
    ) -> Result<(Header, Vec<u8>), SignError> {
        if self.options.encryption.is_some() && sealed {
            // Whole blocks, as imgtool writes them; the cipher does not need it.
            image.resize(image.len().next_multiple_of(16), 0);
        }
        let (header, protected) =
            self.frame(image.len() - usize::from(self.header_size), packed)?;
        image[..Header::SIZE].copy_from_slice(&tlvs::header(&header, self.options.endian));
        image.extend_from_slice(&protected);
        Ok((header, image))
    }

    /// The TLVs that the hash does not cover, but for that with a content key, and the signature.
    /// What has that hash is `payload`; only signatures of the image itself look at it.
    fn tlvs(&self, digest: &Digest, payload: &[u8]) -> Result<Signed, SignError> {
        let Self { options, hash, .. } = *self;
        let mut tlvs = vec![(hash.tlv(), digest.as_bytes().to_vec())];
        if options.pure {
            tlvs.push((TlvType::SIG_PURE, vec![1]));
        }
        let Some(key) = self.key else { return Ok((tlvs, None)) };
        tlvs.push(match options.key_format {
            KeyFormat::Hash => (TlvType::KEYHASH, key.hash(hash).as_bytes().to_vec()),
            KeyFormat::Full => (TlvType::PUBKEY, key.as_der().to_vec()),
        });
        let scheme = scheme_of(key)?;
        let signature = match self.signer {
            Signer::Key(key) => signature(key, scheme, payload, digest, options)?,
            Signer::Elsewhere { signature, .. } => signature.to_vec(),
            Signer::Nobody => Vec::new(),
        };
        tlvs.push((scheme.tlv(), signature.clone()));
        Ok((tlvs, Some(signature)))
    }

    /// Makes an image of `input`, which begins with room for the header. One that is only there to
    /// be compressed is flagged as encrypted, and not `sealed`.
    fn make(
        &self,
        input: Vec<u8>,
        packed: Option<&Packed>,
        sealed: bool,
    ) -> Result<Made, SignError> {
        let options = self.options;
        let (header, mut image) = self.payload(input, packed, sealed)?;
        let digest = Digest::of(self.hash, &image);
        let (mut tlvs, signature) = self.tlvs(&digest, &image)?;
        if let Some(encryption) = options.encryption.as_ref().filter(|_| sealed) {
            tlvs.push(encrypt(&mut image, &header, encryption)?);
        }
        image.extend_from_slice(&tlvs::area(TlvKind::Unprotected, &tlvs, options.endian)?);
        Ok(Made { image, hash: digest, signature })
    }

    /// Makes the same image, `plain`, with a compressed body; `None` if that saves nothing. Tells
    /// the length of the stream as well.
    ///
    /// imgtool forgets the flag of an image that is never to be booted. The uncompressed image's
    /// hash covers it, so it is kept here.
    fn compress(
        &self,
        input: &[u8],
        plain: &Made,
        kind: Compression,
    ) -> Result<(usize, Option<Made>), SignError> {
        let endian = self.options.endian;
        let (room, body) = input.split_at(self.header_size.into());
        let stream = kind.compress(body).map_err(SignError::Compression)?;
        let size = u32::try_from(body.len()).map_err(|_| too_large(input.len(), self.options))?;
        let mut tlvs = vec![
            (TlvType::DECOMP_SIZE, endian.u32(size).to_vec()),
            (TlvType::DECOMP_SHA, plain.hash.as_bytes().to_vec()),
        ];
        let signature = plain.signature.clone();
        tlvs.extend(signature.map(|signature| (TlvType::DECOMP_SIGNATURE, signature)));
        // imgtool's rule: without the headers of TLVs and stream.
        let payloads = tlvs.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        if stream.len() + payloads >= body.len() {
            return Ok((stream.len(), None));
        }
        let compressed = [room, &Compression::PARAMETERS, &stream].concat();
        if self.options.encryption.is_some() {
            // Encryption pads, and the decoder has to know where the stream ends. It is shorter
            // than the body, whose size is a u32.
            let stored = (compressed.len() - room.len()) as u32;
            tlvs.push((TlvType::COMP_DEC_SIZE, endian.u32(stored).to_vec()));
        }
        let made = self.make(compressed, Some(&Packed { kind, tlvs }), true)?;
        Ok((stream.len(), Some(made)))
    }
}

/// The key's signature of a payload with that digest, filled up if the options say so.
fn signature(
    key: &dyn SigningKey,
    scheme: Scheme,
    payload: &[u8],
    digest: &Digest,
    options: &SignOptions,
) -> Result<Vec<u8>, KeyError> {
    let mut signature =
        if options.pure { key.sign_message(payload)? } else { key.sign_digest(digest)? };
    let padded = match scheme {
        Scheme::EcdsaP256 if options.pad_signature => 72,
        Scheme::EcdsaP384 if options.pad_signature => 103,
        _ => 0,
    };
    signature.resize(signature.len().max(padded), 0);
    Ok(signature)
}

/// Encrypts the body of an image that is complete but for its TLVs, unless it is to be left clear.
/// Returns the TLV with the content key.
fn encrypt(
    image: &mut [u8],
    header: &Header,
    encryption: &Encryption,
) -> Result<(TlvType, Vec<u8>), SignError> {
    let (key, wrapped) = encryption.content_key()?;
    if !encryption.clear {
        let cipher = BodyCipher::new(&key, header);
        // The sizes add up to no more than the image has.
        cipher.map_err(|_| SignError::HeaderSize(header.hdr_size.into()))?.apply(0, image);
    }
    Ok((wrapped.kind(), wrapped.as_bytes().to_vec()))
}

/// What a compressed image has besides its body.
struct Packed {
    kind: Compression,
    tlvs: Vec<(TlvType, Vec<u8>)>,
}

/// What the key signs with.
fn scheme_of(key: &PublicKey) -> Result<Scheme, KeyError> {
    let name = key.kind().with_article();
    key.scheme().ok_or(KeyError::DoesNotSign { name })
}

/// The algorithm: what was asked for, if the key can do that.
fn hash_kind(options: &SignOptions, key: Option<&PublicKey>) -> Result<HashKind, SignError> {
    let scheme = key.map(scheme_of).transpose()?;
    let usual = match (scheme, options.pure) {
        (None, true) => None,
        (None, false) => Some(HashKind::default()),
        (Some(scheme), pure) => scheme.usual_hash(pure),
    };
    let usual = usual.ok_or(SignError::PureNeedsEd25519 { scheme })?;
    let hash = options.hash.unwrap_or(usual);
    match scheme {
        Some(scheme) if scheme.allows(hash, options.pure) => Ok(hash),
        None => Ok(hash),
        Some(_) if options.pure => Err(SignError::PureHash(hash)),
        Some(scheme) => Err(SignError::Hash { scheme, hash }),
    }
}

/// The same, for a key that is not at hand: a hardware module may sign SHA-512 with P-256.
fn hash_elsewhere(options: &SignOptions, key: &PublicKey) -> Result<HashKind, SignError> {
    match options.hash {
        Some(HashKind::Sha512) if key.kind() == KeyKind::EcdsaP256 && !options.pure => {
            Ok(HashKind::Sha512)
        }
        _ => hash_kind(options, Some(key)),
    }
}

/// The input behind a header's worth of bytes, which are the header's padding.
fn with_room_for_header(input: &[u8], options: &SignOptions) -> Result<Vec<u8>, SignError> {
    check_room_for_header(input, options)?;
    let room = if options.pad_header { options.header_size as usize } else { 0 };
    let mut image = Vec::with_capacity(room + input.len() + TLVS);
    image.resize(room, options.erased);
    image.extend_from_slice(input);
    Ok(image)
}

/// Whether the input leaves room for a header if it is to, and is no image yet. The longest header
/// and 32 bytes of the input tell as much as all of it.
fn check_room_for_header(input: &[u8], options: &SignOptions) -> Result<(), SignError> {
    let header_size = options.header_size;
    if options.pad_header {
        return match !options.nested && Header::parse(input).is_ok() {
            true => Err(SignError::AlreadyImage),
            false => Ok(()),
        };
    }
    let Some(header) = input.get(..header_size as usize) else {
        return Err(SignError::ShorterThanHeader { len: input.len(), header_size });
    };
    match header.iter().enumerate().find(|(_, byte)| **byte != 0) {
        None => Ok(()),
        Some(_) if Header::parse(input).is_ok() => Err(SignError::AlreadyImage),
        Some((offset, found)) => {
            Err(SignError::NoRoomForHeader { header_size, offset, found: *found })
        }
    }
}

fn flags(options: &SignOptions) -> Flags {
    let placement = match options.placement {
        Placement::Anywhere => Flags::default(),
        Placement::RamLoad(_) => Flags::RAM_LOAD,
        Placement::RomFixed(_) => Flags::ROM_FIXED,
    };
    let bootable = if options.non_bootable { Flags::NON_BOOTABLE } else { Flags::default() };
    let encryption = options.encryption.as_ref();
    placement | bootable | encryption.map_or(Flags::default(), |it| it.key_length.flag())
}
