//! Hands bytes of libFuzzer to the decoder of first frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("hello", bytes));
