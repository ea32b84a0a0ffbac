//! TLS 1.3, which verifies whom it talks to.
//!
//! The library leaves certificates to its user: [`updraft_x509`] says what is believed. When a
//! certificate ends is not looked at, for there is no clock.

use core::cell::Cell;

use digest::Digest;
use embedded_io::ErrorKind;
use embedded_tls::blocking::TlsConnection;
use embedded_tls::{
    Aes128GcmSha256, Certificate, CertificateEntryRef, CertificateRef, CertificateVerifyRef,
    CryptoProvider, CryptoRngCore, SignatureScheme, TlsCipherSuite, TlsConfig, TlsContext,
    TlsError, TlsVerifier,
};
use firmware_board::Board;
use firmware_cortex_m::Chip;
use p256::ecdsa::signature::{SignerMut, Verifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use updraft_image::{Describe, Text};
use updraft_x509::{Certificate as X509, Unfit};

use super::ethernet::Ethernet;
use super::identity::Identity;
use super::line::{Line, Tcp};
use super::random::Random;
use super::stack::Gone;

/// Bytes of the longest record of a peer: 2^14, and what encryption adds at most.
const LONGEST_RECORD: usize = (1 << 14) + 256;
/// Bytes of the longest record that is sent; a certificate has to fit.
const LONGEST_SENT: usize = 2048;
/// What a server signs: this, a zero byte, the hash of the handshake so far (RFC 8446, section 4.4.3).
const SIGNED_FIRST: [u8; 64] = [b' '; 64];
const SIGNED_NEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";

/// The memory of a connection.
#[derive(Debug)]
pub struct Records {
    received: [u8; LONGEST_RECORD],
    sent: [u8; LONGEST_SENT],
}

impl Records {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self { received: [0; LONGEST_RECORD], sent: [0; LONGEST_SENT] }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

type Hash = <Aes128GcmSha256 as TlsCipherSuite>::Hash;

/// Believes servers whose certificate the authority itself has issued.
struct Servers<'o> {
    authority: &'static [u8],
    name: &'o str,
    /// Why one was not believed.
    unfit: &'o Cell<Option<Unfit>>,
    /// The server's key, and the handshake up to its certificate.
    believed: Option<(VerifyingKey, Hash)>,
    /// Whether the server has shown that it has the key. The library does not ask: a handshake
    /// without a certificate, or without a signature, is whole to it.
    proven: &'o Cell<bool>,
}

impl TlsVerifier<Aes128GcmSha256> for Servers<'_> {
    /// The name is known since the beginning.
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), TlsError> {
        Ok(())
    }

    fn verify_certificate(
        &mut self,
        transcript: &Hash,
        certificates: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        // What comes behind the first would be for chains.
        let Some(CertificateEntryRef::X509(own)) = certificates.entries.first() else {
            return Err(TlsError::DecodeError);
        };
        let [own, authority] = [own, self.authority].map(X509::parse);
        let own = own.map_err(|_| TlsError::InvalidCertificate)?;
        let Ok(authority) = authority else {
            self.unfit.set(Some(Unfit::Authority));
            return Err(TlsError::InvalidCertificate);
        };
        own.fits(&authority, self.name).map_err(|unfit| {
            self.unfit.set(Some(unfit));
            TlsError::InvalidCertificate
        })?;
        is_signed(&key(authority.key())?, own.signed(), own.signature())?;
        self.believed = Some((key(own.key())?, transcript.clone()));
        Ok(())
    }

    fn verify_signature(&mut self, signature: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        let (key, transcript) = self.believed.take().ok_or(TlsError::InvalidHandshake)?;
        if signature.signature_scheme != SignatureScheme::EcdsaSecp256r1Sha256 {
            return Err(TlsError::InvalidSignatureScheme);
        }
        let mut message = [0; SIGNED_FIRST.len() + SIGNED_NEXT.len() + 32];
        let hash = transcript.finalize();
        let parts = SIGNED_FIRST.iter().chain(SIGNED_NEXT).chain(&hash);
        message.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        is_signed(&key, &message, signature.signature)?;
        self.proven.set(true);
        Ok(())
    }
}

fn key(point: &[u8]) -> Result<VerifyingKey, TlsError> {
    VerifyingKey::from_sec1_bytes(point).map_err(|_| TlsError::InvalidCertificate)
}

