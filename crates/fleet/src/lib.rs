//! The fleet server: which releases are fit for devices, and the files of their images.
//!
//! ```text
//! files ─▶ Submission ─▶ Policy::admit ─▶ Release ─▶ Store        releases, tokens
//!                              │                └───▶ Artifacts    files by their SHA-256
//!                              └─▶ Refused: why, and what to do
//! ```
//! [`model`] is the rules, without any I/O. With the feature `server`, [`fleet`] keeps what they admit,
//! [`http`] is the API over it, and [`server`] the process that answers. With `client`, [`client`] asks
//! such a server.

#[cfg(feature = "server")]
pub mod artifacts;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod fleet;
#[cfg(feature = "server")]
pub mod http;
pub mod model;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod token;

/// Bytes of a request that a server takes if it is not told otherwise.
pub const USUAL_UPLOAD: usize = 32 << 20;
