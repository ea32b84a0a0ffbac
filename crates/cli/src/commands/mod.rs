//! One file per subcommand: its options, and the calls that carry it out.

pub mod boards;
pub mod completions;
pub mod demo;
pub mod device;
pub mod explore;
pub mod flash;
pub mod image;
pub mod key;
pub mod smp;
