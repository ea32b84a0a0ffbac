//! Making an image: header, body, protected TLVs, hash, key, signature, and padding.

use updraft_image::{
    BodyCipher, Digest, Flag, Flags, HashKind, Header, Scheme, TlvKind, TlvType, TlvWriter,
    TrailerLayout, UpgradeMode, magic_bytes,
};

use crate::boot_record::boot_record;
use crate::hex::Segment;
use crate::options::{CustomTlvError, KeyFormat, Padding, Placement, SignOptions};
use crate::{Compression, EncryptError, Encryption, Key, KeyError};

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The header size is none.
    #[error("a header of {0} bytes: it takes 32 to 65535")]
    HeaderSize(u32),
    /// The alignments are none that trailers can have.
    #[error(
        "alignment {align} in a trailer aligned to {max_align}: alignments are 1 to 32, trailers \
         are aligned to 8, 16 or 32, and to no less than the alignment"
    )]
    Align {
        /// Bytes of a status record.
        align: u32,
        /// Spacing of the trailer's fields.
        max_align: u32,
    },
    /// The slot does not end where trailers can.
    #[error(
        "a slot of {slot} bytes is no multiple of {max_align}: {} over", slot % max_align
    )]
    SlotAlign {
        /// Bytes of the slot.
        slot: u32,
        /// Spacing of the trailer's fields.
        max_align: u32,
    },
    /// The image does not lie below 4 GiB.
    #[error("{len:#x} bytes from {address:#x} on end past 4 GiB")]
    Address {
        /// Where the image begins.
        address: u32,
        /// Bytes from there to its end, or to the end of the slot if it is padded.
        len: u64,
    },
    /// The input does not begin with room for the header.
    #[error(
        "the input does not begin with {header_size} zeros for the header: at offset \
         {offset:#x} is {found:#04x}"
    )]
    NoRoomForHeader {
        /// Bytes of the header.
        header_size: u32,
        /// Where the first other byte is.
        offset: usize,
        /// What is there.
        found: u8,
    },
    /// The input is shorter than the header that it should begin with.
    #[error("the input has {len} bytes, fewer than the {header_size} of the header")]
    ShorterThanHeader {
        /// Bytes of the input.
        len: usize,
        /// Bytes of the header.
        header_size: u32,
    },
    /// The input already is an image.
    #[error("the input is an image already: it begins with an image header")]
    AlreadyImage,
    /// Image and trailer do not fit in the slot.
    #[error(
        "the image does not fit: {image} bytes + trailer {trailer} = {total} bytes, the slot has \
         {slot}: {over} too many", total = image + trailer, over = image + trailer - slot
    )]
    TooLarge {
        /// Bytes of the image with all TLVs.
        image: u64,
        /// Bytes of the trailer.
        trailer: u64,
        /// Bytes of the slot.
        slot: u64,
    },
    /// The image fits in the slot, but the bootloader cannot exchange images of that size.
    #[error(
        "the image has {image} bytes, the bootloader takes at most {max}: {over} too many",
        over = image - max
    )]
    TooLargeForMode {
        /// Bytes of the image with all TLVs.
        image: u64,
        /// The largest image.
        max: u64,
    },
    /// The key cannot sign with that hash.
    #[error("{scheme} does not sign {} hashes", .hash.tlv())]
    Hash {
        /// What the key signs with.
        scheme: Scheme,
        /// The hash asked for.
        hash: HashKind,
    },
    /// A signature over the image itself needs an Ed25519 key.
    #[error("only Ed25519 signs the image itself, and the key is {}",
        .scheme.map_or("missing".into(), |scheme| scheme.to_string()))]
    PureNeedsEd25519 {
        /// What the key signs with.
        scheme: Option<Scheme>,
    },
    /// A hash was asked for where there is no choice.
    #[error("a signature over the image itself goes with SHA-512, not with {}", .0.tlv())]
    PureHash(HashKind),
    /// A name in attestation tokens is too long.
    #[error("the boot record name `{0}` has more than 12 characters")]
    BootRecord(String),
    /// A custom TLV cannot be added.
    #[error(transparent)]
    CustomTlv(#[from] CustomTlvError),
    /// The protected TLVs are too many.
    #[error("the protected TLVs take more than 65535 bytes")]
    TooManyTlvs,
    /// An address of 0 means none in this format.
    #[error("address 0 stands for no address in an image header")]
    ZeroAddress,
    /// liblzma has failed.
    #[error("the body cannot be compressed: {0}")]
    Compression(String),
    /// The image cannot be encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptError),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SignError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::HeaderSize(_) => {
                "the header size is where the build puts the vector table, often 0x200"
            }
            Self::Align { .. } => "--align is the write size of the slot's flash",
            Self::SlotAlign { .. } => {
                "the bootloader counts the trailer's fields in steps of --max-align: give the \
                 slot's real size"
            }
            Self::Address { .. } => "give the address of the slot",
            Self::NoRoomForHeader { .. } | Self::ShorterThanHeader { .. } => {
                "--pad-header puts the header in front of the input; without it the build has to \
                 leave room (Zephyr: CONFIG_ROM_START_OFFSET)"
            }
            Self::AlreadyImage => "sign the build's output, not a signed image",
            Self::TooLarge { .. } => {
                "make the image smaller, or the slot larger; --max-sectors and --align decide how \
                 long the trailer is"
            }
            Self::TooLargeForMode { .. } => {
                "make the image smaller, or choose a mode that needs fewer spare sectors"
            }
            Self::Hash { .. } => "leave --sha out: the key decides",
            Self::PureNeedsEd25519 { .. } => "make one with `updraft key new --type ed25519`",
            Self::PureHash(_) => "leave --sha out",
            Self::BootRecord(_) => "choose a shorter name",
            Self::CustomTlv(_) => "see `updraft image sign --help`",
            Self::TooManyTlvs => "give fewer or shorter --custom-tlv",
            Self::ZeroAddress => "leave the address out",
            Self::Compression(_) => "leave --compression out",
            Self::Encryption(error) => error.remedy(),
            Self::Key(error) => error.remedy(),
        }
    }
}

