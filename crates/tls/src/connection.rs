//! A connection over TLS.

use core::fmt;

use embedded_io::ErrorKind;
use embedded_tls::blocking::TlsConnection;
use embedded_tls::{
    Certificate, CryptoProvider, CryptoRngCore, SignatureScheme, TlsConfig, TlsContext, TlsError,
    TlsVerifier,
};
use p256::ecdsa::signature::SignerMut;
use p256::ecdsa::{DerSignature, SigningKey};
use rand_core::CryptoRng;

use crate::gate::{Gate, LONGEST, Watch, patience};
use crate::sealed::{Phase, Suite};
use crate::servers::{Servers, Verdict};
use crate::wire::{Refused, Wire};

/// Bytes of the longest record that is sent; a certificate has to fit.
const LONGEST_SENT: usize = 2048;
/// Records without content that a server may send one behind the other.
const MOST_EMPTY: u32 = 32;

/// The memory of a connection. All zeros at first, so that it takes no room in an image.
#[derive(Debug)]
pub struct Records {
    received: [u8; LONGEST],
    sent: [u8; LONGEST_SENT],
}

impl Records {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self { received: [0; LONGEST], sent: [0; LONGEST_SENT] }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

/// Who shakes hands, and with whom.
#[derive(Clone, Copy)]
pub struct Device<'d> {
    /// The server's name or address.
    pub server: &'d str,
    /// The certificate of who issues those of servers.
    pub authority: &'d [u8],
    /// The serial numbers that it has revoked, as [`Revoked`](updraft_x509::Revoked) has them; may be
    /// empty.
    pub revoked: &'d [u8],
    /// The device's certificate; empty if it has none.
    pub certificate: &'d [u8],
    /// Its private key, P-256; empty if there is no certificate.
    pub key: &'d [u8],
    /// Keeps the watchdog content: on a slow chip a handshake takes seconds.
    pub feed: &'d dyn Fn(),
}

/// Without the key.
impl fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("server", &self.server).finish_non_exhaustive()
    }
}

struct Provider<'o, R> {
    random: &'o mut R,
    servers: Servers<'o>,
    device: Device<'o>,
}

impl<R: CryptoRngCore + CryptoRng> CryptoProvider for Provider<'_, R> {
    type CipherSuite = Suite;
    type Signature = DerSignature;

    fn rng(&mut self) -> impl CryptoRngCore {
        (self.device.feed)();
        &mut *self.random
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Suite>, TlsError> {
        (self.device.feed)();
        Ok(&mut self.servers)
    }

    fn signer(&mut self) -> Result<(impl SignerMut<DerSignature>, SignatureScheme), TlsError> {
        (self.device.feed)();
        let key = SigningKey::from_slice(self.device.key);
        let key = key.map_err(|_| TlsError::InvalidPrivateKey)?;
        Ok((key, SignatureScheme::EcdsaSecp256r1Sha256))
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        // Who has proven nothing is told nothing.
        let certificate = self.device.certificate;
        (self.servers.verdict.proven.get() && !certificate.is_empty())
            .then_some(Certificate::X509(certificate))
    }
}

/// A connection over TLS.
pub struct Tls<'r, W: Wire> {
    connection: TlsConnection<'r, Gate<'r, W>, Suite>,
    watch: &'r Watch,
    /// Records without content, since the last that had some.
    empty: u32,
}

impl<W: Wire> fmt::Debug for Tls<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl<'r, W: Wire> Tls<'r, W> {
    /// Shakes hands with a server.
    ///
    /// # Errors
    /// Why it is not spoken to.
    #[inline(never)]
    pub fn open<R: CryptoRngCore + CryptoRng>(
        wire: W,
        (records, watch): (&'r mut Records, &'r Watch),
        device: Device<'_>,
        random: &mut R,
    ) -> Result<Self, Refused> {
        let Records { received, sent } = records;
        let gate = Gate::new(wire, watch);
        let mut connection = TlsConnection::new(gate, received, sent);
        let config = TlsConfig::new().with_server_name(device.server);
        let verdict = Verdict::default();
        let Device { server: name, authority, revoked, certificate, feed, .. } = device;
        let (own, verdict) = (certificate, &verdict);
        let servers =
            Servers { authority, revoked, device: own, name, verdict, feed, believed: None };
        let opened =
            connection.open(TlsContext::new(&config, Provider { random, servers, device }));
        if let Err(error) = opened {
            let told = verdict.refused.get().or(watch.refused.get());
            return Err(told.unwrap_or_else(|| reason(&error)));
        }
        if !verdict.proven.get() {
            return Err(Refused::Unproven);
        }
        watch.phase.set(Phase::Open);
        watch.may_read.set(false);
        Ok(Self { connection, watch, empty: 0 })
    }

    /// Reads what has come, nothing if nothing has: at most one record at a time, so that a server
    /// that sends without end keeps nothing else from going on.
    ///
    /// # Errors
    /// The connection has ended, and why.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Refused> {
        self.watch.may_read.set(true);
        match self.connection.read(buffer) {
            Ok(len) => {
                self.empty = 0;
                Ok(len)
            }
            Err(TlsError::Io(ErrorKind::Interrupted)) => {
                // A record was begun, and nothing was in it.
                if !self.watch.may_read.get() {
                    self.empty += 1;
                }
                if self.empty > MOST_EMPTY { Err(Refused::Idle) } else { Ok(0) }
            }
            Err(error) => Err(self.watch.refused.get().unwrap_or_else(|| reason(&error))),
        }
    }

    /// Sends as much of `bytes` as a record takes, at `now`.
    ///
    /// # Errors
    /// The connection has ended, and why.
    pub fn send(&mut self, bytes: &[u8], now: core::time::Duration) -> Result<usize, Refused> {
        if bytes.is_empty() {
            // It would be a record all the same.
            return Ok(0);
        }
        self.watch.until.set(patience(now));
        let sent = self.connection.write(bytes).and_then(|sent| {
            self.connection.flush()?;
            Ok(sent)
        });
        sent.map_err(|error| self.watch.refused.get().unwrap_or_else(|| reason(&error)))
    }
}

/// What the library says.
fn reason(error: &TlsError) -> Refused {
    match error {
        TlsError::InvalidCertificate
        | TlsError::InvalidCertificateEntry
        | TlsError::DecodeError => Refused::Certificate,
        TlsError::InvalidSignature => Refused::Signature,
        // The last is what it makes of a sealed alert while hands are shaken; other records that it
        // does not expect there do not reach it.
        TlsError::HandshakeAborted(..) | TlsError::InternalError | TlsError::InvalidRecord => {
            Refused::Alert
        }
        TlsError::Unimplemented => Refused::Unasked,
        TlsError::CryptoError => Refused::Damaged,
        TlsError::ConnectionClosed => Refused::Closed,
        TlsError::Io(_) | TlsError::IoError => Refused::Gone,
        _ => Refused::Unclear,
    }
}
