//! A certificate authority of one's own.

use std::time::{Duration, SystemTime};

use der::pem::LineEnding;
use der::{DecodePem, EncodePem};
use p256::SecretKey;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};
use zeroize::Zeroizing;

use crate::subject::Profile;
use crate::{CertsError, Subject};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks of devices differ.
const HEAD_START: Duration = Duration::from_secs(60 * 60);
/// Bytes of a serial number: 127 random bits.
const SERIAL: usize = 16;

/// How long a certificate is valid, from an hour ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    days: u32,
}

impl Lifetime {
    /// The most days: about a century.
    pub const MOST_DAYS: u32 = 36_500;
    /// What an authority gets: ten years, as devices have it compiled in.
    pub const AUTHORITY: Self = Self { days: 3650 };
    /// What a device gets: as long as the authority is likely to last.
    pub const DEVICE: Self = Self { days: 3649 };
    /// What a server gets: the most that common clients take.
    pub const SERVER: Self = Self { days: 825 };
    /// What a list of revoked certificates gets.
    pub const LIST: Self = Self { days: 365 };

    /// That many days.
    pub fn days(days: u32) -> Result<Self, CertsError> {
        match days {
            1..=Self::MOST_DAYS => Ok(Self { days }),
            _ => Err(CertsError::Lifetime { days, most: Self::MOST_DAYS }),
        }
    }

    /// A day more: for the authority of what lasts this long.
    pub(crate) fn and_a_day(self) -> Self {
        Self { days: self.days.saturating_add(1) }
    }

    pub(crate) fn validity(self) -> Result<Validity, CertsError> {
        let now = SystemTime::now();
        let (from, until) = (now - HEAD_START, now + DAY * self.days);
        Ok(Validity::new(Time::try_from(from)?, Time::try_from(until)?))
    }
}

/// A certificate with its private key, both PEM, the key as PKCS#8.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key. Whoever has it is taken for the subject.
    pub key: Zeroizing<String>,
}

/// An authority, ready to issue.
pub struct Authority {
    pub(crate) certificate: Certificate,
    pub(crate) key: SigningKey,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.certificate.tbs_certificate().subject())
    }
}

impl Authority {
    /// A new one, with a new key.
    pub fn new(name: &str, lifetime: Lifetime) -> Result<Self, CertsError> {
        let key = fresh_key()?;
        let subject = Subject::Authority { name: name.to_owned() };
        let certificate = sign(Profile::new(&subject, None)?, lifetime.validity()?, &key, &key)?;
        Ok(Self { certificate, key })
    }

    /// One that there is already.
    ///
    /// # Errors
    /// A certificate that cannot be read, that is no authority's, or that has another key; a key
    /// that is not P-256 in PKCS#8.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertsError> {
        let damaged = |why: der::Error| CertsError::Damaged { number: 1, why: why.to_string() };
        if !certificate.contains("-----BEGIN CERTIFICATE-----") {
            return Err(CertsError::NoCertificate);
        }
        let first = certificate.find("-----BEGIN CERTIFICATE-----").unwrap_or(0);
        let certificate = certificate.get(first..).unwrap_or_default();
        let end = certificate.find("-----END CERTIFICATE-----").map(|at| at + 25);
        let certificate = certificate.get(..end.unwrap_or(certificate.len())).unwrap_or_default();
        let certificate = Certificate::from_pem(certificate).map_err(damaged)?;
        let key = SecretKey::from_pkcs8_pem(key).map_err(|why| CertsError::Key(why.to_string()))?;
        let key = SigningKey::from(key);
        let tbs = certificate.tbs_certificate();
        if public(&key)? != *tbs.subject_public_key_info() {
            return Err(CertsError::OtherKey);
        }
        let constraints = tbs.get_extension::<BasicConstraints>().ok().flatten();
        if !constraints.is_some_and(|(_, constraints)| constraints.ca) {
            return Err(CertsError::NoAuthority { subject: tbs.subject().to_string() });
        }
        Ok(Self { certificate, key })
    }

    /// Its certificate and key, to be kept.
    pub fn to_pem(&self) -> Result<Issued, CertsError> {
        pem(&self.certificate, &self.key)
    }

    /// A certificate for `subject`, with a new key.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate; an authority that expires earlier.
    pub fn issue(&self, subject: &Subject, lifetime: Lifetime) -> Result<Issued, CertsError> {
        let own = self.certificate.tbs_certificate();
        let (validity, until) = (lifetime.validity()?, own.validity().not_after);
        if validity.not_after.to_unix_duration() > until.to_unix_duration() {
            return Err(CertsError::AuthorityExpires { until: until.to_string() });
        }
        let key = fresh_key()?;
        let profile = Profile::new(subject, Some(own.subject().clone()))?;
        pem(&sign(profile, validity, &key, &self.key)?, &key)
    }
}

fn sign(
    profile: Profile<'_>,
    validity: Validity,
    key: &SigningKey,
    issuer: &SigningKey,
) -> Result<Certificate, CertsError> {
    let mut serial = [0; SERIAL];
    getrandom::fill(&mut serial).map_err(CertsError::Random)?;
    // Positive, and of that length.
    serial[0] = serial[0] & 0x7f | 0x40;
    let serial = SerialNumber::new(&serial)?;
    let builder = CertificateBuilder::new(profile, serial, validity, public(key)?)?;
    Ok(builder.build::<_, DerSignature>(issuer)?)
}

fn public(key: &SigningKey) -> Result<SubjectPublicKeyInfoOwned, CertsError> {
    let der = key.verifying_key().to_public_key_der();
    let der = der.map_err(|why| CertsError::Encoding(why.to_string()))?;
    Ok(der.decode_msg()?)
}

fn fresh_key() -> Result<SigningKey, CertsError> {
    let mut secret = Zeroizing::new([0; 32]);
    // Fewer than one in 2³² numbers is no scalar of the curve.
    loop {
        getrandom::fill(secret.as_mut_slice()).map_err(CertsError::Random)?;
        if let Ok(key) = SigningKey::from_slice(secret.as_slice()) {
            return Ok(key);
        }
    }
}

fn pem(certificate: &Certificate, key: &SigningKey) -> Result<Issued, CertsError> {
    let key = SecretKey::from(key.as_nonzero_scalar());
    let key = key.to_pkcs8_pem(LineEnding::LF);
    let key = key.map_err(|why| CertsError::Encoding(why.to_string()))?;
    Ok(Issued { certificate: certificate.to_pem(LineEnding::LF)?, key })
}
