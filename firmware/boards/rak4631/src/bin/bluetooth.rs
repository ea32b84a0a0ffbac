//! The application that takes its updates over Bluetooth LE.
#![no_std]
#![no_main]

use firmware_nrf5::radio;

firmware_application::bluetooth_program!(rak4631, rak4631::Rak4631, radio);
