//! Hands bytes of libFuzzer to the decoder of lists of revoked members.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("revocations", bytes));
