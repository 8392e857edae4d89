//! Hands bytes of libFuzzer to the decoder of answers about copies of stored files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("copy_said", bytes));
