//! The application.
#![no_std]
#![no_main]

firmware_application::program!(emcraft_sf2, emcraft_sf2::Sf2);
