//! Asks a server: the other end of the API.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, SendBody};

use crate::model::{Release, ReleaseName, Submission};

const CONNECT: Duration = Duration::from_secs(10);
/// A server checks an upload before it answers.
const ANSWER: Duration = Duration::from_secs(120);
/// Bytes of the longest answer that is read: a page of releases.
const LONGEST_ANSWER: u64 = 16 << 20;
const PAGE: usize = 100;

/// A server, as somebody with a token sees it.
pub struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Address {
    /// `http://` or `https://`, host and port.
    pub url: String,
    /// The certificates to trust, in PEM; `None`: those of this system.
    pub ca: Option<String>,
    /// Whether a token may go over a network in plain text.
    pub allow_plain_http: bool,
}

/// Why a server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    #[error("{0:?} is no address of a server: {1}")]
    Address(String, &'static str),
    /// The token would go over a network in plain text.
    #[error(
        "{0} is not encrypted, and is not this computer: anybody in between can read the token"
    )]
    PlainHttp(String),
    /// The file of certificates holds none.
    #[error("there is no certificate in the file")]
    Ca,
    /// The token has characters that no token has.
    #[error("this is no token")]
    Token,
    /// The server cannot be reached, or the connection broke off.
    #[error("the server at {url} does not answer")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The server refuses, and says why.
    #[error("{0}")]
    Problem(Problem),
    /// What answers is not such a server.
    #[error("what answers at {url} is no fleet server: {what}")]
    Foreign {
        /// Where.
        url: String,
        /// What is odd about it.
        what: String,
    },
}

/// What a server says of a request that it refuses.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// `urn:updraft:problem:` and a word for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status of the answer.
    pub status: u16,
    /// What went wrong.
    pub detail: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: String,
    /// Further members, such as the published key that has signed an image.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ClientError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address(..) => "give it as https://fleet.example:8443".into(),
            Self::PlainHttp(_) => {
                "give the server a certificate, --tls-cert and --tls-key, and ask it by https://; \
                 --allow-plain-http asks all the same"
                    .into()
            }
            Self::Ca => "give a PEM file with a block CERTIFICATE".into(),
            Self::Token => "`updraft fleet token new` shows a token once: take it whole".into(),
            Self::Unreachable { source, .. } if is_mistrust(source) => {
                "give the certificate of who has signed the server's, --ca FILE".into()
            }
            Self::Unreachable { .. } => {
                "does `updraft serve` run there, with that address and port?".into()
            }
            Self::Problem(problem) => {
                return Some(problem.hint.clone()).filter(|it| !it.is_empty());
            }
            Self::Foreign { .. } => "is it the right address and port?".into(),
        })
    }

    /// Whether the call was wrong, and not what it asked for.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Address(..) | Self::PlainHttp(_) | Self::Token)
    }
}

#[derive(Deserialize)]
struct Page {
    releases: Vec<Release>,
    next: Option<ReleaseName>,
}

impl Client {
    /// A client of the server at `address`, with a token.
    pub fn new(address: &Address, token: &str) -> Result<Self, ClientError> {
        let url = address.url.trim_end_matches('/');
        let wrong = |why| ClientError::Address(address.url.clone(), why);
        let uri: Uri = url.parse().map_err(|_| wrong("it cannot be read"))?;
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?;
        let local = is_local(host);
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if local || address.allow_plain_http => {}
            Some("http") => return Err(ClientError::PlainHttp(url.to_owned())),
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it has a path"));
        }
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientError::Token);
        }
        let roots = match &address.ca {
            Some(pem) => certificates(pem)?,
            None if uri.scheme_str() == Some("https") => systems_certificates(),
            None => Vec::new(),
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A token is for this server and no other.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .tls_config(tls)
            .user_agent(concat!("updraft/", env!("CARGO_PKG_VERSION")));
        if local {
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        Ok(Self { agent, base: url.to_owned(), token: format!("Bearer {token}") })
    }

    /// Adds a release, and tells whether it is new. `progress` gets to know how many bytes of the
    /// images are on their way.
    pub fn add(
        &self,
        submission: &Submission,
        progress: impl Fn(u64),
    ) -> Result<(Release, bool), ClientError> {
        let (kind, body) = form(submission);
        let request = self.request("POST", "/api/v1/releases");
        let request = request.header(CONTENT_TYPE, kind).header(CONTENT_LENGTH, body.len());
        // A server that refuses is heard before everything is sent, and closes only then.
        let request = request.header(EXPECT, "100-continue");
        let mut reader = Progress { rest: &body, sent: 0, progress };
        let response = self.send(request, SendBody::from_reader(&mut reader))?;
        let new = response.status().as_u16() == 201;
        Ok((self.read(response)?, new))
    }

    /// All releases, by name.
    pub fn releases(&self) -> Result<Vec<Release>, ClientError> {
        let mut all: Vec<Release> = Vec::new();
        let mut after = None::<ReleaseName>;
        loop {
            let after_name = after.map(|name| format!("&after={}", escaped(name.as_str())));
            let query = format!("?limit={PAGE}{}", after_name.unwrap_or_default());
            let Page { releases, next } = self.ask("GET", &format!("/api/v1/releases{query}"))?;
            all.extend(releases);
            match next {
                // Whatever a server says, it comes to an end.
                Some(next) if all.last().is_some_and(|last| last.name == next) => {
                    after = Some(next)
                }
                _ => return Ok(all),
            }
        }
    }

    /// The release of that name.
    pub fn release(&self, name: &ReleaseName) -> Result<Release, ClientError> {
        self.ask("GET", &format!("/api/v1/releases/{name}"))
    }

    /// Removes a release, and returns what it was.
    pub fn remove(&self, name: &ReleaseName) -> Result<Release, ClientError> {
        self.ask("DELETE", &format!("/api/v1/releases/{name}"))
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, path: &str) -> Result<T, ClientError> {
        let response = self.send(self.request(method, path), SendBody::none())?;
        self.read(response)
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, &self.token)
            .header(ACCEPT, "application/json")
    }

    fn send(
        &self,
        request: ureq::http::request::Builder,
        body: SendBody<'_>,
    ) -> Result<Response<Body>, ClientError> {
        let unreachable = |source: ureq::Error| ClientError::Unreachable {
            url: self.base.clone(),
            source: Box::new(source),
        };
        let request = request.body(body).map_err(|error| unreachable(ureq::Error::Http(error)))?;
        self.agent.run(request).map_err(unreachable)
    }

    fn read<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<T, ClientError> {
        let status = response.status();
        let foreign = |what: String| ClientError::Foreign { url: self.base.clone(), what };
        let text = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        let text = text.map_err(|error| foreign(error.to_string()))?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|error| foreign(error.to_string()));
        }
        match serde_json::from_str(&text) {
            Ok(problem) => Err(ClientError::Problem(problem)),
            Err(_) => Err(foreign(format!("status {status}"))),
        }
    }
}

