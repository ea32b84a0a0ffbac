//! The bootloader.
#![no_std]
#![no_main]

firmware_bootloader::program!(rak3172, Rak3172);
