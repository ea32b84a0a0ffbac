//! The process that answers: it listens, with TLS or without, and stops without breaking off what
//! it has begun.

use std::fmt::{self, Write as _};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::fleet::Fleet;

/// How long a connection may take for a handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long requests that have begun may take once the server is to stop.
const LAST_ORDERS: Duration = Duration::from_secs(10);
/// Connections at a time; others wait to be taken.
const CONNECTIONS: usize = 1024;
/// How long to wait when no connection can be taken, as when all file descriptors are in use.
const BREATH: Duration = Duration::from_millis(100);

/// Takes what a server has to tell, as it happens.
pub type Log = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// What a server has to tell.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// It answers from now on.
    Listening {
        /// Where.
        url: &'a str,
    },
    /// A request was answered.
    Request {
        /// GET, POST …
        method: &'a str,
        /// Of what.
        path: &'a str,
        /// How.
        status: u16,
        /// How long that took.
        milliseconds: u64,
        /// The name of the token.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<&'a str>,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<&'a str>,
    },
    /// Something to look at.
    Warning {
        /// What.
        message: &'a str,
    },
    /// It takes no more requests, and finishes those that it has.
    Stopping,
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { url } => write!(f, "listening on {url}"),
            Self::Request { method, path, status, milliseconds, token, problem } => {
                let (path, token) = (OneLine(path), OneLine(token.unwrap_or("-")));
                write!(f, "{status} {method} {path} {milliseconds} ms {token}")?;
                problem.map_or(Ok(()), |problem| write!(f, ": {}", OneLine(problem)))
            }
            Self::Warning { message } => write!(f, "warning: {}", OneLine(message)),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

/// What somebody else has said, in a log: it makes no lines of its own and steers no terminal.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// It is no PEM file of certificates.
    #[error("{} holds no certificate", .0.display())]
    Certificate(std::path::PathBuf, #[source] Option<pem::Error>),
    /// It is no PEM file of a private key.
    #[error("{} holds no private key", .0.display())]
    Key(std::path::PathBuf, #[source] pem::Error),
    /// They do not belong together, or are of a kind that is not known.
    #[error("certificate and key cannot be used")]
    Pair(#[source] rustls::Error),
}

/// TLS with the chain of certificates and the private key in two PEM files.
pub fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let no_certificate = |error| TlsError::Certificate(certificate.to_owned(), error);
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| no_certificate(Some(error)))?;
    if chain.is_empty() {
        return Err(no_certificate(None));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key(key.to_owned(), error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
        .map_err(TlsError::Pair)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Where and how a server answers.
pub struct Serving {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS; `None`: plain HTTP.
    pub tls: Option<TlsAcceptor>,
    /// Bytes of the largest request.
    pub max_upload: usize,
}

/// Answers for `fleet` until the process is asked to stop.
pub fn run(fleet: Arc<Fleet>, serving: Serving, log: Log) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stopped = runtime.block_on(async {
        // From here on nobody is killed by a signal that asks to stop.
        let stop = stop_signals()?;
        let listener = TcpListener::bind(serving.listen).await?;
        let scheme = if serving.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        log(&Event::Listening { url: &url });
        let router = crate::http::router(fleet, serving.max_upload, Arc::clone(&log));
        serve(listener, serving.tls, router, log, stop).await;
        Ok(())
    });
    // What still waits for the disk has nobody to tell any more.
    runtime.shutdown_timeout(LAST_ORDERS);
    stopped
}

/// Answers on `listener` until `stop` has come to its end, and then until the last request is
/// answered or has taken too long.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    log: Log,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                failing = false;
                let (tls, router, watcher) = (tls.clone(), router.clone(), connections.watcher());
                tokio::spawn(async move {
                    connection(stream, tls, router, watcher).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Said once, until it works again.
                if !std::mem::replace(&mut failing, true) {
                    let message = format!("no connection can be taken: {error}");
                    log(&Event::Warning { message: &message });
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    log(&Event::Stopping);
    // Whoever takes longer is broken off: what counts is on the disk, or was never acknowledged.
    let _ = tokio::time::timeout(LAST_ORDERS, connections.shutdown()).await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, watcher: Watcher) {
    // Without, answers in several pieces take longer; nothing else depends on it.
    let _ = stream.set_nodelay(true);
    match tls {
        None => answer(stream, router, watcher).await,
        Some(tls) => {
            // What does not become a connection has nobody to be told.
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                answer(stream, router, watcher).await;
            }
        }
    }
}

async fn answer<S>(stream: S, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A peer that breaks off is no fault of the server; the log has what was answered.
    let _ = watcher.watch(connection).await;
}

/// Ends when the process is asked to stop: SIGINT or SIGTERM, or Ctrl-C where there are no signals.
fn stop_signals() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // Without a way to ask, nobody does.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
