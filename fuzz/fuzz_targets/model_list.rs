#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::offload::catalogue::fuzz::model_list(data));
