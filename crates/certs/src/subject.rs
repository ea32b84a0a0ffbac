//! Whom a certificate is for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use der::asn1::Ia5String;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::CertsError;
use crate::inspect::{CLIENT_AUTH, SERVER_AUTH};

/// The longest common name (RFC 5280, appendix A, `ub-common-name`).
const LONGEST_NAME: usize = 64;
/// The longest host name (RFC 1035, section 2.3.4), and the longest label of one.
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What clients call a server: they compare it with what its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// An address. It stands in a field of its own: in one for names, peers do not find it.
    Ip(IpAddr),
    /// A name, without a dot at the end. The first label may be `*`.
    Dns(String),
}

impl FromStr for HostName {
    type Err = CertsError;

    fn from_str(text: &str) -> Result<Self, CertsError> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self::Ip(address));
        }
        let refuse = |why| Err(CertsError::Name { name: text.to_owned(), why });
        if text.is_empty() || text.len() > LONGEST_HOST {
            return refuse("a host name has 1 to 253 characters");
        }
        if text.split('.').all(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
            return refuse("it looks like an address and is none");
        }
        for (at, label) in text.split('.').enumerate() {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let wildcard = at == 0 && label == "*" && text.len() > 2;
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return refuse("a part between two dots has 1 to 63 characters");
            }
            if !wildcard && !label.bytes().all(known) {
                return refuse("host names have letters, digits, hyphens and dots");
            }
        }
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Dns(name) => name.fmt(f),
        }
    }
}

impl HostName {
    fn general(&self) -> Result<GeneralName, CertsError> {
        Ok(match self {
            Self::Ip(address) => GeneralName::from(*address),
            Self::Dns(name) => GeneralName::DnsName(Ia5String::new(name)?),
        })
    }
}

/// What a certificate is for, and its extensions with it (RFC 5280, section 4.2.1).
///
/// | | basicConstraints | keyUsage | extendedKeyUsage | subjectAltName |
/// |---|---|---|---|---|
/// | authority | CA, nothing below what it issues | certificates, revocation lists | | |
/// | server | no CA | signatures | server | names and addresses |
/// | device | no CA | signatures | client | |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A certificate authority.
    Authority {
        /// What it is called.
        name: String,
    },
    /// A server: broker, or HTTP.
    Server {
        /// What it is called.
        name: String,
        /// What clients call it.
        hosts: Vec<HostName>,
    },
    /// A device, or a publisher: whoever connects to a server.
    Device {
        /// Its identity: servers take it from the certificate.
        name: String,
    },
}

impl Subject {
    /// What it is called: the common name.
    pub fn name(&self) -> &str {
        let (Self::Authority { name } | Self::Server { name, .. } | Self::Device { name }) = self;
        name
    }

    /// As a distinguished name. Names have 1 to 64 letters, digits, and any of `.-_: ` in between:
    /// what is a file name and a part of a topic, too.
    pub(crate) fn distinguished(&self) -> Result<Name, CertsError> {
        let name = self.name();
        let refuse = |why| CertsError::Name { name: name.to_owned(), why };
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(refuse("it has 1 to 64 characters"));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_: ".contains(&byte);
        let ends = [name.bytes().next(), name.bytes().last()];
        let between = ends.iter().flatten().all(u8::is_ascii_alphanumeric);
        if !name.bytes().all(known) || !between {
            return Err(refuse("it has letters, digits, and `.-_: ` in between"));
        }
        Ok(Name::from_str(&format!("CN={name}"))?)
    }
}

/// A subject about to get its certificate.
pub(crate) struct Profile<'s> {
    pub(crate) subject: &'s Subject,
    pub(crate) name: Name,
    /// `None`: it issues its own.
    pub(crate) issuer: Option<Name>,
    /// The names that it is to be found under.
    pub(crate) hosts: Vec<GeneralName>,
}

impl<'s> Profile<'s> {
    pub(crate) fn new(subject: &'s Subject, issuer: Option<Name>) -> Result<Self, CertsError> {
        let hosts = match subject {
            Subject::Server { hosts, .. } => hosts.as_slice(),
            _ => &[],
        };
        let hosts = hosts.iter().map(HostName::general).collect::<Result<_, _>>()?;
        Ok(Self { subject, name: subject.distinguished()?, issuer, hosts })
    }
}

impl BuilderProfile for Profile<'_> {
    fn get_issuer(&self, subject: &Name) -> Name {
        self.issuer.clone().unwrap_or_else(|| subject.clone())
    }

    fn get_subject(&self) -> Name {
        self.name.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let subject = tbs.subject();
        let mut extensions: Vec<Extension> = Vec::new();
        let ca = matches!(self.subject, Subject::Authority { .. });
        let constraints = BasicConstraints { ca, path_len_constraint: ca.then_some(0) };
        extensions.push(constraints.to_extension(subject, &extensions)?);
        let usage = match ca {
            true => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
            false => KeyUsages::DigitalSignature.into(),
        };
        extensions.push(KeyUsage(usage).to_extension(subject, &extensions)?);
        let purpose = match self.subject {
            Subject::Authority { .. } => None,
            Subject::Server { .. } => Some(SERVER_AUTH),
            Subject::Device { .. } => Some(CLIENT_AUTH),
        };
        if let Some(purpose) = purpose {
            let purposes = ExtendedKeyUsage(vec![purpose]);
            extensions.push(purposes.to_extension(subject, &extensions)?);
        }
        if !self.hosts.is_empty() {
            let names = SubjectAltName(self.hosts.clone());
            extensions.push(names.to_extension(subject, &extensions)?);
        }
        let own = SubjectKeyIdentifier::try_from(key)?;
        extensions.push(own.to_extension(subject, &extensions)?);
        if !ca {
            let issuer = AuthorityKeyIdentifier::try_from(issuer_key)?;
            extensions.push(issuer.to_extension(subject, &extensions)?);
        }
        Ok(extensions)
    }
}