/// Makes an image of `input`, signed with `key`, or with its hash alone without.
///
/// With [`SignOptions::compression`] the image is compressed if that makes it smaller; its flags
/// tell. Not compressed it has to fit as well, as that is how it ends up in the primary slot.
///
/// With [`SignOptions::encryption`] it is encrypted with a fresh key, so that no two files are the
/// same; hash and signature are those of the plaintext and do not change. An image that does not
/// get smaller by compression is encrypted all the same; imgtool leaves it flagged and plain.
pub fn sign(input: &[u8], options: &SignOptions, key: Option<&Key>) -> Result<Vec<u8>, SignError> {
    let header_size = u16::try_from(options.header_size)
        .ok()
        .filter(|size| usize::from(*size) >= Header::SIZE)
        .ok_or(SignError::HeaderSize(options.header_size))?;
    if !options.aligns_are_possible() {
        let (align, max_align) = (options.align, options.trailer_align());
        return Err(SignError::Align { align, max_align });
    }
    let maker = Maker { options, key, header_size, hash: hash_kind(options, key)? };
    let input = with_room_for_header(input, options)?;
    let plain = maker.make(&input, None, options.compression.is_none())?;
    check_size(plain.image.len(), options)?;
    let compressed = match options.compression {
        Some(kind) => maker.compress(&input, &plain, kind)?,
        None => None,
    };
    let mut image =
        match (compressed, options.compression.is_some() && options.encryption.is_some()) {
            (Some(compressed), _) => compressed.image,
            (None, true) => maker.make(&input, None, true)?.image,
            (None, false) => plain.image,
        };
    check_size(image.len(), options)?;
    pad(&mut image, options)?;
    Ok(image)
}

