//! The application's side of an update, against a flash that loses power.

mod boards;
mod by_number;
mod common;
mod equal_slots;
mod image_group;
mod images;
mod over_smp;
mod requests;
mod slot_writer;
mod uploads;
