//! TLS 1.2 and 1.3, with the ring provider.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme};

use crate::TlsError;
use crate::resolve::bare;
use crate::settings::Regard;

/// Who may vouch for servers.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The authorities in a PEM file, and no others.
    File(PathBuf),
    /// Those that this system trusts.
    System,
}

/// What a client proves its identity with: two PEM files.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Its certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How connections are encrypted, whom they trust, and who they say that they are.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For who may know who this is, and for everybody.
    known: Arc<ClientConfig>,
    nameless: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// TLS that trusts `trust`. With a `server_name` the certificate of the machine's own server has
    /// to be for that one, whatever address it is reached at; others have to have their own names.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else than it should.
    pub fn new(
        trust: &Trust,
        credentials: Option<&Credentials>,
        server_name: Option<&str>,
    ) -> Result<Self, TlsError> {
        Self::with_lists(trust, credentials, server_name, &[])
    }

    /// The same with lists of revoked certificates, in PEM files. With any list, every authority
    /// between a server and `trust` has to have one that is not out of date.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_lists(
        trust: &Trust,
        credentials: Option<&Credentials>,
        server_name: Option<&str>,
        lists: &[PathBuf],
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(trust, lists, &provider)?;
        let builder = || {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
            let builder = builder.with_safe_default_protocol_versions();
            let builder = builder.map_err(TlsError::Provider)?;
            Ok::<_, TlsError>(builder.with_webpki_verifier(Arc::clone(&verifier)))
        };
        let nameless = Arc::new(builder()?.with_no_client_auth());
        let known = match credentials {
            None => Arc::clone(&nameless),
            Some(credentials) => {
                Arc::new(builder()?.with_client_cert_resolver(identity(credentials)?))
            }
        };
        let named = |name: &str| {
            let parsed = ServerName::try_from(name.to_owned());
            parsed.map_err(|_| TlsError::ServerName(name.to_owned()))
        };
        let server_name = server_name.map(named).transpose()?;
        Ok(Self { known, nameless, server_name })
    }

    /// Whether there is a certificate to show.
    pub(crate) fn has_identity(&self) -> bool {
        !Arc::ptr_eq(&self.known, &self.nameless)
    }

    /// A connection to `host`.
    pub(crate) fn connect(&self, host: &str, regard: Regard) -> Result<ClientConnection, TlsError> {
        let name = match &self.server_name {
            Some(name) if regard == Regard::Own => name.clone(),
            _ => {
                let name = ServerName::try_from(bare(host).to_owned());
                name.map_err(|_| TlsError::ServerName(host.to_owned()))?
            }
        };
        let config = if regard == Regard::Strange { &self.nameless } else { &self.known };
        ClientConnection::new(Arc::clone(config), name).map_err(TlsError::Provider)
    }
}

fn verifier(
    trust: &Trust,
    lists: &[PathBuf],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let (roots, provider) = (Arc::new(roots(trust)?), Arc::clone(provider));
    let mut revoked = Vec::new();
    for path in lists {
        revoked.extend(revocations(path)?);
    }
    // A list that is out of date may be an old one that somebody holds on to.
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider)
        .with_crls(revoked)
        .enforce_revocation_expiration();
    match builder.build() {
        Ok(verifier) => Ok(verifier),
        Err(VerifierBuilderError::InvalidCrl(why)) => {
            let path = lists.first().cloned().unwrap_or_default();
            Err(TlsError::List { path, why: rustls::Error::InvalidCertRevocationList(why) })
        }
        Err(error) => Err(TlsError::Verifier(error)),
    }
}

fn revocations(path: &PathBuf) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let found = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, error))?;
    if found.is_empty() { Err(TlsError::NoList(path.clone())) } else { Ok(found) }
}

fn roots(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::File(path) => {
            for certificate in certificates(path)? {
                let damaged = |why| TlsError::Damaged { path: path.clone(), why };
                roots.add(certificate).map_err(damaged)?;
            }
        }
        // One that cannot be read vouches for nobody, which the first connection tells.
        Trust::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, error))?;
    if found.is_empty() { Err(TlsError::NoCertificate(path.clone())) } else { Ok(found) }
}

fn unreadable(path: &Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { path, source },
        pem::Error::NoItemsFound => TlsError::NoKey(path),
        other => TlsError::NotPem { path, source: other },
    }
}

fn identity(credentials: &Credentials) -> Result<Arc<Identity>, TlsError> {
    let Credentials { certificate, key } = credentials;
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    let secret = ring::sign::any_supported_type(&secret)
        .map_err(|why| TlsError::Key { path: key.clone(), why })?;
    let certified = CertifiedKey::new(chain, secret);
    // Certificates of X.509 version 1 cannot be looked into, and are sent nevertheless: the server
    // has to take them. Kits come with such ones.
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            Err(TlsError::Pair { certificate, key })
        }
        _ => Ok(Arc::new(Identity(Arc::new(certified)))),
    }
}

/// One certificate for every server that asks.
#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
