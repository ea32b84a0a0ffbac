//! The image format against images from imgtool, verdicts of the C boot loader, and noise.

mod encryption;
mod hostile_input;
mod round_trips;
mod rules;
mod signatures;
mod trailer;
mod vectors;
mod verdicts;