fn is_signed(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), TlsError> {
    let signature = Signature::from_der(signature).map_err(|_| TlsError::InvalidSignature)?;
    key.verify(message, &signature).map_err(|_| TlsError::InvalidSignature)
}

struct Provider<'o> {
    random: &'o mut Random,
    servers: Servers<'o>,
    identity: Identity,
    /// Keeps the watchdog content: on a slow chip a handshake takes seconds.
    feed: &'o dyn Fn(),
}

impl CryptoProvider for Provider<'_> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = DerSignature;

    fn rng(&mut self) -> impl CryptoRngCore {
        (self.feed)();
        &mut *self.random
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        (self.feed)();
        Ok(&mut self.servers)
    }

    fn signer(&mut self) -> Result<(impl SignerMut<DerSignature>, SignatureScheme), TlsError> {
        (self.feed)();
        let key = SigningKey::from_slice(self.identity.key);
        let key = key.map_err(|_| TlsError::InvalidPrivateKey)?;
        Ok((key, SignatureScheme::EcdsaSecp256r1Sha256))
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        // Who has proven nothing is told nothing.
        let certificate = self.identity.certificate;
        (self.servers.proven.get() && !certificate.is_empty())
            .then_some(Certificate::X509(certificate))
    }
}

/// A connection over TLS.
pub(super) struct Tls<'r, 'g, 'f, 'k, B: Board, E: Ethernet, const N: usize, const LINES: usize> {
    connection: TlsConnection<'r, Tcp<'g, 'f, 'k, B, E, N, LINES>, Aes128GcmSha256>,
}

impl<'r, 'g, 'f, 'k, B: Board, E: Ethernet, const N: usize, const LINES: usize>
    Tls<'r, 'g, 'f, 'k, B, E, N, LINES>
{
    /// Shakes hands with the server called `name`.
    #[inline(never)]
    pub fn open(
        tcp: Tcp<'g, 'f, 'k, B, E, N, LINES>,
        records: &'r mut Records,
        (name, identity, random): (&str, Identity, &mut Random),
    ) -> Result<Self, NotOpened> {
        let ground = tcp.ground();
        let feed = || ground.borrow_mut().board.chip().feed_watchdog();
        let mut connection = TlsConnection::new(tcp, &mut records.received, &mut records.sent);
        let config = TlsConfig::new().with_server_name(name);
        let (authority, unfit, proven) = (identity.authority, Cell::new(None), Cell::new(false));
        let servers = Servers { authority, name, unfit: &unfit, believed: None, proven: &proven };
        let provider = Provider { random, servers, identity, feed: &feed };
        connection
            .open(TlsContext::new(&config, provider))
            .map_err(|error| NotOpened { error, unfit: unfit.get() })?;
        match proven.get() {
            true => Ok(Self { connection }),
            false => Err(NotOpened { error: TlsError::InvalidSignature, unfit: unfit.get() }),
        }
    }
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Line
    for Tls<'_, '_, '_, '_, B, E, N, LINES>
{
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        match self.connection.read(buffer) {
            Ok(len) => Ok(len),
            Err(TlsError::Io(ErrorKind::Interrupted)) => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        if bytes.is_empty() {
            // It would be a record all the same.
            return Ok(0);
        }
        let sent = self.connection.write(bytes).map_err(|_| Gone)?;
        self.connection.flush().map_err(|_| Gone)?;
        Ok(sent)
    }
}

/// Why there is no connection.
pub(super) struct NotOpened {
    error: TlsError,
    unfit: Option<Unfit>,
}

impl Describe for NotOpened {
    fn describe(&self, to: &mut Text<'_>) {
        to.say(match (self.unfit, self.error) {
            (Some(unfit), _) => unfit.text(),
            (_, TlsError::InvalidCertificate) => "its certificate cannot be understood",
            (_, TlsError::InvalidSignature) => "its certificate or its signature is not genuine",
            (_, TlsError::HandshakeAborted(..)) => "it does not want this device",
            (_, TlsError::Io(_) | TlsError::IoError | TlsError::ConnectionClosed) => {
                "it has gone or takes too long"
            }
            _ => "what it says cannot be understood",
        });
    }
}
