//! The application.
#![no_std]
#![no_main]

firmware_application::program!(pinetime, pinetime::Pinetime);
