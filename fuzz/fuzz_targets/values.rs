//! Hands bytes of libFuzzer to the check of piece values.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("values", bytes));
