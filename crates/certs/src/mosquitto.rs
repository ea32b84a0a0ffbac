//! A configuration of mosquitto that goes with the files of a lab.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::Pair;

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Who has a certificate of the authority. The broker takes the user name from it.
    Certified,
    /// The same, unless the list beside the authority's certificate revokes it.
    Unrevoked,
    /// Anybody; the line is encrypted all the same.
    Anybody,
}

/// Where and how the broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The address; every one without.
    pub address: Option<std::net::IpAddr>,
    /// `None` for a plain line.
    pub tls: Option<Clients>,
    /// The file with the access list; without one, everybody may do everything.
    pub access: Option<PathBuf>,
}

/// The text of `mosquitto.conf`, for files that lie in `folder`.
pub fn configuration(listeners: &[Listener], folder: &Path) -> String {
    let mut text = String::from("per_listener_settings true\n");
    for Listener { port, address, tls, access } in listeners {
        let address = address.map(|address| format!(" {address}")).unwrap_or_default();
        let _ = writeln!(text, "\nlistener {port}{address}");
        let anonymous = match tls {
            Some(clients) => {
                let file = |pair: Pair, ending: &str| {
                    folder.join(format!("{}.{ending}", pair.stem())).display().to_string()
                };
                let _ = writeln!(text, "cafile {}", file(Pair::Authority, "crt"));
                let _ = writeln!(text, "certfile {}", file(Pair::Server, "crt"));
                let _ = writeln!(text, "keyfile {}", file(Pair::Server, "key"));
                let certified = *clients != Clients::Anybody;
                let _ = writeln!(text, "require_certificate {certified}");
                if *clients == Clients::Unrevoked {
                    let _ = writeln!(text, "crlfile {}", file(Pair::Authority, "crl"));
                }
                if certified {
                    let _ = writeln!(text, "use_identity_as_username true");
                }
                !certified
            }
            None => true,
        };
        let _ = writeln!(text, "allow_anonymous {anonymous}");
        if let Some(access) = access {
            let _ = writeln!(text, "acl_file {}", access.display());
        }
    }
    text
}
