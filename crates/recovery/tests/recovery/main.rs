//! Serial recovery by capability.

mod commands;
mod common;
mod entry;
mod images;
mod power_cuts;
mod recorded;
mod refusals;
mod resume;
mod serial;
mod uploads;
