//! The fleet server: which releases are fit for devices.
//!
//! ```text
//! files ─▶ Submission ─▶ Policy::admit ─▶ Release      or Refused: why, and what to do
//! ```

pub mod model;
