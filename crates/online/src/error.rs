//! What can go wrong on a line, and what to do about it.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError};
use updraft_mqtt::ClientError;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no PEM.
    #[error("{} is no PEM file", path.display())]
    NotPem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file has no certificate.
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no private key.
    #[error("{} holds no private key", .0.display())]
    NoKey(PathBuf),
    /// A certificate cannot be one of an authority.
    #[error("the certificate in {} cannot be an authority's", path.display())]
    Damaged {
        /// In which file.
        path: PathBuf,
        /// Why.
        #[source]
        why: rustls::Error,
    },
    /// A list of revoked certificates cannot be used.
    #[error("the list of revoked certificates in {} cannot be used", path.display())]
    List {
        /// In which file.
        path: PathBuf,
        /// Why.
        #[source]
        why: rustls::Error,
    },
    /// A file has no list of revoked certificates.
    #[error("{} holds no list of revoked certificates", .0.display())]
    NoList(PathBuf),
    /// There is nobody to trust, or no way to go by the lists.
    #[error("servers cannot be verified")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// A key is of a kind that TLS does not know.
    #[error("the key in {} cannot be used", path.display())]
    Key {
        /// In which file.
        path: PathBuf,
        /// Why.
        #[source]
        why: rustls::Error,
    },
    /// Certificate and key do not belong together.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Pair {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// This cannot be a server's name.
    #[error("`{0}` cannot be the name of a server")]
    ServerName(String),
    /// TLS itself.
    #[error("TLS cannot be set up")]
    Provider(#[source] rustls::Error),
}

impl TlsError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "look at the path, and at who may read the file",
            Self::NotPem { .. } | Self::NoCertificate(_) | Self::NoKey(_) => {
                "give PEM files, as `updraft certs lab` makes them"
            }
            Self::Damaged { .. } => "give the certificate of who has signed the server's",
            Self::List { .. } | Self::NoList(_) => {
                "give PEM files, as `updraft certs revoke` makes them"
            }
            Self::Verifier(_) => "give the certificate of an authority, --ca FILE",
            Self::Key { .. } => "ECDSA over P-256 and P-384, Ed25519 and RSA are known",
            Self::Pair { .. } => "give the two files that were made together",
            Self::ServerName(_) => "give a name or an address, without a port",
            Self::Provider(_) => "this is a fault of the program",
        }
    }
}

/// Why a line could not be made, or was lost. `peer` is `host:port`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The name is not found.
    #[error("the server {host} is not found")]
    NotFound {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("{peer} cannot be reached")]
    Unreachable {
        /// Where.
        peer: String,
        /// What the system says.
        source: io::Error,
    },
    /// The line broke.
    #[error("the connection to {peer} broke off")]
    Broken {
        /// To whom.
        peer: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server closed the line without a word.
    #[error("{peer} closed the connection{}", if *.greeted { "" } else { " without a greeting" })]
    Closed {
        /// Who.
        peer: String,
        /// Whether it had taken the session before.
        greeted: bool,
        /// Whether the line was encrypted.
        encrypted: bool,
    },
    /// The server is not trusted.
    #[error("{peer} is not trusted: {}", mistrust(.why))]
    Untrusted {
        /// Who.
        peer: String,
        /// What is wrong with its certificate.
        why: CertificateError,
    },
    /// The server does not trust this client.
    #[error("{peer} refuses this client's certificate: {}", refusal(*.alert))]
    Distrusted {
        /// Who.
        peer: String,
        /// What it says.
        alert: AlertDescription,
    },
    /// The server wants to know who this is. It is not the machine's own one, and was not told.
    #[error("{peer} wants to know who this is, which only this device's own server is told")]
    Stranger {
        /// Who.
        peer: String,
        /// How it says so.
        source: Box<LineError>,
    },
    /// TLS failed otherwise.
    #[error("TLS with {peer} fails")]
    Tls {
        /// With whom.
        peer: String,
        /// Why.
        source: rustls::Error,
    },
    /// TLS is needed, and not set up.
    #[error("{peer} is to be talked to over TLS, which is not set up")]
    NoTls {
        /// Whom.
        peer: String,
        /// Why not, if it was tried.
        source: Option<TlsError>,
    },
    /// MQTT failed.
    #[error("{source} ({peer})")]
    Mqtt {
        /// Who.
        peer: String,
        /// Why.
        source: ClientError,
    },
    /// The server does not grant a subscription.
    #[error("{peer} does not let this client listen to {topic}")]
    NotSubscribed {
        /// Who.
        peer: String,
        /// To what.
        topic: String,
    },
    /// A message does not fit into its buffer.
    #[error("a message of {needed} bytes is too long for its buffer of {room}")]
    TooLong {
        /// Bytes of the packet.
        needed: usize,
        /// Bytes that there are.
        room: usize,
    },
}

impl LineError {
    pub(crate) fn tls(peer: &str, error: rustls::Error) -> Self {
        let peer = peer.to_owned();
        match error {
            rustls::Error::InvalidCertificate(why) => Self::Untrusted { peer, why },
            rustls::Error::AlertReceived(alert) if is_about_us(alert) => {
                Self::Distrusted { peer, alert }
            }
            source => Self::Tls { peer, source },
        }
    }

