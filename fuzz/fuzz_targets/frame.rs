//! Hands bytes of libFuzzer to the decoder of control frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("frame", bytes));