/// Whether it was TLS that failed.
fn is_mistrust(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()),
        _ => false,
    }
}

/// Whether a host is this computer, so that nobody is in between.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, ClientError> {
    let items = ureq::tls::parse_pem(pem.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = items.collect();
    if certificates.is_empty() { Err(ClientError::Ca) } else { Ok(certificates) }
}

/// The authorities that this system trusts. One that cannot be read trusts nobody, which the first
/// connection tells.
fn systems_certificates() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs.into_iter();
    found.map(|certificate| Certificate::from_der(&certificate).to_owned()).collect()
}

/// A name in a query: `+` would be a space there.
fn escaped(name: &str) -> String {
    name.replace('+', "%2B")
}

/// The form of a submission, and its type. Source: RFC 7578.
fn form(submission: &Submission) -> (String, Vec<u8>) {
    let images = submission.images.iter();
    let boundary = boundary(images.clone().map(|image| image.bytes.as_slice()));
    let mut body = Vec::new();
    let mut part = |head: &str, content: &[u8]| {
        body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    let disposition = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
    part(&disposition("name"), submission.name.as_str().as_bytes());
    if let Some(board) = &submission.board {
        part(&disposition("board"), board.as_bytes());
    }
    let allow = submission.allow_sample_key.to_string();
    part(&disposition("allow_sample_key"), allow.as_bytes());
    for image in images {
        let head = disposition(&format!("image{}", image.number));
        let kind = "Content-Type: application/octet-stream";
        part(&format!("{head}; filename=\"{}.bin\"\r\n{kind}", image.number), &image.bytes);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// What stands in none of the images.
fn boundary<'a>(images: impl Iterator<Item = &'a [u8]> + Clone) -> String {
    let stands = |text: &str| {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|it| it == text.as_bytes());
        images.clone().any(holds)
    };
    let mut candidates = (0u32..).map(|number| format!("updraft-form-{number:08x}"));
    candidates.find(|text| !stands(text)).unwrap_or_default()
}

struct Progress<'a, F> {
    rest: &'a [u8],
    sent: u64,
    progress: F,
}

impl<F: Fn(u64)> Read for Progress<'_, F> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.rest.read(to)?;
        self.sent += read as u64;
        (self.progress)(self.sent);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Client, ClientError, boundary};

    fn client(url: &str) -> Result<Client, ClientError> {
        let address = Address { url: url.into(), ca: None, allow_plain_http: false };
        Client::new(&address, "updraft_1")
    }

    #[test]
    fn a_token_does_not_go_over_a_network_in_plain_text() {
        for url in
            ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:80", "https://a.example"]
        {
            assert!(client(url).is_ok(), "{url}");
        }
        for url in ["http://192.0.2.1", "http://localhost.example:80", "http://fleet:8080"] {
            assert!(matches!(client(url), Err(ClientError::PlainHttp(_))), "{url}");
        }
        for url in ["", "fleet:8080", "ftp://fleet", "https://fleet/api", "https://fleet/?a"] {
            assert!(matches!(client(url), Err(ClientError::Address(..))), "{url}");
        }
    }

    #[test]
    fn the_boundary_stands_in_no_image() {
        let image = b"--updraft-form-00000000 and updraft-form-00000001";
        assert_eq!(boundary([&image[..]].into_iter()), "updraft-form-00000002");
    }
}
