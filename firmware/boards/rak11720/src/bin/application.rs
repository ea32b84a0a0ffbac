//! The application.
#![no_std]
#![no_main]

firmware_application::program!(rak11720, rak11720::Rak11720);
