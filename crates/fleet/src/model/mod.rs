//! The rules of the server, without any I/O: what a release is, and which are admitted.

mod admission;
mod identity;
mod range;
mod refusal;
mod release;

pub use admission::{Policy, Submission, SubmittedImage, TrustError, UnknownBoard};
pub use identity::{ArtifactId, IdError, NameError, ReleaseName};
pub use range::{Ranged, ranged};
pub use refusal::{Reason, Refused};
pub use release::{Image, Release, Signature};
