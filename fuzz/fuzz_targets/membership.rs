//! Hands bytes of libFuzzer to the decoder of memberships.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("membership", bytes));
