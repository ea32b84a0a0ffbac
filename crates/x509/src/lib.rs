//! Certificates of servers, as a device reads them that knows one authority: no allocation, no clock.
//!
//! ```text
//! Der           values one behind the other: tag, length, content        (der)
//! Certificate   who has issued it for whom, key, names, what for          (certificate)
//! Moment        from when on and until when                               (moment)
//! Revoked       the serial numbers of those that were taken back          (revoked)
//! ```
//! Whoever talks to a server by TLS takes the server's certificate and the authority's, asks
//! [`Certificate::fits`] whether the one may be believed because of the other, and holds
//! [`Certificate::signature`] over [`Certificate::signed`] against the authority's
//! [`key`](Certificate::key). [`Certificate::stands`] says whether it was revoked, or ended before a
//! moment that has surely passed: what time it is nobody knows here. The authority itself has to have issued it: chains are not followed, so
//! that nobody who has a certificate can issue others.
//!
//! Format source: RFC 5280; how names are compared: RFC 9525. Keys and signatures are ECDSA over P-256
//! with SHA-256.
#![no_std]

mod certificate;
mod der;
mod moment;
mod revoked;

pub use certificate::{Certificate, Unfit};
pub use der::Malformed;
pub use moment::Moment;
pub use revoked::{Revoked, serials};
