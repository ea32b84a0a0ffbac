//! The bootloader.
#![no_std]
#![no_main]

firmware_bootloader::program!(mps2_an386, Mps2);