/// What all images of one signing have in common.
struct Maker<'o> {
    options: &'o SignOptions,
    key: Option<&'o Key>,
    header_size: u16,
    hash: HashKind,
}

/// An image, and what its hash and signature are.
struct Made {
    image: Vec<u8>,
    hash: Digest,
    signature: Option<Vec<u8>>,
}

impl Maker<'_> {
    /// Makes an image of `input`, which begins with room for the header. One that is only there to
    /// be compressed is flagged as encrypted, and not `sealed`.
    fn make(&self, input: &[u8], packed: Option<&Packed>, sealed: bool) -> Result<Made, SignError> {
        let Self { options, key, header_size, hash } = *self;
        let encryption = options.encryption.as_ref();
        let mut image = input.to_vec();
        if encryption.is_some() && sealed {
            // Whole blocks, as imgtool writes them; the cipher does not need it.
            image.resize(image.len().next_multiple_of(16), 0);
        }
        let body = image.len() - usize::from(header_size);
        let protected = protected_tlvs(options, hash, key, packed)?;
        let header = Header {
            load_addr: match options.placement {
                Placement::Anywhere => 0,
                Placement::RamLoad(0) | Placement::RomFixed(0) => {
                    return Err(SignError::ZeroAddress);
                }
                Placement::RamLoad(address) | Placement::RomFixed(address) => address,
            },
            hdr_size: header_size,
            // `protected_tlvs` keeps the length within u16.
            protect_tlv_size: protected.len() as u16,
            img_size: u32::try_from(body).map_err(|_| too_large(image.len(), options))?,
            flags: flags(options) | packed.map_or(Flags::default(), |packed| packed.kind.flags()),
            version: options.version,
            pad: 0,
        };
        image[..Header::SIZE].copy_from_slice(&header.emit());
        image.extend_from_slice(&protected);

        let digest = Digest::of(hash, &image);
        let mut tlvs = vec![(hash.tlv(), digest.as_bytes().to_vec())];
        if options.pure {
            tlvs.push((TlvType::SIG_PURE, vec![1]));
        }
        let mut made = None;
        if let Some(key) = key {
            tlvs.push(match options.key_format {
                KeyFormat::Hash => (TlvType::KEYHASH, key.public().hash(hash).as_bytes().to_vec()),
                KeyFormat::Full => (TlvType::PUBKEY, key.public().as_der().to_vec()),
            });
            let mut signature =
                if options.pure { key.sign_message(&image)? } else { key.sign_digest(&digest)? };
            let scheme = scheme_of(key)?;
            let padded = match scheme {
                Scheme::EcdsaP256 if options.pad_signature => 72,
                Scheme::EcdsaP384 if options.pad_signature => 103,
                _ => 0,
            };
            signature.resize(signature.len().max(padded), 0);
            made = Some(signature.clone());
            tlvs.push((scheme.tlv(), signature));
        }
        if let Some(encryption) = encryption.filter(|_| sealed) {
            tlvs.push(encrypt(&mut image, &header, encryption)?);
        }
        image.extend_from_slice(&area(TlvKind::Unprotected, &tlvs)?);
        Ok(Made { image, hash: digest, signature: made })
    }

    /// Makes the same image, `plain`, with a compressed body; `None` if that saves nothing.
    ///
    /// imgtool forgets the flag of an image that is never to be booted. The uncompressed image's
    /// hash covers it, so it is kept here.
    fn compress(
        &self,
        input: &[u8],
        plain: &Made,
        kind: Compression,
    ) -> Result<Option<Made>, SignError> {
        let (room, body) = input.split_at(self.header_size.into());
        let stream = kind.compress(body).map_err(SignError::Compression)?;
        let size = u32::try_from(body.len()).map_err(|_| too_large(input.len(), self.options))?;
        let mut tlvs = vec![
            (TlvType::DECOMP_SIZE, size.to_le_bytes().to_vec()),
            (TlvType::DECOMP_SHA, plain.hash.as_bytes().to_vec()),
        ];
        let signature = plain.signature.clone();
        tlvs.extend(signature.map(|signature| (TlvType::DECOMP_SIGNATURE, signature)));
        // imgtool's rule: without the headers of TLVs and stream.
        let payloads = tlvs.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        if stream.len() + payloads >= body.len() {
            return Ok(None);
        }
        let compressed = [room, &Compression::PARAMETERS, &stream].concat();
        if self.options.encryption.is_some() {
            // Encryption pads, and the decoder has to know where the stream ends. It is shorter
            // than the body, whose size is a u32.
            let stored = (compressed.len() - room.len()) as u32;
            tlvs.push((TlvType::COMP_DEC_SIZE, stored.to_le_bytes().to_vec()));
        }
        self.make(&compressed, Some(&Packed { kind, tlvs }), true).map(Some)
    }
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

