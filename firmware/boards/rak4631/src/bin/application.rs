//! The application.
#![no_std]
#![no_main]

firmware_application::program!(rak4631, rak4631::Rak4631<rak4631::WithUsb>);
