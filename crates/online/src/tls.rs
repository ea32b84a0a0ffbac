//! TLS 1.2 and 1.3, with the ring provider.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme};

use crate::TlsError;

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
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// TLS that trusts `trust`. With a `server_name` the server's certificate has to be for that
    /// one, whatever address it is reached at.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else than it should.
    pub fn new(
        trust: &Trust,
        credentials: Option<&Credentials>,
        server_name: Option<&str>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .with_root_certificates(roots(trust)?);
        let config = match credentials {
            None => builder.with_no_client_auth(),
            Some(credentials) => builder.with_client_cert_resolver(identity(credentials)?),
        };
        let named = |name: &str| {
            let parsed = ServerName::try_from(name.to_owned());
            parsed.map_err(|_| TlsError::ServerName(name.to_owned()))
        };
        let server_name = server_name.map(named).transpose()?;
        Ok(Self { config: Arc::new(config), server_name })
    }

    /// A connection to `host`.
    pub(crate) fn connect(&self, host: &str) -> Result<ClientConnection, TlsError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => {
                let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                ServerName::try_from(bare).map_err(|_| TlsError::ServerName(host.to_owned()))?
            }
        };
        ClientConnection::new(Arc::clone(&self.config), name).map_err(TlsError::Provider)
    }
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
