//! AWS IoT: Jobs, and files in MQTT streams, in the device's role; the messages in both.
//!
//! ```text
//! device                                                             AWS IoT
//!   │  $aws/things/T/jobs/$next/get                                ▶ │
//!   │ ◀ …/jobs/notify-next, …/jobs/$next/get/accepted     execution  │
//!   │  …/streams/S/get/cbor     which blocks, as a bitmap          ▶ │
//!   │ ◀ …/streams/S/data/cbor                          block, block  │
//!   │  …/jobs/J/update     receive 1/6 … self_test ready           ▶ │   reset
//!   │  …/jobs/J/update     self_test active … SUCCEEDED | FAILED   ▶ │
//! ```
//! Sources: AWS IoT developer guide (jobs, MQTT-based file delivery), and the behaviour of
//! `ota-for-aws-iot-embedded-sdk` 3.4.0.
//!
//! The server keeps what is needed after the reset: a job in its self-test says which version has
//! started it. A device that asks finds out in this way what has become of it:
//!
//! | job in its self-test | image on trial | it runs | then |
//! |---|---|---|---|
//! | yes | yes | newer than what began | `active`, the application tests, SUCCEEDED |
//! | yes | yes | the same, older | FAILED `rejected: 0x10`, `0xf`, reset |
//! | yes | no | newer | told already and not heard: SUCCEEDED; otherwise FAILED `rejected: 0x11` |
//! | yes | no | the same, older | fell back: FAILED `rejected: 0x10`, `0xf` |
//! | no | yes | | reset, and the bootloader goes back |
//! | no | no | | it is downloaded |

mod device;
mod jobs;
mod replies;
mod stream;
mod topics;

pub use device::{Device, Settings, Timers};
pub use jobs::{Details, Execution, File, NextJob, OtaJob, Status, Times, Update};
pub use replies::{Accepted, Objection, Refused};
pub use stream::{Block, BlockRequest, Describe, Description, Format, Rejected};
pub use topics::{
    Answer, Asked, JobTopic, StreamTopic, asked, job_topic, stream_topic, update_topic,
};
