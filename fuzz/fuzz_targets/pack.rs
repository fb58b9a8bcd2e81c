//! Feeds `pack`, whose body says what must hold, with whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::offload::packs::fuzz::pack(data));
