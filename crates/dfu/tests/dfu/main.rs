//! The application's side of an update, against a flash that loses power.

mod common;
mod requests;
mod slot_writer;
