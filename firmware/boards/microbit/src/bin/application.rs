//! The application.
#![no_std]
#![no_main]

firmware_application::program!(microbit, microbit::Microbit);
