//! Requests.

use core::fmt::Write as _;

use crate::json::{NoRoom, Text, Writer};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Fetch.
    Get,
    /// Tell.
    Post,
    /// Replace.
    Put,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'r> {
    /// What is to be done.
    pub method: Method,
    /// The server's name.
    pub host: Text<'r>,
    /// Its port, if it is not the usual one.
    pub port: Option<u16>,
    /// Path and query. A slash is put in front if it lacks one; what must not stand in a request is
    /// percent-encoded.
    pub path: Text<'r>,
    /// Only so many bytes from so many on.
    pub range: Option<(u32, u32)>,
    /// Further fields: names and values.
    pub fields: &'r [(&'r str, &'r str)],
    /// What is told: its type, and the bytes.
    pub body: Option<(&'r str, &'r [u8])>,
}

impl<'r> Request<'r> {
    /// Asks for a file.
    pub const fn get(host: Text<'r>, port: Option<u16>, path: Text<'r>) -> Self {
        let (method, range, fields, body) = (Method::Get, None, &[] as &[_], None);
        Self { method, host, port, path, range, fields, body }
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room, or if the host is no name: it must not be able to add lines of its own.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.raw(match self.method {
            Method::Get => "GET ",
            Method::Post => "POST ",
            Method::Put => "PUT ",
        });
        if self.path.chars().next() != Some('/') {
            to.raw("/");
        }
        for c in self.path.chars() {
            if c.is_ascii_graphic()
                && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
            {
                let _ = to.write_char(c);
                continue;
            }
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                to.raw("%").hex(&[byte]);
            }
        }
        let named =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if self.host.is_empty() || !self.host.chars().all(named) {
            return Err(NoRoom);
        }
        to.raw(" HTTP/1.1\r\nHost: ");
        let _ = self.host.chars().try_for_each(|c| to.write_char(c));
        if let Some(port) = self.port {
            to.raw(":").number(port.into());
        }
        if let Some((from, len)) = self.range {
            let last = from.saturating_add(len.saturating_sub(1));
            to.raw("\r\nAccept-Ranges: bytes\r\nRange: bytes=").number(from).raw("-").number(last);
        }
        for (name, value) in self.fields {
            to.raw("\r\n").raw(name).raw(": ").raw(value);
        }
        if let Some((kind, body)) = self.body {
            let len = u32::try_from(body.len()).map_err(|_| NoRoom)?;
            to.raw("\r\nContent-Type: ").raw(kind).raw("\r\nContent-Length: ").number(len);
        }
        to.raw("\r\n\r\n");
        let (head, body) = (to.finish()?, self.body.map_or(&[][..], |(_, body)| body));
        let end = head.checked_add(body.len()).ok_or(NoRoom)?;
        buffer.get_mut(head..end).ok_or(NoRoom)?.copy_from_slice(body);
        Ok(end)
    }
}
