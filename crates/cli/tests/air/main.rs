//! Updates over the air as people run them: `updraft publish` and `updraft fetch`, with mosquitto
//! between them, lines that break and processes that are killed.
#![cfg(feature = "air")]

mod archives;
mod aws;
mod broken;
mod certificates;
mod device;
mod files;
mod flows;
mod goosebit;
mod many;
mod options;
mod results;
mod support;
