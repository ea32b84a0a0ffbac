//! The bootloader.
#![no_std]
#![no_main]

firmware_bootloader::program!(emcraft_sf2, Sf2);
