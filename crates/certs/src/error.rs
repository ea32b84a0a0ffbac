//! What cannot be issued or read.

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// A name that cannot stand in a certificate.
    #[error("`{name}` is no name for a certificate: {why}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More days than a certificate can last.
    #[error("{days} days are no lifetime: 1 to {most}")]
    Lifetime {
        /// What was given.
        days: u32,
        /// The most that is taken.
        most: u32,
    },
    /// The text holds no certificate.
    #[error("there is no certificate in it: a PEM file begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// The text holds a damaged certificate.
    #[error("certificate {number} in it is damaged: {why}")]
    Damaged {
        /// Which one, counted from 1.
        number: usize,
        /// What the parser says.
        why: String,
    },
    /// The authority's key cannot be used.
    #[error(
        "the authority's key is none that can issue here: {0}; it has to be P-256, as PKCS#8 PEM"
    )]
    Key(String),
    /// Certificate and key do not belong together.
    #[error("the authority's key does not belong to its certificate")]
    OtherKey,
    /// What was given as an authority is none.
    #[error("the certificate of `{subject}` is no authority's: basicConstraints do not say CA")]
    NoAuthority {
        /// Whose it is.
        subject: String,
    },
    /// Somebody else has signed it.
    #[error("the certificate or list of `{subject}` was not signed by this authority")]
    Foreign {
        /// Whose it is.
        subject: String,
    },
    /// A list of revoked certificates is damaged.
    #[error("the list of revoked certificates is damaged: {0}")]
    List(String),
    /// A list has grown too long.
    #[error("a list revokes {most} certificates at most: make a new authority")]
    TooMany {
        /// The most.
        most: usize,
    },
    /// The authority does not last as long as what it was to issue.
    #[error(
        "the authority expires on {until}, before what it was to issue: make a new one, or give \
         fewer days"
    )]
    AuthorityExpires {
        /// When.
        until: String,
    },
    /// The system has no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
    /// The certificate could not be put together.
    #[error("the certificate cannot be encoded: {0}")]
    Encoding(String),
}

impl From<x509_cert::builder::Error> for CertsError {
    fn from(error: x509_cert::builder::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

impl From<der::Error> for CertsError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}