/// Makes an image that lies at `address`, for a programmer, see [`segments`].
pub fn sign_to_segments(
    input: &[u8],
    options: &SignOptions,
    key: Option<&Key>,
    address: u32,
) -> Result<Vec<Segment>, SignError> {
    let unpadded = SignOptions { padding: Padding::None, ..options.clone() };
    segments(sign(input, &unpadded, key)?, options, address)
}

/// What a programmer writes of an unpadded `image` that lies at `address`: the image, and of its
/// padding only what is not erased flash, the image_ok flag and the magic.
pub fn segments(
    image: Vec<u8>,
    options: &SignOptions,
    address: u32,
) -> Result<Vec<Segment>, SignError> {
    let padded = options.padding != Padding::None;
    let len = if padded { options.slot_size.into() } else { image.len() as u64 };
    if u64::from(address) + len > 1 << 32 {
        return Err(SignError::Address { address, len });
    }
    let mut segments = vec![Segment { address, bytes: image }];
    if padded {
        let trailer = trailer(options)?;
        if is_confirmed(options) {
            let mut bytes = vec![options.erased; trailer.max_align() as usize];
            bytes[0] = Flag::SET;
            segments.push(Segment { address: address + trailer.image_ok(), bytes });
        }
        let bytes = magic_bytes(trailer.max_align()).to_vec();
        segments.push(Segment { address: address + trailer.magic(), bytes });
    }
    Ok(segments)
}

/// Nothing reads image_ok where nothing is ever swapped back.
fn is_confirmed(options: &SignOptions) -> bool {
    options.padding == Padding::Confirmed && options.mode != UpgradeMode::OverwriteOnly
}

/// What the key signs with.
fn scheme_of(key: &Key) -> Result<Scheme, KeyError> {
    let name = key.kind().with_article();
    key.scheme().ok_or(KeyError::DoesNotSign { name })
}

