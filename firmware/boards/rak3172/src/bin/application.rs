//! The application.
#![no_std]
#![no_main]

firmware_application::program!(rak3172, rak3172::Rak3172);
