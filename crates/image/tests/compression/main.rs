//! Compressed images: streams of liblzma, images of imgtool, and what is damaged.

mod damaged;
mod golden;
mod imgtool;
mod streams;
mod support;
mod tlvs;
