//! Which servers are believed.

use core::cell::Cell;

use digest::Digest;
use embedded_tls::{
    CertificateEntryRef, CertificateRef, CertificateVerifyRef, SignatureScheme, TlsCipherSuite,
    TlsError, TlsVerifier,
};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use updraft_x509::{Certificate, Moment, Revoked, Unfit};

use crate::sealed::Suite;
use crate::wire::Refused;

/// What a server signs: this, a zero byte, the hash of the handshake so far (RFC 8446, section 4.4.3).
const SIGNED_FIRST: [u8; 64] = [b' '; 64];
const SIGNED_NEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";

type Hash = <Suite as TlsCipherSuite>::Hash;

/// What is known of a server so far.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Why it was not believed.
    pub refused: Cell<Option<Refused>>,
    /// Whether it has shown that it has the key. The library does not ask: a handshake without a
    /// certificate, or without a signature, is whole to it.
    pub proven: Cell<bool>,
}

/// Believes servers whose certificate the authority itself has issued.
pub struct Servers<'o> {
    pub authority: &'o [u8],
    /// The serial numbers that it has revoked.
    pub revoked: &'o [u8],
    /// The device's own certificate: when that was issued is the best that is known of the time.
    pub device: &'o [u8],
    pub name: &'o str,
    pub verdict: &'o Verdict,
    /// Keeps the watchdog content while signatures are checked.
    pub feed: &'o dyn Fn(),
    /// The server's key, and the handshake up to its certificate.
    pub believed: Option<(VerifyingKey, Hash)>,
}

impl Servers<'_> {
    fn refuse(&self, why: Refused) -> TlsError {
        self.verdict.refused.set(Some(why));
        TlsError::InvalidCertificate
    }

    fn certificate(&self, certificates: &CertificateRef<'_>) -> Result<VerifyingKey, Refused> {
        // What comes behind the first would be for chains.
        let Some(CertificateEntryRef::X509(own)) = certificates.entries.first() else {
            return Err(Refused::Unproven);
        };
        let own = Certificate::parse(own).map_err(|_| Refused::Certificate)?;
        let authority = Certificate::parse(self.authority);
        let authority = authority.map_err(|_| Refused::Unfit(Unfit::Authority))?;
        own.fits(&authority, self.name).map_err(Refused::Unfit)?;
        let device = Certificate::parse(self.device).map_or(Moment::default(), |it| it.starts());
        let earliest = device.max(authority.starts());
        own.stands(Revoked(self.revoked), earliest).map_err(Refused::Unfit)?;
        (self.feed)();
        is_signed(&key(authority.key())?, own.signed(), own.signature())?;
        key(own.key())
    }
}

impl TlsVerifier<Suite> for Servers<'_> {
    /// The name is known since the beginning.
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), TlsError> {
        Ok(())
    }

    fn verify_certificate(
        &mut self,
        transcript: &Hash,
        certificates: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        // Nobody has two.
        if self.believed.is_some() || self.verdict.proven.get() {
            return Err(self.refuse(Refused::Unclear));
        }
        let key = self.certificate(&certificates).map_err(|why| self.refuse(why))?;
        self.believed = Some((key, transcript.clone()));
        Ok(())
    }

    fn verify_signature(&mut self, signature: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        let Some((key, transcript)) = self.believed.take() else {
            return Err(self.refuse(Refused::Unproven));
        };
        if signature.signature_scheme != SignatureScheme::EcdsaSecp256r1Sha256 {
            return Err(self.refuse(Refused::Signature));
        }
        let mut message = [0; SIGNED_FIRST.len() + SIGNED_NEXT.len() + 32];
        let hash = transcript.finalize();
        let parts = SIGNED_FIRST.iter().chain(SIGNED_NEXT).chain(&hash);
        message.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        (self.feed)();
        is_signed(&key, &message, signature.signature).map_err(|why| self.refuse(why))?;
        self.verdict.proven.set(true);
        Ok(())
    }
}

fn key(point: &[u8]) -> Result<VerifyingKey, Refused> {
    VerifyingKey::from_sec1_bytes(point).map_err(|_| Refused::Certificate)
}

fn is_signed(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), Refused> {
    let signature = Signature::from_der(signature).map_err(|_| Refused::Signature)?;
    key.verify(message, &signature).map_err(|_| Refused::Signature)
}
