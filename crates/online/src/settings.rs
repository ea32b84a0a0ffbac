//! How a machine's lines are made, and who is told its secrets.

use std::sync::Arc;
use std::time::Duration;

use crate::Tls;
use crate::resolve::bare;

/// How long a line may take until it stands.
const PATIENCE: Duration = Duration::from_secs(30);

/// A last will: what the broker publishes, with QoS 1, if the line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// An MQTT session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who this is.
    pub client_id: String,
    /// Begins anew with each connection. A session that is kept brings what came in between.
    pub clean: bool,
    /// Seconds of silence after which the broker asks no more; 0 for no limit.
    pub keep_alive: u16,
    /// What is published if the line breaks.
    pub will: Option<Will>,
    /// A name and a password, for brokers that want them.
    pub user: Option<(String, String)>,
}

impl Session {
    /// A clean session with a keep-alive of 60 s.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), clean: true, keep_alive: 60, will: None, user: None }
    }
}

/// How a machine's lines are made.
///
/// The first host that the machine calls is its own server. A job may send it anywhere from there:
/// every other host has to have a certificate for the name that it is called by, and is shown neither
/// the client's certificate nor its user name and password, unless it is among
/// [`also_for`](Self::also_for).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its session, where it speaks MQTT.
    pub session: Session,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Speaks MQTT in plain text. HTTP is encrypted if the machine says so.
    pub plain: bool,
    /// How long a line may take until it stands: the look for the name, TCP, TLS. A sixth of that
    /// for each address while there are others.
    pub patience: Duration,
    /// Hosts besides the first one that may know who this is: names or addresses, without a port.
    pub also_for: Vec<String>,
}

impl Settings {
    /// Plain MQTT, and HTTP without TLS.
    pub fn plain(session: Session) -> Self {
        Self { session, tls: None, plain: true, patience: PATIENCE, also_for: Vec::new() }
    }

    /// MQTT over TLS, and HTTP as the machine says.
    pub fn tls(session: Session, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), plain: false, ..Self::plain(session) }
    }

    /// What `host` is to a machine whose own server is `own`.
    pub(crate) fn regard(&self, own: &str, host: &str) -> Regard {
        if is_same(own, host) {
            Regard::Own
        } else if self.also_for.iter().any(|known| is_same(known, host)) {
            Regard::Known
        } else {
            Regard::Strange
        }
    }

    /// Whether there is anything that strangers are not told.
    pub(crate) fn has_secrets(&self) -> bool {
        self.session.user.is_some() || self.tls.as_ref().is_some_and(|tls| tls.has_identity())
    }
}

/// What a host is to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regard {
    /// The server that it was set up for.
    Own,
    /// Another one, which may know who this is.
    Known,
    /// Any other.
    Strange,
}

fn is_same(one: &str, other: &str) -> bool {
    let plain = |host: &str| bare(host).trim_end_matches('.').to_ascii_lowercase();
    plain(one) == plain(other)
}

/// What MQTT keeps messages in.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(crate) inbox: Vec<u8>,
    pub(crate) outbox: Vec<u8>,
}

impl Memory {
    /// For messages of up to `inbox` bytes that come, and `outbox` bytes of messages on their way.
    pub fn new(inbox: usize, outbox: usize) -> Self {
        // Topics, and what is around them.
        const AROUND: usize = 320;
        Self { inbox: vec![0; inbox + AROUND], outbox: vec![0; outbox + AROUND] }
    }

    /// For a device that fetches blocks of `block` bytes.
    pub fn of_device(block: usize) -> Self {
        Self::new(block + 1024, 4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_the_same_however_they_are_written() {
        let also_for = vec!["files.lan".to_owned(), "[::2]".to_owned()];
        let settings = Settings { also_for, ..Settings::plain(Session::new("x")) };
        for (own, host, regard) in [
            ("broker.lan", "Broker.LAN.", Regard::Own),
            ("[::1]", "::1", Regard::Own),
            ("broker.lan", "FILES.lan", Regard::Known),
            ("broker.lan", "::2", Regard::Known),
            ("broker.lan", "files.lan.evil", Regard::Strange),
            ("broker.lan", "lan", Regard::Strange),
        ] {
            assert_eq!(settings.regard(own, host), regard, "{host}");
        }
    }
}
