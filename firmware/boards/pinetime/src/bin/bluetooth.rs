//! The application that takes its updates over Bluetooth LE.
#![no_std]
#![no_main]

use firmware_nrf5::radio;

firmware_application::bluetooth_program!(pinetime, pinetime::Pinetime, radio);
