//! Certificates for TLS between devices and their servers.
//!
//! ```text
//! Authority    a certificate authority of one's own: issues for servers and devices   (authority)
//! Subject      whom a certificate is for: its names, and what it may be used for       (subject)
//! lab          the six files that a broker, its devices and a publisher need           (lab)
//! inspect      what a certificate says, and what is wrong with it                      (inspect)
//! listing      certificates and keys as C strings                                      (listing)
//! access       who may publish and read what at such a broker                          (access)
//! revocation   lists of certificates that are not to be believed any more             (revocation)
//! mosquitto    the configuration of a broker that goes with them                       (mosquitto)
//! ```
//! Keys are ECDSA over P-256: what every TLS stack for microcontrollers knows, and small. Nothing
//! here reads or writes files.

mod access;
mod authority;
mod error;
mod inspect;
mod lab;
mod listing;
mod mosquitto;
mod revocation;
mod subject;

pub use access::Access;
pub use authority::{Authority, Issued, Lifetime};
pub use error::CertsError;
pub use inspect::{Concern, Inspected, Use, certificates};
pub use lab::{LabFile, Pair, lab};
pub use listing::{is_listed, listing};
pub use mosquitto::{Clients, Listener, configuration};
pub use revocation::Revoked;
pub use subject::{HostName, Subject};
