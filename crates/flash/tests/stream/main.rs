//! Streams: what Zephyr's tests of `stream_flash` ask, and what they leave open.

mod common;
mod faults;
mod power_cuts;
mod progress;
mod sectors;
mod writing;
