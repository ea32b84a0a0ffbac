//! The application, on the large processor.
#![no_std]
#![no_main]

firmware_application::program!(cy8ckit_064s0s2_4343w, cy8ckit_064s0s2_4343w::Kit064S0S2);
