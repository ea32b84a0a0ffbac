#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| updraft_fuzz::ota_devices::run(data));
