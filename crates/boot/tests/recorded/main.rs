//! The bootloader against recordings of the C boot loader.

mod golden;
mod scenarios;
mod traces;
