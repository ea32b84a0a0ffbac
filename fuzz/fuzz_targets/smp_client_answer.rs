#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| updraft_fuzz::smp_client_answer::run(data));