/// The algorithm: what was asked for, if the key can do that.
fn hash_kind(options: &SignOptions, key: Option<&Key>) -> Result<HashKind, SignError> {
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

/// The input behind a header's worth of bytes, which are the header's padding.
fn with_room_for_header(input: &[u8], options: &SignOptions) -> Result<Vec<u8>, SignError> {
    let header_size = options.header_size;
    let room = header_size as usize;
    if options.pad_header {
        if Header::parse(input).is_ok() {
            return Err(SignError::AlreadyImage);
        }
        let mut image = vec![options.erased; room];
        image.extend_from_slice(input);
        return Ok(image);
    }
    let Some(header) = input.get(..room) else {
        return Err(SignError::ShorterThanHeader { len: input.len(), header_size });
    };
    match header.iter().enumerate().find(|(_, byte)| **byte != 0) {
        None => Ok(input.to_vec()),
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

/// The protected area; empty if there is nothing to put in.
fn protected_tlvs(
    options: &SignOptions,
    hash: HashKind,
    key: Option<&Key>,
    packed: Option<&Packed>,
) -> Result<Vec<u8>, SignError> {
    let mut tlvs = Vec::new();
    if let Some(counter) = options.security_counter {
        let value = counter.value(options.version).to_le_bytes();
        tlvs.push((TlvType::SEC_CNT, value.to_vec()));
    }
    if let Some(sw_type) = &options.boot_record {
        if sw_type.chars().count() > 12 {
            return Err(SignError::BootRecord(sw_type.clone()));
        }
        let signer = key.map(|key| key.public().hash(hash));
        let record = boot_record(sw_type, options.version, hash, signer.as_ref());
        tlvs.push((TlvType::BOOT_RECORD, record));
    }
    let dependencies = options.dependencies.iter();
    tlvs.extend(dependencies.map(|one| (TlvType::DEPENDENCY, one.to_bytes().to_vec())));
    tlvs.extend(packed.iter().flat_map(|packed| packed.tlvs.iter().cloned()));
    tlvs.extend(options.vendor_id.map(|id| (TlvType::UUID_VID, id.to_vec())));
    tlvs.extend(options.class_id.map(|id| (TlvType::UUID_CID, id.to_vec())));
    for (at, (kind, payload)) in options.custom_tlvs.iter().enumerate() {
        if !kind.is_custom() {
            return Err(CustomTlvError::Type(kind.0).into());
        }
        if options.custom_tlvs[..at].iter().any(|(before, _)| before == kind) {
            return Err(CustomTlvError::Twice(kind.0).into());
        }
        if u16::try_from(payload.len()).is_err() {
            return Err(CustomTlvError::Length(payload.len()).into());
        }
        tlvs.push((*kind, payload.clone()));
    }
    match tlvs.is_empty() {
        true => Ok(Vec::new()),
        false => area(TlvKind::Protected, &tlvs),
    }
}

fn area(kind: TlvKind, tlvs: &[(TlvType, Vec<u8>)]) -> Result<Vec<u8>, SignError> {
    let len = tlvs.iter().fold(4, |len, (_, payload)| len + 4 + payload.len());
    let mut buf = vec![0; len];
    let mut writer = TlvWriter::new(kind, &mut buf).ok_or(SignError::TooManyTlvs)?;
    for (kind, payload) in tlvs {
        writer.push(*kind, payload).ok_or(SignError::TooManyTlvs)?;
    }
    Ok(writer.finish().to_vec())
}

fn too_large(image: usize, options: &SignOptions) -> SignError {
    let (trailer, slot) = (options.trailer_size(), options.slot_size.into());
    SignError::TooLarge { image: image as u64, trailer, slot }
}

fn check_size(len: usize, options: &SignOptions) -> Result<(), SignError> {
    let image = len as u64;
    if image + options.trailer_size() > options.slot_size.into() {
        return Err(too_large(len, options));
    }
    match options.max_image.map(u64::from) {
        Some(max) if image > max => Err(SignError::TooLargeForMode { image, max }),
        _ => Ok(()),
    }
}

/// Fills an `image` that was made with `options` but without padding up to the slot, and writes
/// the trailer, if the options say so.
pub fn pad(image: &mut Vec<u8>, options: &SignOptions) -> Result<(), SignError> {
    if options.padding == Padding::None {
        return Ok(());
    }
    check_size(image.len(), options)?;
    let trailer = trailer(options)?;
    image.resize(trailer.slot_size() as usize, options.erased);
    image[trailer.magic() as usize..].copy_from_slice(&magic_bytes(trailer.max_align()));
    if is_confirmed(options) {
        image[trailer.image_ok() as usize] = Flag::SET;
    }
    Ok(())
}

/// Where the bootloader looks for what padding writes.
fn trailer(options: &SignOptions) -> Result<TrailerLayout, SignError> {
    let (slot, max_align) = (options.slot_size, options.trailer_align());
    if !slot.is_multiple_of(max_align) {
        return Err(SignError::SlotAlign { slot, max_align });
    }
    // Fields that padding writes are where they are in every mode; overwrite-only has the fewest.
    TrailerLayout::new(slot, UpgradeMode::OverwriteOnly, 0, 1, max_align)
        .ok_or(SignError::Align { align: options.align, max_align })
}
