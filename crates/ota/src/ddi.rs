//! hawkBit's Direct Device Integration, in the device's role; its messages in both.
//!
//! ```text
//! device                                                              server
//!   │  GET  /T/controller/v1/C                                      ▶ │  when to poll again, links
//!   │  GET  …/deploymentBase/A                                      ▶ │  files, hashes, addresses
//!   │  POST …/deploymentBase/A/feedback          proceeding         ▶ │
//!   │  GET  the file, in ranges                                     ▶ │
//!   │  POST …/feedback   proceeding; reset, test; closed: success   ▶ │
//!   │  GET, POST …/cancelAction/B                                   ▶ │
//! ```
//! Source: hawkBit's DDI API documentation (`DdiRootControllerRestApi`).

mod device;
mod messages;

pub use device::{Device, Settings, Timers};
pub use messages::{Artifact, Base, Cancel, Deployment, Execution, Feedback, Finished};
