//! One file per subcommand: its options, and the calls that carry it out.

pub mod boards;
pub mod certs;
pub mod completions;
pub mod demo;
pub mod device;
pub mod explore;
#[cfg(feature = "air")]
pub mod fetch;
pub mod flash;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod image;
pub mod key;
#[cfg(feature = "air")]
pub mod publish;
#[cfg(feature = "fleet")]
pub mod serve;
pub mod smp;
