//! The application, on the large processor.
#![no_std]
#![no_main]

firmware_application::program!(cy8ckit_062s2_43012, cy8ckit_062s2_43012::Kit062S2);
