//! `updraft serve` and `updraft fleet` as the processes that they are in use, with clients of others
//! beside ours.
#![cfg(feature = "fleet")]

mod foreign;
#[cfg(unix)]
mod kills;
mod sample_keys;
mod starting;
mod story;
mod support;
