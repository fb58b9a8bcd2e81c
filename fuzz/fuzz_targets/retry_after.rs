#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::policy::fuzz::retry_after(data));
