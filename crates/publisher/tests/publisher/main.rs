//! The publisher as a machine, against the recordings of the original and against devices that do
//! as they please.

mod answers;
mod aws;
mod common;
mod lines;
mod transcripts;
