//! Addresses.

use crate::io::{Endpoint, Transport};
use crate::json::Text;

/// An address of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'u> {
    /// The server.
    pub server: Endpoint<'u>,
    /// Path and query.
    pub path: Text<'u>,
}

impl<'u> Url<'u> {
    /// The parts of `http://host:port/path?query`, or the same with `https`.
    pub fn split(url: &'u str) -> Option<Self> {
        let (transport, rest) = match url.split_once("://")? {
            ("https", rest) => (Transport::Https, rest),
            ("http", rest) => (Transport::Http, rest),
            _ => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end)?;
        let (host, port) = match host.rsplit_once(':') {
            Some((_, port)) if port.starts_with('+') => return None,
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (host, transport.port()),
        };
        let server = Endpoint { transport, host: Text::new(host), port };
        (!host.is_empty()).then_some(Self { server, path: Text::new(path) })
    }
}
