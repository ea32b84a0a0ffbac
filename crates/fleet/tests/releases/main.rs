//! Releases, from the file that somebody submits to the bytes that a device downloads.

mod admission;
mod api;
mod store;
mod support;
