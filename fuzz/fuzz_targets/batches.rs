//! Feeds `batches`, whose body says what must hold, with whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::dialect::batches::fuzz::batches(data));
