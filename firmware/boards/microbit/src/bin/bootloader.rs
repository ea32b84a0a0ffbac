//! The bootloader.
#![no_std]
#![no_main]

firmware_bootloader::program!(microbit, Microbit);