    /// The same of a server that was not told who this is.
    pub(crate) fn of_a_stranger(self) -> Self {
        let peer = match &self {
            Self::Distrusted { peer, .. } => peer,
            Self::Mqtt { peer, source: ClientError::Refused(code) } if is_about_rights(*code) => {
                peer
            }
            _ => return self,
        };
        Self::Stranger { peer: peer.clone(), source: Box::new(self) }
    }

    /// Whether it stays as it is until somebody changes something: a certificate, a name, a right.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Untrusted { .. }
            | Self::Distrusted { .. }
            | Self::Tls { source: rustls::Error::InvalidCertRevocationList(_), .. }
            | Self::Stranger { .. }
            | Self::NoTls { .. }
            | Self::NotSubscribed { .. }
            | Self::TooLong { .. } => true,
            Self::Mqtt { source: ClientError::Refused(code), .. } => {
                *code != updraft_mqtt::ConnectCode::Unavailable
            }
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "look at the name, or give the address".into(),
            Self::Unreachable { .. } => {
                "does the server run, and does it listen at this address and port?".into()
            }
            Self::Broken { .. } => return None,
            Self::Closed { greeted: true, .. } => return None,
            Self::Closed { encrypted: false, .. } => {
                "does it expect TLS? give its authority's certificate instead of --plain".into()
            }
            Self::Closed { encrypted: true, .. } => {
                "its log tells why; many servers want a client's certificate".into()
            }
            Self::Untrusted { why, .. } => match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "make a new one for the server: `updraft certs lab`".into()
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    "give the name that it is for with --server-name, or make one for the \
                     address: `updraft certs lab ADDRESS`"
                        .into()
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "look at this computer's clock".into()
                }
                CertificateError::Revoked => {
                    "do not talk to it; its owner has to make a new one: `updraft certs lab`".into()
                }
                CertificateError::UnknownRevocationStatus => {
                    "give the list of every authority between it and --ca with --crl FILE".into()
                }
                CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. } => {
                    "get the current list: `updraft certs revoke` writes one for a lab".into()
                }
                _ => "give the certificate of who has signed the server's, --ca FILE".into(),
            },
            Self::Distrusted { alert, .. } => match *alert {
                AlertDescription::CertificateRequired => {
                    "give --tls-cert and --tls-key; `updraft certs device NAME` makes both".into()
                }
                AlertDescription::CertificateExpired => {
                    "make a new one: `updraft certs device NAME`".into()
                }
                _ => "give a certificate that the server's authority has signed; `updraft certs \
                      show` tells what is wrong with one"
                    .into(),
            },
            Self::Stranger { .. } => {
                "a job has sent this device there; if that server may know, --also-for HOST".into()
            }
            Self::Tls { source: rustls::Error::InvalidMessage(_), .. } => {
                "does it speak TLS at this port? --plain does without".into()
            }
            Self::Tls { source: rustls::Error::InvalidCertRevocationList(_), .. } => {
                "give the list of who has signed the server's certificate, --crl FILE".into()
            }
            Self::Tls { .. } => "look at the server's log".into(),
            Self::NoTls { source: Some(error), .. } => error.hint().into(),
            Self::NoTls { source: None, .. } => "give --ca FILE".into(),
            Self::Mqtt { source: ClientError::Refused(_), .. } => {
                "look at user name, password and client id".into()
            }
            Self::Mqtt { source: ClientError::Silent, .. } => "is it an MQTT broker?".into(),
            Self::Mqtt { .. } => "is it an MQTT 3.1.1 broker?".into(),
            Self::NotSubscribed { .. } => "the broker's access rules have to allow it".into(),
            Self::TooLong { .. } => "send smaller pieces".into(),
        })
    }
}

/// Whether an alert is about the client's certificate.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// Whether a refusal is about who the client is.
fn is_about_rights(code: updraft_mqtt::ConnectCode) -> bool {
    use updraft_mqtt::ConnectCode::{Credentials, NotAuthorized};
    matches!(code, Credentials | NotAuthorized)
}

fn refusal(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "it wants one, and none was given",
        AlertDescription::CertificateExpired => "it has expired",
        AlertDescription::CertificateRevoked => "it was revoked",
        AlertDescription::UnknownCA => "it does not know who has signed it",
        AlertDescription::AccessDenied => "whoever it is for may not connect",
        AlertDescription::UnsupportedCertificate => "it is of a kind that the server does not know",
        _ => "it cannot be verified",
    }
}

fn mistrust(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::UnknownIssuer => {
            "its certificate is signed by an unknown authority".into()
        }
        CertificateError::BadSignature => {
            "its certificate is signed by an authority of the same name, and another one".into()
        }
        CertificateError::NotValidForName => "its certificate is for another name".into(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "its certificate names no server".into()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("its certificate is for {}", presented.join(", "))
        }
        CertificateError::Revoked => "its certificate was revoked".into(),
        CertificateError::UnknownRevocationStatus => {
            "no list tells whether its certificate was revoked".into()
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "the list of revoked certificates is out of date".into()
        }
        other => other.to_string(),
    }
}
