//! Hands bytes of libFuzzer to the decoder of block headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("block_header", bytes));
