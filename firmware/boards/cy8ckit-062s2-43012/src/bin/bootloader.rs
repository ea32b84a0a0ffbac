//! The bootloader, on the small processor.
#![no_std]
#![no_main]

firmware_bootloader::program!(cy8ckit_062s2_43012, Kit062S2);
