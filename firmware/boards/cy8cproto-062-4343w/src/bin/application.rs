//! The application, on the large processor.
#![no_std]
#![no_main]

firmware_application::program!(cy8cproto_062_4343w, cy8cproto_062_4343w::Proto062);
