//! The bootloader, on the small processor.
#![no_std]
#![no_main]

firmware_bootloader::program!(cy8cproto_062_4343w, Proto062);
