//! Feeds `retry_after`, whose body says what must hold, with whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::policy::fuzz::retry_after(data));
