//! `updraft key`, `updraft image` and `updraft flash`, as people and programs see them.

mod certs;
mod dumps;
mod image;
mod outputs;
mod programming;
mod releases;
mod support;
mod tokens;
