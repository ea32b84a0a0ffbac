//! The bootloader.
#![no_std]
#![no_main]

firmware_bootloader::program!(rak11720, Rak11720);
