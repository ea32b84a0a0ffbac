//! Keys, signing and inspection, against what imgtool 2.5.0 makes of the same.

mod command;
mod compression;
mod encryption;
mod imgtool;
mod inspection;
mod keys;
mod manifest;
mod programs;
mod refusals;
mod replay;
mod streams;
mod vectors;
