//! What a certificate says, and what is wrong with it.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

use crate::CertsError;

pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
pub(crate) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Signatures over MD5 or SHA-1 that are in use.
const WEAK: [(&str, &str); 3] = [
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bits of an RSA key below which peers refuse it.
const FEWEST_BITS: usize = 2048;

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To issue others.
    Authority,
    /// As a server.
    Server,
    /// As a device, or any client.
    Client,
    /// To sign firmware with.
    Signer,
    /// It does not say: everything but issuing.
    Any,
}

/// Something about a certificate that will not work with every peer, or not for long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concern {
    /// X.509 version 1, which has no extensions: what the device kits' scripts made for clients.
    VersionOne,
    /// An address within a name.
    AddressAsName {
        /// The name as it stands there.
        name: String,
        /// The address in it.
        address: IpAddr,
    },
    /// A server without names.
    NoNames,
    /// It is over.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// It is over within a month.
    ExpiresSoon,
    /// A short key.
    ShortKey {
        /// Bits of it.
        bits: usize,
    },
    /// A signature over a hash that is broken.
    WeakSignature {
        /// The hash.
        hash: &'static str,
    },
}

impl Concern {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::VersionOne => "make a new one for the device: `updraft certs device`",
            Self::AddressAsName { .. } | Self::NoNames => {
                "make a new one for the server: `updraft certs lab ADDRESS`"
            }
            Self::Expired | Self::ExpiresSoon => "make a new one",
            Self::NotYetValid => "look at the clock of the one that issued it, and at this one",
            Self::ShortKey { .. } | Self::WeakSignature { .. } => "make a new one, with a new key",
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionOne => f.write_str(
                "X.509 version 1: OpenSSL, mosquitto and mbed TLS take it, rustls and other strict \
                 peers do not",
            ),
            Self::AddressAsName { name, address } => write!(
                f,
                "the address {address} stands in a field for names, as `{name}`: who connects to \
                 {address} does not find it"
            ),
            Self::NoNames => {
                f.write_str("no subjectAltName: peers no longer look at the common name")
            }
            Self::Expired => f.write_str("it has expired"),
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::ExpiresSoon => f.write_str("it expires within 30 days"),
            Self::ShortKey { bits } => write!(f, "a key of {bits} bits, too short for most peers"),
            Self::WeakSignature { hash } => write!(f, "signed over {hash}, which is broken"),
        }
    }
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Whose it is.
    pub subject: String,
    /// The common name in that, if there is one.
    pub name: Option<String>,
    /// Who issued it.
    pub issuer: String,
    /// X.509 version: 1 or 3.
    pub version: u8,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// What it may be used for.
    pub uses: Vec<Use>,
    /// Names and addresses that it is valid for.
    pub hosts: Vec<String>,
    /// The key, as people call it: `P-256`, `RSA-2048`.
    pub key: String,
    /// The key itself: its SubjectPublicKeyInfo, in DER.
    pub public_key: Vec<u8>,
    /// From when on it is valid, in UTC.
    pub from: String,
    /// Until when, in UTC.
    pub until: String,
    /// What will not work.
    pub concerns: Vec<Concern>,
}

/// Every certificate in a PEM file, as it is `now`. Other blocks, keys for instance, are skipped.
///
/// # Errors
/// No certificate in it, or one that is damaged.
pub fn certificates(text: &str, now: SystemTime) -> Result<Vec<Inspected>, CertsError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let number = found.len() + 1;
        let damaged = |why: String| CertsError::Damaged { number, why };
        let block = rest.get(begin..).unwrap_or_default();
        let end = block.find(END).map(|at| at + END.len());
        let end = end.ok_or_else(|| damaged("it has no end".to_owned()))?;
        let (block, later) = block.split_at_checked(end).unwrap_or((block, ""));
        let block = block.replace('\r', "");
        let (_, der) =
            der::pem::decode_vec(block.as_bytes()).map_err(|why| damaged(why.to_string()))?;
        let read = Certificate::from_der(&der).map_err(|why| damaged(why.to_string()))?;
        found.push(inspect(&read, now).map_err(|why| damaged(why.to_string()))?);
        rest = later;
    }
    if found.is_empty() { Err(CertsError::NoCertificate) } else { Ok(found) }
}

