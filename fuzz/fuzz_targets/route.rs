#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::shard::fuzz::route(data));
