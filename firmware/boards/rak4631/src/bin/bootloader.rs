//! The bootloader.
#![no_std]
#![no_main]

firmware_bootloader::program!(rak4631, Rak4631);