fn inspect(certificate: &Certificate, now: SystemTime) -> Result<Inspected, der::Error> {
    let tbs = certificate.tbs_certificate();
    let mut concerns = Vec::new();
    let version = match tbs.version() {
        Version::V1 => 1,
        Version::V2 => 2,
        Version::V3 => 3,
    };
    if version == 1 {
        concerns.push(Concern::VersionOne);
    }
    let constraints = tbs.get_extension::<BasicConstraints>()?;
    let purposes = tbs.get_extension::<ExtendedKeyUsage>()?;
    let mut uses = Vec::new();
    let purposes = purposes.map(|(_, it)| it.0).unwrap_or_default();
    if constraints.is_some_and(|(_, it)| it.ca) {
        uses.push(Use::Authority);
        // Of who signs firmware with what they have signed themselves.
        uses.extend(purposes.contains(&CODE_SIGNING).then_some(Use::Signer));
    } else {
        let named =
            [(SERVER_AUTH, Use::Server), (CLIENT_AUTH, Use::Client), (CODE_SIGNING, Use::Signer)];
        uses.extend(named.iter().filter(|(oid, _)| purposes.contains(oid)).map(|(_, it)| *it));
        if uses.is_empty() {
            uses.push(Use::Any);
        }
    }
    let mut hosts = Vec::new();
    let names = tbs.get_extension::<SubjectAltName>()?;
    for name in names.iter().flat_map(|(_, names)| &names.0) {
        match name {
            GeneralName::DnsName(name) => {
                let name = name.as_str();
                hosts.push(name.to_owned());
                if let Some(address) = address_in(name) {
                    concerns.push(Concern::AddressAsName { name: name.to_owned(), address });
                }
            }
            GeneralName::IpAddress(bytes) => hosts.extend(address(bytes.as_bytes())),
            _ => {}
        }
    }
    if uses.contains(&Use::Server) && hosts.is_empty() {
        concerns.push(Concern::NoNames);
    }
    let (key, bits) = key(tbs.subject_public_key_info());
    concerns.extend(bits.filter(|it| *it < FEWEST_BITS).map(|bits| Concern::ShortKey { bits }));
    let algorithm = certificate.signature_algorithm().oid.to_string();
    let weak = WEAK.iter().find(|(oid, _)| *oid == algorithm);
    // What an authority says of itself proves nothing, whatever it is signed over.
    let of_itself = tbs.issuer() == tbs.subject();
    concerns.extend(weak.filter(|_| !of_itself).map(|(_, hash)| Concern::WeakSignature { hash }));
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let validity = tbs.validity();
    let [from, until] =
        [&validity.not_before, &validity.not_after].map(|time| time.to_unix_duration());
    concerns.extend(match () {
        () if now < from => Some(Concern::NotYetValid),
        () if now > until => Some(Concern::Expired),
        () if until.saturating_sub(now) < SOON => Some(Concern::ExpiresSoon),
        () => None,
    });
    Ok(Inspected {
        subject: tbs.subject().to_string(),
        name: common_name(certificate),
        issuer: tbs.issuer().to_string(),
        version,
        serial: digits(tbs.serial_number().as_bytes()),
        uses,
        hosts,
        key,
        public_key: tbs.subject_public_key_info().to_der()?,
        from: validity.not_before.to_string(),
        until: validity.not_after.to_string(),
        concerns,
    })
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let subject = certificate.tbs_certificate().subject();
    let found = subject.iter().find(|part| part.oid == COMMON_NAME)?;
    Some(String::from_utf8_lossy(found.value.value()).into_owned())
}

/// An address, bare or behind a mark, where only names belong.
fn address_in(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix("IP:").or_else(|| name.strip_prefix("IP Address:"));
    bare.unwrap_or(name).trim().parse().ok()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

/// What people call a key, and the bits of it if it is RSA.
fn key(info: &x509_cert::spki::SubjectPublicKeyInfoOwned) -> (String, Option<usize>) {
    let bytes = info.subject_public_key.raw_bytes();
    if info.algorithm.oid == RSA {
        let bits = modulus_bits(bytes);
        let name = bits.map_or("RSA".to_owned(), |bits| format!("RSA-{bits}"));
        return (name, bits);
    }
    let curve = info.algorithm.parameters.as_ref();
    let curve = curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    let name = match (info.algorithm.oid, curve.map(|oid| oid.to_string()).as_deref()) {
        (EC, Some("1.2.840.10045.3.1.7")) => "P-256".to_owned(),
        (EC, Some("1.3.132.0.34")) => "P-384".to_owned(),
        (EC, Some("1.3.132.0.35")) => "P-521".to_owned(),
        (oid, _) if oid.to_string() == "1.3.101.112" => "Ed25519".to_owned(),
        (oid, _) => oid.to_string(),
    };
    (name, None)
}

/// Bits of the modulus of an RSAPublicKey (RFC 8017, appendix A.1.1).
fn modulus_bits(der: &[u8]) -> Option<usize> {
    #[derive(der::Sequence)]
    struct RsaPublicKey {
        modulus: der::asn1::Uint,
        exponent: der::asn1::Uint,
    }
    let key = RsaPublicKey::from_der(der).ok()?;
    let modulus = key.modulus.as_bytes();
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
