//! The application.
#![no_std]
#![no_main]

firmware_application::program!(mps2_an386, mps2_an386::Mps2);
