//! Lists of certificates that are not to be believed any more.

use std::time::SystemTime;

use der::pem::LineEnding;
use der::{DecodePem, Encode, EncodePem};
use p256::ecdsa::DerSignature;
use p256::ecdsa::signature::Verifier;
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CrlBuilder};
use x509_cert::crl::{CertificateList, RevokedCert};
use x509_cert::ext::pkix::CrlNumber;
use x509_cert::time::Time;

use crate::{Authority, CertsError, Lifetime};

/// The most entries of a list.
const MOST: usize = 100_000;

/// A list of revoked certificates.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// The list, PEM.
    pub list: String,
    /// Serial numbers that are new on it.
    pub added: Vec<String>,
    /// How many certificates it revokes.
    pub total: usize,
    /// When it is out of date.
    pub until: String,
}

impl Authority {
    /// A list that revokes what `before` does, and `certificates`: PEM texts, each of which may hold
    /// several. Who goes by lists refuses everybody once the last one is out of date.
    ///
    /// # Errors
    /// A list or certificate that cannot be read, or that another authority has signed.
    pub fn revoke(
        &self,
        before: Option<&str>,
        certificates: &[&str],
        lifetime: Lifetime,
    ) -> Result<Revoked, CertsError> {
        let (mut revoked, number) = match before {
            Some(list) => self.entries(list)?,
            None => (Vec::new(), 0),
        };
        let now = Time::try_from(SystemTime::now())?;
        let mut added = Vec::new();
        for text in certificates {
            let chain = Certificate::load_pem_chain(text.as_bytes());
            let chain =
                chain.map_err(|why| CertsError::Damaged { number: 1, why: why.to_string() })?;
            if chain.is_empty() {
                return Err(CertsError::NoCertificate);
            }
            for certificate in chain {
                let tbs = certificate.tbs_certificate();
                let subject = tbs.subject().to_string();
                let signature = certificate.signature().as_bytes().unwrap_or_default();
                if !self.has_signed(&tbs.to_der()?, signature) {
                    return Err(CertsError::Foreign { subject });
                }
                let serial_number = tbs.serial_number().clone();
                if revoked.iter().any(|it| it.serial_number == serial_number) {
                    continue;
                }
                added.push(crate::inspect::digits(serial_number.as_bytes()));
                let entry =
                    RevokedCert { serial_number, revocation_date: now, crl_entry_extensions: None };
                revoked.push(entry);
            }
        }
        if revoked.len() > MOST {
            return Err(CertsError::TooMany { most: MOST });
        }
        let validity = lifetime.validity()?;
        let total = revoked.len();
        let number = CrlNumber(der::asn1::Uint::new(&(number + 1).to_be_bytes())?);
        // From an hour ago: clocks of devices differ.
        let builder =
            CrlBuilder::new_with_this_update(&self.certificate, number, validity.not_before)?;
        let mut builder = builder.with_next_update(Some(validity.not_after));
        if total > 0 {
            // A list of none has no entries, rather than an empty list of them (RFC 5280, 5.1.2.6).
            builder = builder.with_certificates(revoked.into_iter());
        }
        let list: CertificateList = builder.build::<_, DerSignature>(&self.key)?;
        let until = validity.not_after.to_string();
        Ok(Revoked { list: list.to_pem(LineEnding::LF)?, added, total, until })
    }

    /// What a list of this authority revokes, and its number.
    fn entries(&self, list: &str) -> Result<(Vec<RevokedCert>, u64), CertsError> {
        let list =
            CertificateList::from_pem(list).map_err(|why| CertsError::List(why.to_string()))?;
        let tbs = &list.tbs_cert_list;
        let signature = list.signature.as_bytes().unwrap_or_default();
        if !self.has_signed(&tbs.to_der()?, signature) {
            return Err(CertsError::Foreign { subject: tbs.issuer.to_string() });
        }
        let numbers = tbs.crl_extensions.iter().flatten();
        let number = numbers
            .filter(|it| it.extn_id == <CrlNumber as der::oid::AssociatedOid>::OID)
            .find_map(|it| <CrlNumber as der::Decode>::from_der(it.extn_value.as_bytes()).ok());
        let number = number.map_or(0, |CrlNumber(number)| {
            let fold = |sum: u64, byte: &u8| sum.saturating_mul(256).saturating_add((*byte).into());
            number.as_bytes().iter().fold(0, fold)
        });
        Ok((tbs.revoked_certificates.clone().unwrap_or_default(), number.min(u64::MAX - 1)))
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = DerSignature::from_bytes(signature);
        signature.is_ok_and(|it| self.key.verifying_key().verify(message, &it).is_ok())
    }
}
