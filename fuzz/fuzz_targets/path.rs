//! Hands bytes of libFuzzer to the parser of paths.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("path", bytes));
